"""The kernels' results in plain torch: decode a matrix, then multiply.

Runs on any device. On a CPU, a matrix is decoded in slices that stay in the cache, and threads
share the work. The loop over experts waits for the device, so a CUDA graph cannot capture it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from dg_lsp.models.code_pairs import CodePairs
from dg_lsp.models.kernels.sharing import for_each

SLICE_VALUES = 1 << 17
"""Values decoded at once on a CPU: as float32, about as much as one core's cache holds."""


class Packed(Protocol):
    """A matrix in a format that packs values."""

    def pairs(self) -> CodePairs: ...


class Stack(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...

    def matrix(self, expert: int) -> Packed:
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


def linear(rows: Tensor, weight: Packed) -> Tensor:
    """(rows, inputs) times a packed (outputs, inputs): (rows, outputs)."""
    pairs = weight.pairs()
    product = rows.new_empty(rows.shape[0], pairs.shape[0])
    for_each(_slices(pairs), lambda part: _multiply(rows, pairs, product, part))
    return product


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
    chosen = order.long()
    shares = weights.reshape(-1, 1)
    products = hidden.new_empty(index.numel(), hidden.shape[1])

    def run(expert: int, start: int, end: int) -> None:
        mine = chosen[start:end]
        both = _linear_in_one_thread(hidden[mine // top_k], gate_up.matrix(expert))
        gate, up = both.chunk(2, dim=-1)
        product = _linear_in_one_thread(activation(gate) * up, down.matrix(expert))
        products[mine] = (product * shares[mine]).to(products.dtype)

    bounds = itertools.pairwise(starts.tolist())
    used = [(expert, *bound) for expert, bound in enumerate(bounds) if bound[0] < bound[1]]
    for_each(used, lambda one: run(*one))
    return products.view(*index.shape, -1).sum(dim=1)


def _linear_in_one_thread(rows: Tensor, weight: Packed) -> Tensor:
    pairs = weight.pairs()
    product = rows.new_empty(rows.shape[0], pairs.shape[0])
    for part in _slices(pairs):
        _multiply(rows, pairs, product, part)
    return product


def _slices(pairs: CodePairs) -> list[slice]:
    """The slices of the outputs that are decoded at once."""
    outputs, inputs = pairs.shape
    step = outputs if pairs.packed.is_cuda else max(1, SLICE_VALUES // inputs)
    return [slice(start, min(start + step, outputs)) for start in range(0, outputs, step)]


def _multiply(rows: Tensor, pairs: CodePairs, product: Tensor, part: slice) -> None:
    values = pairs.decode(part.start, part.stop).to(rows.dtype)
    product[:, part] = nn.functional.linear(rows, values)
