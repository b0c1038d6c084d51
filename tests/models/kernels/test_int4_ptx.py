"""The assembly that decodes int4 in registers, carried out by hand on every halfword."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from dg_lsp.models.kernels.int4_ptx import ASSEMBLY


def pairs(word: Tensor) -> Tensor:
    """Two bfloat16 in each of (n,) int64 words: (n, 2) float32."""
    halves = torch.stack([word & 0xFFFF, word >> 16 & 0xFFFF], -1)
    return (halves << 16).to(torch.int32).view(torch.float32)


def words(two: Tensor) -> Tensor:
    """(n, 2) float32, rounded to bfloat16: (n,) int64."""
    bits = two.to(torch.bfloat16).view(torch.int16).to(torch.int64) & 0xFFFF
    return bits[:, 0] | bits[:, 1] << 16


def look_up(a: Tensor, b: Tensor, c: Tensor, table: Tensor) -> Tensor:
    """`lop3.b32` as the PTX manual has it: the table's bit for every three bits."""
    result = torch.zeros_like(a)
    for number in range(8):
        if int(table[0]) >> number & 1:
            sides = [x if number & bit else ~x for x, bit in ((a, 4), (b, 2), (c, 1))]
            result |= sides[0] & sides[1] & sides[2]
    return result & 0xFFFFFFFF


OPERATIONS = {
    "lop3.b32": look_up,
    "shr.b32": lambda a, b: a >> b,
    "mov.b32": lambda a: a,
    # Of bfloat16, exact in float64 and rounded once.
    "fma.rn.bf16x2": lambda a, b, c: words(
        (pairs(a).double() * pairs(b).double() + pairs(c).double()).float()
    ),
}


def run(data: Tensor, scales: Tensor) -> list[Tensor]:
    """The four outputs, (n, 2) float32, for (n,) words of data and of scales."""
    registers = {"$4": data, "$5": scales}
    for line in ASSEMBLY.strip("{} \n").split(";"):
        if ".reg" in line or not line.strip():
            continue
        name, target, *operands = re.findall(r"[$\w.]+", line)
        values = [
            registers[o] if o in registers else torch.full_like(data, int(o, 0))
            for o in operands
        ]
        registers[target] = OPERATIONS[name](*values)
    return [pairs(registers[f"${number}"]) for number in range(4)]


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("scale", [1.0, 0.0123, -3.5e-4])
def test_every_halfword_decodes_in_every_place(place, scale):
    halfwords = torch.arange(1 << 16)
    other, factor, of_other = 0x9C3A, torch.tensor(scale).to(torch.bfloat16), 0.5
    data = halfwords | other << 16 if place == 0 else halfwords << 16 | other
    both = torch.tensor([[scale, of_other] if place == 0 else [of_other, scale]])
    columns = run(data, words(both).expand(len(data)))

    for number, column in enumerate(columns):
        codes = (halfwords >> 4 * number & 15) - 8
        expected = (codes.double() * factor.double()).float().to(torch.bfloat16).float()
        assert torch.equal(column[:, place], expected)
        beside = ((other >> 4 * number & 15) - 8) * of_other
        assert torch.all(column[:, 1 - place] == beside)
