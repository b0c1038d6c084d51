"""One denoising step as a pure function of tensors: decoder, selection, next conditioning.

The same function runs on unpadded tensors and on those of a bucket, where rows, cached tokens
and selected rows are padded. It never waits for the device and never branches on the content of
a tensor, so that it can be captured.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dg_lsp.models.gemma.attention import KeyValues
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.sampling import Head, Selection, select

Masks = dict[str, Tensor | None]
"""By layer type: which tokens each row sees, or `None` for all."""


@dataclass(slots=True)
class StepInputs:
    """The inputs of a step."""

    canvas: Tensor
    """(rows,) token ids."""
    conditioning: Tensor | None
    """(rows, hidden) from the previous step; `None` means all zeros."""
    positions: Tensor
    """(rows,) positions in the document."""
    masks: Masks
    order: Tensor
    """(selected,) the rows whose output is computed, free ones first."""
    target: Tensor
    """(free,) the rows of the new conditioning that free rows write; one past the end means
    none."""
    disallowed: Tensor
    """(constraints, vocab) boolean."""
    constraint: Tensor
    """(free,)"""
    temperature: Tensor
    """Scalar."""
    share: Tensor
    """(free,) uniform in [0, 1)."""


def head_of(model: TextDiffusionGemma) -> Head:
    """The output layer of a model."""
    return Head(model.lm_head.weight.detach(), float(model.final_logit_softcapping))


def run_step(
    model: TextDiffusionGemma, key_values: KeyValues, inputs: StepInputs
) -> tuple[Selection, Tensor]:
    """The selected tokens, and the conditioning (rows, hidden) of the next step."""
    hidden, embedded = decode(model, key_values, inputs)
    free = inputs.share.shape[0]
    selection = select(
        head_of(model),
        hidden[inputs.order],
        inputs.canvas[inputs.order[free:]],
        inputs.disallowed,
        inputs.constraint,
        inputs.temperature,
        inputs.share,
    )
    rows = embedded.shape[0]
    conditioning = embedded.new_empty(rows + 1, embedded.shape[1])
    conditioning[:rows] = embedded
    scale = model.model.decoder.embed_tokens.embed_scale.to(embedded.dtype)
    conditioning.index_copy_(0, inputs.target, selection.soft.to(embedded.dtype) * scale)
    return selection, conditioning[:rows]


def decode(
    model: TextDiffusionGemma, key_values: KeyValues, inputs: StepInputs
) -> tuple[Tensor, Tensor]:
    """The decoder's last hidden states and the embeddings of the canvas, (rows, hidden) each.

    Does the same as `DiffusionGemmaDecoderModel.forward`, except that it receives soft
    embeddings instead of computing them from the previous step's logits.
    """
    decoder = model.model.decoder
    embedded: Tensor = decoder.embed_tokens(inputs.canvas[None])
    soft = inputs.conditioning
    soft = torch.zeros_like(embedded) if soft is None else soft[None]
    hidden = decoder.self_conditioning(embedded, soft)
    positions = inputs.positions[None]
    rotary = {
        kind: decoder.rotary_emb(hidden, positions, kind) for kind in decoder.unique_layer_types
    }
    kinds = decoder.text_config.layer_types
    for kind, layer in zip(kinds, decoder.layers, strict=True):
        hidden = layer(
            hidden,
            position_embeddings=rotary[kind],
            attention_mask=inputs.masks[kind],
            position_ids=positions,
            past_key_values=key_values,
        )
    last: Tensor = decoder.norm(hidden)[0]
    return last, embedded[0]
