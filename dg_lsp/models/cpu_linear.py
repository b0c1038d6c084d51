"""Matrix products of small models on an x86 CPU, with weights that are packed once.

torch's own float32 product packs its weights anew at every call, which dominates when the input
has few rows, as in a denoising step. The products here have their weights in FBGEMM's order:

- `HALF` keeps them in float16 and computes in float32. Weights that were published in bfloat16
  lose nothing unless they are below 6e-5.
- `INT8` also rounds the input, to 7 bits with a scale for each row, so that FBGEMM's 16-bit
  sums cannot overflow. The scale of a weight is that of its output channel.

`dg-lsp bench peers` measures what each is worth.
"""

from __future__ import annotations

import enum
import functools
import warnings
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

Product: TypeAlias = Callable[[Tensor], Tensor]
"""From float32 rows (rows, in) to their products with a weight (rows, out)."""


class CpuWeights(enum.Enum):
    """How the weights of matrix products are kept on a CPU."""

    FLOAT32 = "float32"
    HALF = "float16"
    INT8 = "int8"


def fastest_exact() -> CpuWeights:
    """The fastest of them that does not change what a model says, on this machine."""
    return CpuWeights.HALF if can_pack() else CpuWeights.FLOAT32


def can_pack() -> bool:
    """Whether this torch has FBGEMM and its operators, and the CPU has what FBGEMM needs."""
    has_fbgemm = "fbgemm" in torch.backends.quantized.supported_engines
    has_operator = hasattr(torch.ops.quantized, "linear_prepack_fp16")
    return has_fbgemm and has_operator and torch.cpu._is_avx2_supported()


def product(weight: Tensor) -> Product:
    """The product with a float32 weight (out, in), packed where that changes no weight."""
    weight = weight.detach()
    if can_pack() and torch.equal(weight.half().float(), weight):
        return PackedLinear(weight, None, CpuWeights.HALF)
    return functools.partial(nn.functional.linear, weight=weight)


def pack_linears(model: nn.Module, weights: CpuWeights) -> None:
    """Replace every `nn.Linear` inside a float32 model by a packed one.

    An embedding that shares its weight with one stays as it is.
    """
    if weights is CpuWeights.FLOAT32:
        return
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                setattr(parent, name, packed(child, weights))


def packed(linear: nn.Linear, weights: CpuWeights) -> PackedLinear:
    """The same product with packed weights, `HALF` or `INT8`."""
    return PackedLinear(linear.weight, linear.bias, weights)


def packed_bytes(model: nn.Module, weights: CpuWeights) -> int:
    """Memory of a float32 model, or of its shape, after `pack_linears`."""
    if weights is CpuWeights.FLOAT32:
        return 4 * sum(parameter.numel() for parameter in model.parameters())
    products = [one for one in model.modules() if type(one) is nn.Linear]
    bulk = sum(one.weight.numel() for one in products)
    # An embedding that shares its weight with a product has one of its own afterwards.
    rest = sum(
        parameter.numel()
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if not (type(module) is nn.Linear and name == "weight")
    )
    return 4 * rest + (2 if weights is CpuWeights.HALF else 1) * bulk


class PackedLinear(nn.Module):
    """`x @ weight.T + bias` for float32 inputs, on a CPU, without gradients."""

    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, weights: CpuWeights) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.weights = weights
        weight = weight.detach().float()
        self.register_buffer("bias", None if bias is None else bias.detach().float())
        if weights is CpuWeights.HALF:
            self._packed = torch.ops.quantized.linear_prepack_fp16(weight, None)
        else:
            self._packed = torch.ops.quantized.linear_prepack(_in_int8(weight), None)

    def forward(self, x: Tensor) -> Tensor:
        """(rows, in), or with more dimensions before them, to (rows, out)."""
        if self.weights is CpuWeights.HALF:
            y: Tensor = torch.ops.quantized.linear_dynamic_fp16(x, self._packed)
        else:
            # The operator has one scale for all rows; rows that span the same range share it
            # without loss.
            scale = x.abs().amax(-1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
            y = torch.ops.quantized.linear_dynamic(x / scale, self._packed, True)
            y = y.mul_(scale)
        return y if self.bias is None else y.add_(self.bias)

    def extra_repr(self) -> str:
        return f"in={self.in_features}, out={self.out_features}, weights={self.weights.value}"


def _in_int8(weight: Tensor) -> Tensor:
    """(out, in) with a scale for each row, which its largest value has at 127."""
    scales = weight.abs().amax(1).clamp_min(torch.finfo(torch.float32).tiny).double() / 127
    zeros = torch.zeros(len(weight), dtype=torch.long)
    with warnings.catch_warnings():
        # torch will drop tensors of this kind, but has nothing yet that is as fast here.
        warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)
        return torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
