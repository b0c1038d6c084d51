"""One denoising step as a pure function of tensors: decoder, selection, next conditioning.

The same function runs on unpadded tensors and on those of a bucket, where rows, cached tokens
and selected rows are padded. It never waits for the device and never branches on the content of
a tensor, so that it can be captured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dg_lsp.engine.denoiser import Prediction
from dg_lsp.models.gemma.attention import KeyValues
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.fused import Lanes
from dg_lsp.models.gemma.sampling import VOCABULARY_CHUNK, Head, Selection, select
from dg_lsp.models.gemma.workspace import WorkspaceView

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
    masks: Mapping[str, Tensor | Lanes | None]
    """By layer type. With `Lanes`, the step runs the fused kernels."""
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
    """Scalar, or (free,)."""
    share: Tensor
    """(free,) uniform in [0, 1)."""


def head_of(model: TextDiffusionGemma) -> Head:
    """The output layer of a model."""
    return Head(model.lm_head.weight, float(model.final_logit_softcapping))


ROWS_AT_ONCE = 512
"""Sampled rows up to which a step has memory for all of their logits at once."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The three parts of a step; compiled.py has them compiled."""

    begin: Callable[..., tuple[Tensor, Tensor, dict[str, tuple[Tensor, Tensor]]]]
    layer: Callable[..., Tensor]
    end: Callable[..., tuple[Selection, Tensor]]
    vocabulary_chunk: int = VOCABULARY_CHUNK
    """Tokens whose logits are computed at once, for up to `ROWS_AT_ONCE` rows."""


def run_step(
    model: TextDiffusionGemma,
    key_values: KeyValues,
    inputs: StepInputs,
    parts: Parts | None = None,
) -> tuple[Selection, Tensor]:
    """The selected tokens, and the conditioning (rows, hidden) of the next step."""
    parts = parts or PLAIN
    hidden, embedded = decode(model, key_values, inputs, parts)
    return parts.end(
        model,
        hidden,
        embedded,
        inputs.canvas,
        inputs.order,
        inputs.target,
        inputs.disallowed,
        inputs.constraint,
        inputs.temperature,
        inputs.share,
        parts.vocabulary_chunk if len(inputs.share) <= ROWS_AT_ONCE else VOCABULARY_CHUNK,
    )


def prediction_of(selection: Selection, conditioning: Tensor) -> Prediction:
    """The engine's view of the result of an unpadded step."""
    free = len(selection.argmax)
    return Prediction(
        sampled=selection.sampled,
        argmax=selection.argmax,
        log_probability=selection.log_probability,
        entropy=selection.entropy,
        free_fit=selection.fit[:free],
        pinned_fit=selection.fit[free:],
        conditioning=conditioning,
    )


def decode(
    model: TextDiffusionGemma,
    key_values: KeyValues,
    inputs: StepInputs,
    parts: Parts | None = None,
) -> tuple[Tensor, Tensor]:
    """The decoder's last hidden states and the embeddings of the canvas, (rows, hidden) each.

    Does the same as `DiffusionGemmaDecoderModel.forward`, except that it receives soft
    embeddings instead of computing them from the previous step's logits, and that the last
    norm is left to `last_hidden`.
    """
    parts = parts or PLAIN
    decoder = model.model.decoder
    hidden, embedded, rotary = parts.begin(
        decoder, inputs.canvas, inputs.conditioning, inputs.positions
    )
    kinds = decoder.text_config.layer_types
    for index, (kind, layer) in enumerate(zip(kinds, decoder.layers, strict=True)):
        mask = inputs.masks[kind]
        held: object = key_values
        if isinstance(mask, Lanes):
            assert isinstance(key_values, WorkspaceView)
            held = key_values.slots(index)
        hidden = parts.layer(layer, hidden, rotary[kind], mask, inputs.positions, held)
    return hidden, embedded


def _begin(
    decoder: Any, canvas: Tensor, conditioning: Tensor | None, positions: Tensor
) -> tuple[Tensor, Tensor, dict[str, tuple[Tensor, Tensor]]]:
    """The first hidden states (1, rows, hidden), the embeddings (rows, hidden), the angles."""
    embedded: Tensor = decoder.embed_tokens(canvas[None])
    soft = torch.zeros_like(embedded) if conditioning is None else conditioning[None]
    hidden = decoder.self_conditioning(embedded, soft)
    rotary = {
        kind: decoder.rotary_emb(hidden, positions[None], kind)
        for kind in decoder.unique_layer_types
    }
    return hidden, embedded[0], rotary


def _layer(
    layer: Any,
    hidden: Tensor,
    rotary: tuple[Tensor, Tensor],
    mask: Tensor | Lanes | None,
    positions: Tensor,
    held: object,
) -> Tensor:
    output: Tensor = layer(
        hidden,
        position_embeddings=rotary,
        attention_mask=mask,
        position_ids=positions[None],
        past_key_values=held,
    )
    return output


def last_hidden(model: TextDiffusionGemma, hidden: Tensor) -> Tensor:
    """The states (rows, hidden) that the output layer reads."""
    normed: Tensor = model.model.decoder.norm(hidden)[0]
    return normed


def _end(
    model: TextDiffusionGemma,
    hidden: Tensor,
    embedded: Tensor,
    canvas: Tensor,
    order: Tensor,
    target: Tensor,
    disallowed: Tensor,
    constraint: Tensor,
    temperature: Tensor,
    share: Tensor,
    vocabulary_chunk: int,
) -> tuple[Selection, Tensor]:
    """The selection, and the conditioning (rows, hidden) of the next step."""
    free = share.shape[0]
    selection = select(
        head_of(model),
        last_hidden(model, hidden[:, order]),
        canvas[order[free:]],
        disallowed,
        constraint,
        temperature,
        share,
        vocabulary_chunk,
    )
    return selection, next_conditioning(model, selection.soft, embedded, target)


def next_conditioning(
    model: TextDiffusionGemma, soft: Tensor, embedded: Tensor, target: Tensor
) -> Tensor:
    """The embeddings of the canvas (rows, hidden), with mean ones in the rows `target`."""
    rows = embedded.shape[0]
    conditioning = embedded.new_empty(rows + 1, embedded.shape[1])
    conditioning[:rows] = embedded
    scale = model.model.decoder.embed_tokens.embed_scale.to(embedded.dtype)
    conditioning.index_copy_(0, target, soft.to(embedded.dtype) * scale)
    return conditioning[:rows]


PLAIN = Parts(_begin, _layer, _end)
