"""Layers whose weights stay in 4 bits (NF4 or int4): stacks of experts, and linears.

On a GPU they multiply with the kernels, elsewhere by decoding one matrix after the other.
"""

from __future__ import annotations

import dataclasses
import functools

import torch
from torch import Tensor, nn
from transformers.integrations.moe import ExpertsInterface

from dg_lsp.models import kernels
from dg_lsp.models.kernels import reference
from dg_lsp.models.nf4.format import (
    Nf4,
    bitsandbytes,
    from_bitsandbytes,
    has_bitsandbytes,
    to_bitsandbytes,
)
from dg_lsp.models.w4a16.format import Int4

PACKED_EXPERTS = "packed_grouped"
KERNEL_ACTIVATION = "gelu_pytorch_tanh"
ROWS_OF_BITSANDBYTES = 16
"""Up to this many rows, bitsandbytes multiplies without first decoding the matrix to memory, on
every GPU that it has a kernel for; with more rows, only on some."""


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
    activation = self.config.hidden_activation  # type: ignore[union-attr]
    if kernels.available_on(hidden_states.device) and activation == KERNEL_ACTIVATION:
        from dg_lsp.models.kernels import products

        return products.grouped_experts(*routed)
    return reference.grouped_experts(*routed, self.act_fn)  # type: ignore[arg-type]


ExpertsInterface.register(PACKED_EXPERTS, packed_experts_forward)


class PackedMatrix(PackedStack):
    """A linear over one matrix in 4 bits, without bitsandbytes."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        if kernels.available_on(x.device):
            from dg_lsp.models.kernels import products

            return products.linear(flat, self.stored).view(*x.shape[:-1], -1)
        return reference.linear(flat, self.stored).view(*x.shape[:-1], -1)


def packed_linear(weight: Nf4 | Int4, dtype: torch.dtype) -> nn.Module:
    """For NF4, bitsandbytes' Linear4bit, with our product where its own would decode to
    memory."""
    if isinstance(weight, Int4) or not has_bitsandbytes():
        return PackedMatrix(weight)
    outputs, inputs = weight.shape
    linear: nn.Module = _linear_class()(
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


@functools.cache
def _linear_class() -> type[nn.Module]:
    """Defined late, because bitsandbytes is imported only for packed models."""

    class PackedLinear(bitsandbytes().nn.Linear4bit):  # type: ignore[misc]
        def forward(self, x: Tensor) -> Tensor:
            rows = x.numel() // x.shape[-1]
            if rows <= ROWS_OF_BITSANDBYTES or not kernels.available_on(x.device):
                product: Tensor = super().forward(x)
                return product
            from dg_lsp.models.kernels import products

            flat = x.reshape(rows, x.shape[-1])
            packed = from_bitsandbytes(self.weight, self.weight.quant_state)
            return products.linear(flat, packed).view(*x.shape[:-1], -1)

    return PackedLinear
