"""The products with 4-bit weights as operations of torch, so that compiled layers may contain
them. Where the kernels do not run, their references do.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dg_lsp.models import kernels
from dg_lsp.models.kernels import reference
from dg_lsp.models.nf4.format import Nf4
from dg_lsp.models.w4a16.format import Int4

INT4_TENSORS = 2


def linear(rows: Tensor, weight: Nf4 | Int4) -> Tensor:
    """`reference.linear`."""
    product: Tensor = _linear(_arranged(rows), *_taken_apart(weight))
    return product


def grouped_experts(
    hidden: Tensor, index: Tensor, weights: Tensor, gate_up: Nf4 | Int4, down: Nf4 | Int4
) -> Tensor:
    """`reference.grouped_experts`, with the tanh form of gelu."""
    summed: Tensor = _experts(
        _arranged(hidden), index, weights, *_taken_apart(gate_up), *_taken_apart(down)
    )
    return summed


@torch.library.custom_op("dg_lsp::packed_linear", mutates_args=())
def _linear(rows: Tensor, stored: list[Tensor], shape: list[int]) -> Tensor:
    weight = _weight(stored, shape)
    if not kernels.available_on(rows.device):
        return reference.linear(rows, weight)
    from dg_lsp.models.kernels import products

    return products.linear_of_split(rows, weight)


@torch.library.custom_op("dg_lsp::packed_experts", mutates_args=())
def _experts(
    hidden: Tensor,
    index: Tensor,
    weights: Tensor,
    gate_up: list[Tensor],
    gate_up_shape: list[int],
    down: list[Tensor],
    down_shape: list[int],
) -> Tensor:
    routed = (
        hidden,
        index,
        weights,
        _weight(gate_up, gate_up_shape),
        _weight(down, down_shape),
    )
    if not kernels.available_on(hidden.device):
        return reference.grouped_experts(*routed, _gelu)
    from dg_lsp.models.kernels import products

    return products.experts_of_split(*routed)


@_linear.register_fake
def _(rows: Tensor, stored: list[Tensor], shape: list[int]) -> Tensor:
    return rows.new_empty(rows.shape[0], shape[0])


@_experts.register_fake
def _(hidden: Tensor, *_: object) -> Tensor:
    return torch.empty_like(hidden)


def _arranged(rows: Tensor) -> Tensor:
    """The rows as the operation reads them. Outside of it, so that the compiler fuses this."""
    if not kernels.available_on(rows.device):
        return rows
    from dg_lsp.models.kernels import products

    return products.split(rows)


def _taken_apart(weight: Nf4 | Int4) -> tuple[list[Tensor], list[int]]:
    """Tensors and shape; an operation takes nothing else."""
    return list(weight.tensors()), list(weight.shape)


def _weight(tensors: list[Tensor], shape: list[int]) -> Nf4 | Int4:
    if len(tensors) == INT4_TENSORS:
        return Int4(*tensors)
    packed, absmax, nested_absmax, table, offset = tensors
    return Nf4(packed, absmax, nested_absmax, table, offset, tuple(shape))


def _gelu(x: Tensor) -> Tensor:
    return nn.functional.gelu(x, approximate="tanh")
