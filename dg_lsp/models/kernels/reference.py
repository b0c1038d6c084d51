"""The kernels' results in plain torch: decode a matrix, then multiply.

Runs on any device. The loop over experts waits for the device, so a CUDA graph cannot capture
it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn


class Decodable(Protocol):
    """A matrix, or a stack of them, in a format that packs values."""

    def decode(self, dtype: torch.dtype) -> Tensor:
        """The values, in the weight's shape."""
        ...


class Stack(Decodable, Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...

    def matrix(self, expert: int) -> Decodable:
        """One matrix of a stack, without copying it."""
        ...


def sort_by_expert(index: Tensor, experts: int) -> tuple[Tensor, Tensor]:
    """Pairs of row and expert, grouped by expert and in order within each.

    `index` is (rows, k). Returns the pairs' numbers, (rows * k,), and where each expert's
    pairs start, (experts + 1,), both int32.
    """
    chosen = index.flatten()
    order = torch.argsort(chosen, stable=True)
    edges = torch.arange(experts + 1, device=index.device)
    starts = torch.searchsorted(chosen[order], edges.to(chosen.dtype))
    return order.to(torch.int32), starts.to(torch.int32)


def linear(rows: Tensor, weight: Decodable) -> Tensor:
    """(rows, inputs) times a packed (outputs, inputs): (rows, outputs)."""
    return nn.functional.linear(rows, weight.decode(rows.dtype))


def grouped_experts(
    hidden: Tensor,
    index: Tensor,
    weights: Tensor,
    gate_up: Stack,
    down: Stack,
    activation: Callable[[Tensor], Tensor],
) -> Tensor:
    """Each row through its experts, weighted by the router.

    Shapes: `hidden` (rows, hidden), `index` and `weights` (rows, k), `gate_up` (experts,
    2 * inner, hidden), `down` (experts, hidden, inner); returns (rows, hidden).
    """
    top_k = index.shape[1]
    order, starts = sort_by_expert(index, gate_up.shape[0])
    pairs = hidden.new_empty(index.numel(), hidden.shape[1])
    bounds = starts.tolist()
    for expert, (start, end) in enumerate(itertools.pairwise(bounds)):
        if start == end:
            continue
        mine = order[start:end].long()
        both = linear(hidden[mine // top_k], gate_up.matrix(expert))
        gate, up = both.chunk(2, dim=-1)
        product = linear(activation(gate) * up, down.matrix(expert))
        pairs[mine] = (product * weights.flatten()[mine, None]).to(pairs.dtype)
    return pairs.view(*index.shape, -1).sum(dim=1)
