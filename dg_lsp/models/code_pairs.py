"""Decodes weights that hold two 4-bit codes in each byte, by looking up both at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class CodePairs:
    """A matrix, or a stack of them, whose codes and scales any format can be seen as."""

    packed: Tensor
    """([experts,] outputs, inputs / 2) uint8"""
    scales: Tensor
    """([experts,] outputs, groups) float32"""
    table: Tensor
    """(256,) from `pair_table`"""

    @property
    def shape(self) -> tuple[int, ...]:
        """([experts,] outputs, inputs)"""
        return (*self.packed.shape[:-1], 2 * self.packed.shape[-1])

    def decode(self, start: int = 0, end: int | None = None) -> Tensor:
        """The values of a slice of the first dimension, float32."""
        packed, scales = self.packed[start:end], self.scales[start:end]
        both = torch.index_select(self.table, 0, packed.flatten().int())
        grouped = both.view(torch.float32).view(scales.numel(), -1)
        return grouped.mul_(scales.reshape(-1, 1)).view(*packed.shape[:-1], -1)


def pair_table(codes: Sequence[float], *, first_is_high: bool, device: torch.device) -> Tensor:
    """The two values of each byte, as the bits of one integer: (256,) int64.

    `codes` are the values of the 16 codes; the first value of a pair has its code in the high
    or in the low half of the byte. Selecting integers takes half the time of selecting pairs.
    """
    values = torch.tensor(codes, dtype=torch.float32, device=device)
    byte = torch.arange(256, device=device)
    high, low = values[byte >> 4], values[byte & 15]
    both = (high, low) if first_is_high else (low, high)
    return torch.stack(both, dim=1).view(torch.int64).flatten()
