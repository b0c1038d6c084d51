"""The self-test of a way of running the model: its numbers against those of plain torch.

On a GPU, all of its checks take about a second.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from dg_lsp.engine.denoiser import Canvases, Prediction
from dg_lsp.models.checking import compare, random_rows, tolerance_of, within
from dg_lsp.models.gemma.attention import fold, grouped_sdpa
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.fused import ops as fused_ops
from dg_lsp.models.gemma.fused import reference as fused_reference
from dg_lsp.models.gemma.masks import canvas_mask, lanes

PROMPT_TOKENS = 300
CANVASES = (16, 9)
ROWS, SLOTS = 32, 320
"""Of the attention's check: two canvases and padding, after cached tokens and padding."""
TEMPERATURE = 0.7


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
        query = (random_rows(ROWS, heads, dim) * dim**-0.5).to(device, dtype)
        keys, values = (
            part.to(device, dtype) for part in random_rows(2, key_heads, SLOTS + ROWS, dim)
        )
        expected = fused_reference.attend(query, keys, values, lane, cached)
        if denoiser.is_fused:
            found = fused_ops.attend(query, keys, values, lane, cached)
        else:
            found = _masked_attention(query, keys, values, heads // key_heads)
        compare(f"attention with heads of {dim}", found[:real], expected[:real], limit)


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
            within(f"{name} of a step", (a - b).abs().mean(), limit.step)
        assert ours.conditioning is not None
        assert plain.conditioning is not None
        a, b = ours.conditioning.float(), plain.conditioning.float()
        within("the soft embeddings of a step", (a - b).norm() / b.norm(), limit.embedding)
