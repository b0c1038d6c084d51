"""Layers whose weights stay in NF4: stacks of experts, and linears.

On a GPU they multiply with the kernels, elsewhere by decoding one matrix after the other.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from transformers.integrations.moe import ExpertsInterface

from dg_lsp.models.nf4 import kernels
from dg_lsp.models.nf4.format import (
    Nf4,
    bitsandbytes,
    from_bitsandbytes,
    has_bitsandbytes,
    to_bitsandbytes,
)
from dg_lsp.models.nf4.kernels import reference

PACKED_EXPERTS = "nf4_grouped"
KERNEL_ACTIVATION = "gelu_pytorch_tanh"
ROWS_OF_BITSANDBYTES = 16
"""Up to this many rows, bitsandbytes multiplies without first decoding the matrix to memory, on
every GPU that it has a kernel for; with more rows, only on some."""


class PackedStack(nn.Module):
    """The matrices of a layer's experts in NF4, instead of the parameter."""

    packed: Tensor
    absmax: Tensor
    nested_absmax: Tensor
    table: Tensor
    offset: Tensor

    def __init__(self, weight: Nf4) -> None:
        super().__init__()
        self.shape = weight.shape
        names = ("packed", "absmax", "nested_absmax", "table", "offset")
        for name, tensor in zip(names, weight.tensors(), strict=True):
            self.register_buffer(name, tensor)

    @property
    def nf4(self) -> Nf4:
        return Nf4(
            self.packed, self.absmax, self.nested_absmax, self.table, self.offset, self.shape
        )


def packed_experts_forward(
    self: nn.Module, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor
) -> Tensor:
    """The experts interface over two `PackedStack`s.

    Shapes: `hidden_states` (rows, hidden), `top_k_index` and `top_k_weights` (rows, k);
    returns (rows, hidden).
    """
    gate_up: Nf4 = self.gate_up_proj.nf4  # type: ignore[union-attr, assignment]
    down: Nf4 = self.down_proj.nf4  # type: ignore[union-attr, assignment]
    activation = self.config.hidden_activation  # type: ignore[union-attr]
    if kernels.available_on(hidden_states.device) and activation == KERNEL_ACTIVATION:
        from dg_lsp.models.nf4.kernels import nf4

        return nf4.grouped_experts(hidden_states, top_k_index, top_k_weights, gate_up, down)
    return reference.grouped_experts(
        hidden_states,
        top_k_index,
        top_k_weights,
        gate_up,
        down,
        self.act_fn,  # type: ignore[arg-type]
    )


ExpertsInterface.register(PACKED_EXPERTS, packed_experts_forward)


class PackedMatrix(PackedStack):
    """A linear over one matrix in NF4, if bitsandbytes is not installed."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        if kernels.available_on(x.device):
            from dg_lsp.models.nf4.kernels import nf4

            return nf4.linear(flat, self.nf4).view(*x.shape[:-1], -1)
        return reference.linear(flat, self.nf4).view(*x.shape[:-1], -1)


def packed_linear(weight: Nf4, dtype: torch.dtype) -> nn.Module:
    """bitsandbytes' Linear4bit, with our product where its own would decode to memory."""
    if not has_bitsandbytes():
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
            from dg_lsp.models.nf4.kernels import nf4

            flat = x.reshape(rows, x.shape[-1])
            packed = from_bitsandbytes(self.weight, self.weight.quant_state)
            return nf4.linear(flat, packed).view(*x.shape[:-1], -1)

    return PackedLinear
