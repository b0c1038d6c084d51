"""The assembly that decodes in registers, carried out by hand on every byte."""

from __future__ import annotations

import re

import pytest
import torch

from dg_lsp.models.kernels.nf4_ptx import ASSEMBLY
from dg_lsp.models.nf4.format import CODE


def permute(a: int, b: int, selector: int) -> int:
    """`prmt.b32` as the PTX manual has it: each selector nibble picks one of eight bytes."""
    eight = (a | b << 32).to_bytes(8, "little")
    picked = []
    for nibble in (selector >> shift & 15 for shift in (0, 4, 8, 12)):
        byte = eight[nibble & 7]
        picked.append((255 if byte & 128 else 0) if nibble & 8 else byte)
    return int.from_bytes(bytes(picked), "little")


OPERATIONS = {
    "prmt": permute,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "shr": lambda a, b: a >> b,
    "mov": lambda a: a,
}


def run(assembly: str, word: int) -> list[int]:
    registers = {"$4": word}
    for line in assembly.strip("{} \n").split(";"):
        if ".reg" in line or not line.strip():
            continue
        name, target, *operands = re.findall(r"[$\w.]+", line)
        values = [registers[o] if o in registers else int(o, 0) for o in operands]
        registers[target] = OPERATIONS[name.removesuffix(".b32")](*values) & 0xFFFFFFFF
    return [registers[f"${number}"] for number in range(4)]


def as_bfloat16(bits: int) -> float:
    return float(
        torch.tensor(bits - (bits >> 15 << 16), dtype=torch.int16).view(torch.bfloat16)
    )


@pytest.mark.parametrize("place", range(4))
def test_every_byte_decodes_in_every_place(place):
    code = torch.tensor(CODE).to(torch.bfloat16).float().tolist()
    for byte in range(256):
        around = [0x5A, 0x0F, 0xC3, 0x96]
        around[place] = byte
        columns = run(ASSEMBLY, int.from_bytes(bytes(around), "little"))
        # Each output holds one column of two neighbours: the first pair's and the second's.
        halves = [
            [as_bfloat16(word >> shift & 0xFFFF) for shift in (0, 16)] for word in columns
        ]
        for pair, (first, second) in enumerate([around[:2], around[2:]]):
            expected = [
                code[first >> 4],
                code[first & 15],
                code[second >> 4],
                code[second & 15],
            ]
            assert [half[pair] for half in halves] == expected
