"""Decodes four bytes of NF4 to eight bfloat16 in 26 instructions of PTX.

A table in memory costs two address computations and a load per weight, which is too slow for
the bandwidth of an H100. `prmt` looks up four nibbles in eight bytes at once, so the table is
kept in registers: its low and its high bytes, eight entries each.
"""

from __future__ import annotations

import torch

from dg_lsp.models.nf4.format import CODE


def _table(shift: int) -> list[str]:
    """Byte `shift / 8` of the 16 codes in bfloat16, four to a register."""
    bits = torch.tensor(CODE).to(torch.bfloat16).view(torch.int16).int() >> shift & 255
    words = [bits[i] | bits[i + 1] << 8 | bits[i + 2] << 16 | bits[i + 3] << 24 for i in
             range(0, 16, 4)]  # fmt: skip
    return [f"0x{int(word) & 0xFFFFFFFF:08x}" for word in words]


def _lookup(result: str, table: list[str]) -> str:
    """Four entries: by three bits in both halves of the table, then by the fourth."""
    return f"""
    prmt.b32 small, {table[0]}, {table[1]}, low3;
    prmt.b32 large, {table[2]}, {table[3]}, low3;
    prmt.b32 {result}, small, large, which;"""


def _pair_of_bytes(first: str, second: str) -> str:
    """The lower two bytes of `nibbles`: two bf16 of their high and two of their low halves."""
    return f"""
    and.b32 low3, nibbles, 0x7777;
    shr.b32 which, nibbles, 1;
    and.b32 which, which, 0x4444;
    or.b32 which, which, 0x3210;{_lookup("mantissas", _table(0))}{
        _lookup("exponents", _table(8))
    }
    prmt.b32 {first}, mantissas, exponents, 0x7351;
    prmt.b32 {second}, mantissas, exponents, 0x6240;"""


ASSEMBLY = f"""{{
    .reg .b32 bytes, nibbles, low3, which, small, large, mantissas, exponents;
    prmt.b32 bytes, $4, $4, 0x3120;
    mov.b32 nibbles, bytes;{_pair_of_bytes("$0", "$1")}
    shr.b32 nibbles, bytes, 16;{_pair_of_bytes("$2", "$3")}
}}"""
"""In: $4, two pairs of bytes. Out: $0 to $3, columns 0 to 3 of the first and second pair."""
CONSTRAINTS = "=&r,=&r,=&r,=&r,r"
