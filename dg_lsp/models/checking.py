"""What the self-tests of all families share: how far numbers may differ, and the products.

Every check runs on the model's own device, weights and data type, and raises
`CheckFailedError` if the numbers differ by more than rounding explains.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dg_lsp.models.kernels import TOKENS_PER_TILE, ops, reference
from dg_lsp.models.packed_layers import KERNEL_ACTIVATION, PackedMatrix, PackedStack
from dg_lsp.reason import CodedError, ReasonCode


class CheckFailedError(CodedError):
    """A way of computing gave other numbers than plain torch."""

    code = ReasonCode.WRONG_NUMBERS


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far numbers may differ because of rounding."""

    product: float
    """One result of a product or of attention, relative to the root mean square of all."""
    step: float
    """Log-probabilities and entropies, in nats, on average."""
    embedding: float
    """Soft embeddings of a step and states of the encoder, relative to their norm."""


EXACT = Tolerance(product=1e-3, step=2e-3, embedding=2e-3)
ROUNDED = Tolerance(product=0.1, step=0.3, embedding=0.2)
"""For 16 bits. Each layer adds its rounding, and a router may choose another expert of two that
are nearly equal; what is really wrong differs by as much as the numbers themselves."""


def tolerance_of(dtype: torch.dtype) -> Tolerance:
    return EXACT if dtype is torch.float32 else ROUNDED


def check_products(layers: Iterable[nn.Module], dtype: torch.dtype) -> None:
    """The products of the first layer with 4-bit weights, in every tile size."""
    layer: Any = next(
        (
            layer
            for layer in layers
            if any(isinstance(module, PackedStack) for module in layer.modules())
        ),
        None,
    )
    if layer is None:
        return
    limit = tolerance_of(dtype).product
    for name, module in layer.named_modules():
        if isinstance(module, PackedMatrix):
            weight = module.stored
            for count in TOKENS_PER_TILE:
                rows = random_rows(count, weight.shape[1]).to(weight.tensors()[0].device, dtype)
                found, expected = ops.linear(rows, weight), reference.linear(rows, weight)
                compare(f"the product {name} of {count} rows", found, expected, limit)
    experts = getattr(layer, "experts", None)
    if experts is None or not isinstance(experts.gate_up_proj, PackedStack):
        return
    if experts.config.hidden_activation != KERNEL_ACTIVATION:
        return
    stacks = experts.gate_up_proj.stored, experts.down_proj.stored
    count, width, _ = stacks[1].shape
    device = stacks[0].tensors()[0].device
    top_k: int = experts.config.top_k_experts
    for tile in TOKENS_PER_TILE:
        # As many rows as `products.tokens_per_tile` answers with this size.
        rows = random_rows(max(1, tile * count // (2 * top_k)), width).to(device, dtype)
        scores = random_rows(len(rows), count).to(device)
        weights, index = scores.softmax(-1).topk(top_k)
        given = rows, index, weights, *stacks
        found = ops.grouped_experts(*given)
        expected = reference.grouped_experts(*given, experts.act_fn)
        compare(f"the expert product of {len(rows)} rows", found, expected, limit)


def compare(what: str, found: Tensor, expected: Tensor, limit: float) -> None:
    size = expected.float().pow(2).mean().sqrt()
    within(what, (found.float() - expected.float()).abs().max() / size, limit)


def within(what: str, difference: Tensor, limit: float) -> None:
    # Written so that a difference that is not a number fails.
    if not difference.item() <= limit:
        raise CheckFailedError(
            f"{what} differs from plain torch by {difference.item():.2g}, and rounding "
            f"explains {limit:g}"
        )


def random_rows(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))
