"""Layers whose weights stay in 4 bits (NF4 or int4): stacks of experts, and linears.

On a GPU they multiply with the kernels, elsewhere by decoding one matrix after the other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from transformers.integrations.moe import ExpertsInterface

from dg_lsp.models import kernels
from dg_lsp.models.kernels import ops, reference
from dg_lsp.models.nf4.format import (
    SCALE_BLOCK,
    Nf4,
    bitsandbytes,
    has_bitsandbytes,
    to_bitsandbytes,
)
from dg_lsp.models.w4a16.format import Int4

PACKED_EXPERTS = "packed_grouped"
KERNEL_ACTIVATION = "gelu_pytorch_tanh"


class PackedStack(nn.Module):
    """The matrices of a layer's experts in 4 bits, instead of the parameter."""

    def __init__(self, weight: Nf4 | Int4) -> None:
        super().__init__()
        self._format = type(weight)
        self._fields = [field.name for field in dataclasses.fields(weight)]
        for name in self._fields:
            value = getattr(weight, name)
            if isinstance(value, Tensor):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)

    @property
    def stored(self) -> Nf4 | Int4:
        return self._format(*(getattr(self, name) for name in self._fields))


def packed_experts_forward(
    self: nn.Module, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor
) -> Tensor:
    """The experts interface over two `PackedStack`s.

    Shapes: `hidden_states` (rows, hidden), `top_k_index` and `top_k_weights` (rows, k);
    returns (rows, hidden).
    """
    gate_up: Nf4 | Int4 = self.gate_up_proj.stored  # type: ignore[union-attr, assignment]
    down: Nf4 | Int4 = self.down_proj.stored  # type: ignore[union-attr, assignment]
    routed = (hidden_states, top_k_index, top_k_weights, gate_up, down)
    if self.config.hidden_activation == KERNEL_ACTIVATION:  # type: ignore[union-attr]
        return ops.grouped_experts(*routed)
    return reference.grouped_experts(*routed, self.act_fn)  # type: ignore[arg-type]


ExpertsInterface.register(PACKED_EXPERTS, packed_experts_forward)


class PackedMatrix(PackedStack):
    """A linear over one matrix in 4 bits."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        return ops.linear(flat, self.stored).view(*x.shape[:-1], -1)


class Beside(nn.Module):
    """Several linears over the same input, whose outputs stand beside each other."""

    def __init__(self, linears: Sequence[nn.Module]) -> None:
        super().__init__()
        self.linears = nn.ModuleList(linears)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([linear(x) for linear in self.linears], dim=-1)


def merged(linears: Sequence[nn.Module]) -> nn.Module:
    """One linear that does what `Beside` does, in one product where the weights allow it.

    The linears keep views of the merged weight, so that nothing is in memory twice.
    """
    if all(isinstance(each, PackedMatrix) for each in linears):
        return _merged_packed(cast("Sequence[PackedMatrix]", linears)) or Beside(linears)
    if any(type(each) is not nn.Linear or each.bias is not None for each in linears):
        return Beside(linears)
    dense = cast("Sequence[nn.Linear]", linears)
    weight = torch.cat([each.weight.detach() for each in dense])
    whole = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    whole.weight = nn.Parameter(weight, requires_grad=False)
    views = weight.split([len(each.weight) for each in dense])
    for each, view in zip(dense, views, strict=True):
        each.weight = nn.Parameter(view, requires_grad=False)
    return whole


def _merged_packed(linears: Sequence[PackedMatrix]) -> PackedMatrix | None:
    """`None` if the weights are in formats that differ, or not divided where blocks end."""
    stored = [each.stored for each in linears]
    int4 = [each for each in stored if isinstance(each, Int4)]
    nf4 = [each for each in stored if isinstance(each, Nf4)]
    if len(int4) == len(stored) and len({each.group for each in int4}) == 1:
        words, scales = _joined(linears, ("words", "scales"))
        return PackedMatrix(Int4(words, scales))
    if len(nf4) < len(stored) or any(each.absmax.numel() % SCALE_BLOCK for each in nf4):
        return None
    names = ("packed", "absmax", "nested_absmax", "offset")
    packed, absmax, nested, offset = _joined(linears, names)
    shape = sum(each.shape[0] for each in nf4), nf4[0].shape[1]
    return PackedMatrix(Nf4(packed, absmax, nested, nf4[0].table, offset, shape))


def _joined(linears: Sequence[PackedMatrix], names: Sequence[str]) -> list[Tensor]:
    """Each buffer of all linears in one tensor, of which theirs become views."""
    whole = []
    for name in names:
        parts: list[Tensor] = [getattr(each, name) for each in linears]
        whole.append(torch.cat(parts))
        views = whole[-1].split([len(part) for part in parts])
        for each, view in zip(linears, views, strict=True):
            setattr(each, name, view)
    return whole


def packed_linear(weight: Nf4 | Int4, dtype: torch.dtype) -> nn.Module:
    """A linear over one matrix: ours, or bitsandbytes' for NF4 on a GPU without our kernels."""
    if (
        isinstance(weight, Int4)
        or not has_bitsandbytes()
        # There it takes three times as long as ours.
        or weight.packed.device.type == "cpu"
        or kernels.available_on(weight.packed.device)
    ):
        return PackedMatrix(weight)
    outputs, inputs = weight.shape
    linear: nn.Module = bitsandbytes().nn.Linear4bit(
        inputs, outputs, bias=False, quant_type="nf4", device="meta"
    )
    state = to_bitsandbytes(weight, dtype)
    linear.weight = bitsandbytes().nn.Params4bit(
        weight.packed[:, None],
        requires_grad=False,
        quant_state=state,
        quant_type="nf4",
        bnb_quantized=True,
        module=linear,
    )
    linear.quant_state = state
    # At the first call, it would rewrite the buffer in another layout and round the scales.
    linear.support_avx512bf16_for_cpu = False  # type: ignore[assignment]
    return linear
