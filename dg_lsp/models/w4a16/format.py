"""Weights in int4: 4-bit integers, and a scale per group of 32, 64 or 128 along the inputs.

This is what compressed-tensors calls `pack-quantized`: eight values to a word of 32 bits, the
first in the lowest bits, each stored as value + 8; the scales are bfloat16. The bits stay as
the checkpoint has them.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from dg_lsp.models.code_pairs import CodePairs, pair_table

BLOCK = 64
"""The kernels multiply this many values of a row at a time."""
PER_WORD = 8


@dataclass(frozen=True, slots=True)
class Int4:
    """A packed matrix, or a stack of them."""

    words: Tensor
    """([experts,] outputs, inputs / 8) int32"""
    scales: Tensor
    """([experts,] outputs, inputs / group) bfloat16"""

    @property
    def shape(self) -> tuple[int, ...]:
        """([experts,] outputs, inputs)"""
        return (*self.words.shape[:-1], self.words.shape[-1] * PER_WORD)

    @property
    def group(self) -> int:
        return self.shape[-1] // self.scales.shape[-1]

    def pairs(self) -> CodePairs:
        """Its codes without copying them, and its scales."""
        # In the bytes of a word, as in the word, the first value has the lower bits.
        codes = self.words.contiguous().view(torch.uint8)
        return CodePairs(codes, self.scales.float(), _table(codes.device))

    def decode(self, dtype: torch.dtype) -> Tensor:
        """The values, in the weight's shape, each rounded once."""
        return self.pairs().decode().to(dtype)

    def matrix(self, expert: int) -> Int4:
        """One matrix of a stack, without copying it."""
        return Int4(self.words[expert], self.scales[expert])

    def tensors(self) -> tuple[Tensor, ...]:
        return self.words, self.scales


@functools.cache
def _table(device: torch.device) -> Tensor:
    return pair_table(range(-8, 8), first_is_high=False, device=device)


def stored_bytes(shape: tuple[int, ...], group: int) -> int:
    """Bytes of a weight of this shape."""
    values = torch.Size(shape).numel()
    return values // 2 + values // group * 2
