"""The attention in a way of running the model, against that in plain torch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from dg_lsp.models.checking import compare, random_rows, tolerance_of
from dg_lsp.models.gemma.attention import fold, grouped_sdpa
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.fused import ops as fused_ops
from dg_lsp.models.gemma.fused import reference as fused_reference
from dg_lsp.models.gemma.masks import canvas_mask, lanes, slots_seen

PROMPT_TOKENS = 300
CANVASES = (16, 9)
ROWS, SLOTS = 32, 320
"""Of the attention's check: two canvases and padding, after cached tokens and padding."""


def check_attention(denoiser: GemmaDenoiser) -> None:
    """The attention of a step, at each head size of the model."""
    weight = denoiser.model.lm_head.weight
    device, dtype = weight.device, weight.dtype
    heads: int = denoiser.model.config.text_config.num_attention_heads
    limit = tolerance_of(dtype).product
    lane = lanes(CANVASES, ROWS).to(device)
    places = [range(PROMPT_TOKENS)] * len(CANVASES)
    seen = slots_seen(CANVASES, places, ROWS, SLOTS).to(device)
    real = sum(CANVASES)
    for key_heads, dim in sorted({(s.heads, s.dim) for s in denoiser.layer_shapes}):
        query = (random_rows(ROWS, heads, dim) * dim**-0.5).to(device, dtype)
        keys, values = (
            part.to(device, dtype) for part in random_rows(2, key_heads, SLOTS + ROWS, dim)
        )
        expected = fused_reference.attend(query, keys, values, lane, seen)
        if denoiser.is_fused:
            found = fused_ops.attend(query, keys, values, lane, seen)
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
