"""The self-test of a way of running a model: its numbers against those of plain torch.

Every check runs on the model's own device, weights and data type, and raises
`CheckFailedError` if the numbers differ by more than rounding explains. On a GPU all of them
take about a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from dg_lsp.engine.denoiser import Canvases, Prediction
from dg_lsp.models.gemma.attention import fold, grouped_sdpa
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.fused import ops as fused_ops
from dg_lsp.models.gemma.fused import reference as fused_reference
from dg_lsp.models.gemma.masks import canvas_mask, lanes
from dg_lsp.models.kernels import TOKENS_PER_TILE, ops, reference
from dg_lsp.models.packed_layers import KERNEL_ACTIVATION, PackedMatrix, PackedStack
from dg_lsp.reason import CodedError, ReasonCode

PROMPT_TOKENS = 300
CANVASES = (16, 9)
ROWS, SLOTS = 32, 320
"""Of the attention's check: two canvases and padding, after cached tokens and padding."""
TEMPERATURE = 0.7


class CheckFailedError(CodedError):
    """A way of computing gave other numbers than plain torch."""

    code = ReasonCode.WRONG_NUMBERS


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far numbers may differ because of rounding."""

    product: float
    """One result of a product or of attention, relative to the root mean square of all."""
    step: float
    """Log-probabilities and entropies of a step, in nats, on average."""
    embedding: float
    """Soft embeddings of a step, relative to their norm."""


EXACT = Tolerance(product=1e-3, step=2e-3, embedding=2e-3)
ROUNDED = Tolerance(product=0.1, step=0.3, embedding=0.2)
"""For 16 bits. Each layer adds its rounding, and a router may choose another expert of two that
are nearly equal; what is really wrong differs by as much as the numbers themselves."""


def tolerance_of(dtype: torch.dtype) -> Tolerance:
    return EXACT if dtype is torch.float32 else ROUNDED


def check_products(model: nn.Module) -> None:
    """The products of the first layer with 4-bit weights, in every tile size."""
    layer: Any = next(
        (
            layer
            for layer in model.model.decoder.layers  # type: ignore[union-attr]
            if any(isinstance(module, PackedStack) for module in layer.modules())
        ),
        None,
    )
    if layer is None:
        return
    dtype: torch.dtype = model.lm_head.weight.dtype  # type: ignore[assignment, union-attr]
    limit = tolerance_of(dtype).product
    for name, module in layer.named_modules():
        if isinstance(module, PackedMatrix):
            weight = module.stored
            for count in TOKENS_PER_TILE:
                rows = _random(count, weight.shape[1]).to(weight.tensors()[0].device, dtype)
                found, expected = ops.linear(rows, weight), reference.linear(rows, weight)
                _compare(f"the product {name} of {count} rows", found, expected, limit)
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
        rows = _random(max(1, tile * count // (2 * top_k)), width).to(device, dtype)
        scores = _random(len(rows), count).to(device)
        weights, index = scores.softmax(-1).topk(top_k)
        given = rows, index, weights, *stacks
        found = ops.grouped_experts(*given)
        expected = reference.grouped_experts(*given, experts.act_fn)
        _compare(f"the expert product of {len(rows)} rows", found, expected, limit)


def check_attention(denoiser: GemmaDenoiser) -> None:
    """The attention of a step, at each head size of the model."""
    weight = denoiser.model.lm_head.weight
    device, dtype = weight.device, weight.dtype
    heads: int = denoiser.model.config.text_config.num_attention_heads
    limit = tolerance_of(dtype).product
    lane = lanes(CANVASES, ROWS).to(device)
    cached = torch.tensor(PROMPT_TOKENS, device=device)
    real = sum(CANVASES)
    for key_heads, dim in sorted({(s.heads, s.dim) for s in denoiser.layer_shapes}):
        query = (_random(ROWS, heads, dim) * dim**-0.5).to(device, dtype)
        keys, values = (
            part.to(device, dtype) for part in _random(2, key_heads, SLOTS + ROWS, dim)
        )
        expected = fused_reference.attend(query, keys, values, lane, cached)
        if denoiser.is_fused:
            found = fused_ops.attend(query, keys, values, lane, cached)
        else:
            found = _masked_attention(query, keys, values, heads // key_heads)
        _compare(f"attention with heads of {dim}", found[:real], expected[:real], limit)


def _masked_attention(query: Tensor, keys: Tensor, values: Tensor, groups: int) -> Tensor:
    """What the class's layers do, with a mask as a bucket has it."""
    visible = canvas_mask(CANVASES, PROMPT_TOKENS, ROWS, SLOTS)
    folded = fold(visible[None, None].to(query.device), groups)
    mask = torch.zeros_like(folded, dtype=query.dtype).masked_fill_(~folded, -torch.inf)
    layer: Any = SimpleNamespace(num_key_value_groups=groups, is_causal=False)
    found, _ = grouped_sdpa(
        layer, query.transpose(0, 1)[None], keys[None], values[None], mask, scaling=1.0
    )
    return found[0]


def sample_steps(denoiser: GemmaDenoiser) -> list[Prediction]:
    """Two steps, the second conditioned on the first, after a fixed prompt."""
    vocab, device = denoiser.vocab_size, denoiser.device
    dice = torch.Generator().manual_seed(0)
    lengths = tuple(min(length, denoiser.canvas_length) for length in CANVASES)
    rows = sum(lengths)
    is_free = torch.rand(rows, generator=dice) < 0.7
    is_free[0] = True
    free, pinned = is_free.nonzero().squeeze(1), (~is_free).nonzero().squeeze(1)
    canvases = Canvases(
        lengths,
        free.to(device),
        pinned.to(device),
        (torch.rand(1, vocab, generator=dice) < 0.1).to(device),
        torch.zeros_like(free).to(device),
    )
    encoded = denoiser.encode(torch.randint(vocab, (PROMPT_TOKENS,), generator=dice).tolist())
    found: list[Prediction] = []
    for _ in range(2):
        canvas = torch.randint(vocab, (rows,), generator=dice).to(device)
        share = torch.rand(len(free), generator=dice).to(device)
        conditioning = found[-1].conditioning if found else None
        found.append(
            denoiser.denoise(encoded, canvases, canvas, conditioning, TEMPERATURE, share)
        )
    return found


def check_steps(
    found: list[Prediction], expected: list[Prediction], dtype: torch.dtype
) -> None:
    """The steps of `sample_steps` against those of a denoiser that runs plainly."""
    limit = tolerance_of(dtype)
    for ours, plain in zip(found, expected, strict=True):
        for name in ("log_probability", "entropy", "free_fit", "pinned_fit"):
            a, b = getattr(ours, name), getattr(plain, name)
            _within(f"{name} of a step", (a - b).abs().mean(), limit.step)
        assert ours.conditioning is not None
        assert plain.conditioning is not None
        a, b = ours.conditioning.float(), plain.conditioning.float()
        _within("the soft embeddings of a step", (a - b).norm() / b.norm(), limit.embedding)


def _compare(what: str, found: Tensor, expected: Tensor, limit: float) -> None:
    size = expected.float().pow(2).mean().sqrt()
    _within(what, (found.float() - expected.float()).abs().max() / size, limit)


def _within(what: str, difference: Tensor, limit: float) -> None:
    # Written so that a difference that is not a number fails.
    if not difference.item() <= limit:
        raise CheckFailedError(
            f"{what} differs from plain torch by {difference.item():.2g}, and rounding "
            f"explains {limit:g}"
        )


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))
