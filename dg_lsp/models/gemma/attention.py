"""Makes attention layers read keys and values that dg-lsp manages itself.

transformers' caches grow by concatenation in every layer of every forward pass, and, given a
mask, its attention copies keys and values once per query head. Here, a forward pass gives its
rows to a `KeyValues`, which writes them after the cached ones and returns views of both, and
query heads that share a key head are treated as additional rows.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask
from transformers.models.diffusion_gemma.modeling_diffusion_gemma import (
    DiffusionGemmaDecoderTextAttention,
    DiffusionGemmaDecoderTextLayer,
    DiffusionGemmaEncoderTextAttention,
    DiffusionGemmaText4MLP,
    DiffusionGemmaTextRouter,
)

from dg_lsp.models.gemma import fused
from dg_lsp.models.packed_layers import merged

GROUPED = "grouped_sdpa"


class KeyValues(Protocol):
    """The object that dg-lsp passes as `past_key_values`."""

    def update(self, keys: Tensor, values: Tensor, layer_idx: int) -> tuple[Tensor, Tensor]:
        """Store the rows' keys and values (1, heads, rows, dim); return all that the rows read.

        Returns (1, heads, cached + rows, dim) each.
        """
        ...


class CanvasAttention(DiffusionGemmaDecoderTextAttention):  # type: ignore[misc]
    """The decoder's attention, for a `KeyValues` or a transformers cache.

    Given `fused.Lanes` instead of a mask, and `fused.Slots`, it runs the fused kernels.
    """

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Any,
        past_key_values: Any = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        if isinstance(attention_mask, fused.Lanes):
            attended = fused.attention(
                self, hidden_states, position_embeddings, attention_mask, past_key_values
            )
            return attended, None
        result: tuple[Tensor, Tensor | None] = super().forward(
            hidden_states, position_embeddings, attention_mask, past_key_values, **kwargs
        )
        return result

    def append_to_cache(
        self, past_key_values: Any, key_states: Tensor, value_states: Tensor
    ) -> tuple[Tensor, Tensor]:
        if hasattr(past_key_values, "layers"):
            appended: tuple[Tensor, Tensor] = super().append_to_cache(
                past_key_values, key_states, value_states
            )
            return appended
        store: KeyValues = past_key_values
        return store.update(key_states, value_states, self.layer_idx)


class Router(DiffusionGemmaTextRouter):  # type: ignore[misc]
    """The class's router, in two launches."""

    def forward(self, hidden_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return fused.routing(self, hidden_states)


class GatedMlp(DiffusionGemmaText4MLP):  # type: ignore[misc]
    """The class's dense part, with one product for gate and up."""

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        projected: Tensor = self.down_proj(self.act_fn(gate) * up)
        return projected


def install(model: nn.Module, fuse: bool = False) -> None:
    """Let a DiffusionGemma model read `KeyValues`; transformers' caches still work.

    With `fuse`, its decoder is made ready for the fused kernels; without, that is undone.
    """
    for module in [*model.modules()]:
        if isinstance(module, DiffusionGemmaDecoderTextLayer):
            is_fused = isinstance(module.router, Router)
            if fuse and not is_fused:
                _fuse(module)
            elif is_fused and not fuse:
                _unfuse(module)
        if type(module) is DiffusionGemmaDecoderTextAttention:
            # The parameters are tied to the encoder's, so the module itself has to stay.
            module.__class__ = CanvasAttention
        if isinstance(module, DiffusionGemmaEncoderTextAttention | CanvasAttention):
            module.config._attn_implementation = GROUPED


def _fuse(layer: Any) -> None:
    """Merge products over the same input, and let the router use its kernel."""
    attention = layer.self_attn
    inputs = [attention.q_proj, attention.k_proj, attention.v_proj]
    attention.qkv_proj = merged([each for each in inputs if each is not None])
    layer.mlp.gate_up_proj = merged([layer.mlp.gate_proj, layer.mlp.up_proj])
    layer.mlp.__class__ = GatedMlp
    layer.router.__class__ = Router


def _unfuse(layer: Any) -> None:
    """The linears of the class are still there, as views of the merged weights."""
    del layer.self_attn.qkv_proj, layer.mlp.gate_up_proj
    layer.mlp.__class__ = DiffusionGemmaText4MLP
    layer.router.__class__ = DiffusionGemmaTextRouter


def grouped_sdpa(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention without a copy of the keys per query head.

    `query` (1, query heads, rows, dim), `key` and `value` (1, key heads, keys, dim); a boolean
    `attention_mask` (1, 1, rows, keys), or as `fold` left it. Returns (1, rows, heads, dim).
    """
    is_causal = bool(module.is_causal if is_causal is None else is_causal)
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    return grouped_attention(query, key, value, attention_mask, scaling, is_causal), None


def grouped_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float,
    is_causal: bool,
) -> Tensor:
    """What `grouped_sdpa` computes; `is_causal` counts only without a mask."""
    batch, heads, rows, dim = query.shape
    groups = heads // key.shape[1]
    if mask is None and is_causal and rows > 1:
        attended = nn.functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=scaling, enable_gqa=groups > 1
        )
        return attended.transpose(1, 2)
    if mask is not None and mask.shape[-2] == rows:
        mask = fold(mask, groups)
    attended = nn.functional.scaled_dot_product_attention(
        query.reshape(batch, heads // groups, groups * rows, dim),
        key,
        value,
        attn_mask=mask,
        scale=scaling,
    )
    return attended.view(batch, heads, rows, dim).transpose(1, 2)


def groups_by_kind(model: Any) -> dict[str, int]:
    """How many query heads share a key head, by layer type; the same in both halves."""
    kinds, layers = model.config.text_config.layer_types, model.model.decoder.layers
    return {
        kind: layer.self_attn.num_key_value_groups
        for kind, layer in zip(kinds, layers, strict=True)
    }


def fold(mask: Tensor, groups: int) -> Tensor:
    """A mask (1, 1, rows, keys) for `groups` query heads per key head, as further rows."""
    return mask.repeat(1, 1, groups, 1)


def added_mask(mask: Tensor, groups: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A boolean mask (rows, keys) as `grouped_attention` reads it fastest on the device."""
    mask = mask.to(device)
    if device.type == "cpu":
        # There, torch makes this of a boolean mask anew in every layer.
        mask = torch.zeros(mask.shape, dtype=dtype).masked_fill_(~mask, -torch.inf)
    return fold(mask[None, None], groups)


AttentionInterface.register(GROUPED, grouped_sdpa)
AttentionMaskInterface.register(GROUPED, sdpa_mask)
