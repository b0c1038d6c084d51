"""Runs a small model on a CPU with as few operations as torch allows.

A layer of the class is about 110 operations on tensors of a few rows, most of which only
normalize, scale or copy. Here what reads the same input is one product, with a packed weight
where that loses nothing, and rotary angles are computed once for all steps of a job. The
results are the same up to rounding (`tests/models/gemma/test_folded.py` compares them).

The weights are held a second time, in this form, so this is for small models.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from dg_lsp.models.cpu_linear import Product, product
from dg_lsp.models.gemma.attention import KeyValues
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.experts import MOST_EXPERTS_AT_ONCE
from dg_lsp.models.gemma.folded_layer import (
    Context,
    Group,
    Outputs,
    branch,
    fold_layer,
    groups_of,
    run_layer,
    unit,
)
from dg_lsp.models.gemma.sampling import (
    VOCABULARY_CHUNK,
    Head,
    Selection,
    log_probabilities,
    select,
)
from dg_lsp.models.gemma.step import StepInputs, head_of, next_conditioning

ACTIVATION = "gelu_pytorch_tanh"
ROWS_AT_ONCE = 64
"""Rows whose logits are computed at once: what they take fits into a processor's cache."""
Rotary = dict[str, tuple[Tensor, Tensor]]
"""By layer type: cosines and sines (rows, 1, dim); the first half of the sines is negated."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What is the same in all steps of the same canvases."""

    rotary: Rotary
    output_rotary: Rotary
    """Of the rows whose output is computed."""
    output_mask: Tensor | None
    """What these see in the last layer."""
    groups: dict[str, tuple[Group, ...]]
    """By layer type: what attention runs at a time, if not all."""


@dataclass(frozen=True, slots=True)
class PackedHead(Head):
    """An output layer whose vocabulary is one chunk."""

    to_logits: Product = field(kw_only=True)
    to_mean: Product = field(kw_only=True)

    def logits_of(self, hidden: Tensor, weights: Tensor) -> Tensor:
        assert weights.shape == self.weight.shape
        return self.capped(self.to_logits(hidden))

    def mean(self, shares: Tensor, weights: Tensor) -> Tensor:
        assert weights.shape == self.weight.shape
        return self.to_mean(shares)


class Folded:
    """Both halves of a model, folded. They share their weights but for each layer's scalar."""

    def __init__(self, model: TextDiffusionGemma) -> None:
        self._model = model
        self.head = _packed_head(head_of(model))
        decoder, encoder = model.model.decoder, model.model.encoder.language_model
        self._kinds: list[str] = list(decoder.text_config.layer_types)
        self._eps = torch.tensor(decoder.text_config.rms_norm_eps)
        self._layers = [fold_layer(layer, self._eps) for layer in decoder.layers]
        self._decoder_scalars = [layer.layer_scalar.detach() for layer in decoder.layers]
        self._encoder_scalars = [layer.layer_scalar.detach() for layer in encoder.layers]
        conditioning = decoder.self_conditioning
        self._before_conditioning = conditioning.pre_norm.weight.detach()
        self._conditioning = branch(
            conditioning.gate_proj.weight,
            conditioning.up_proj.weight,
            conditioning.down_proj.weight,
        )

    def prepare(
        self,
        inputs: StepInputs,
        lengths: Sequence[int],
        places: Mapping[str, Sequence[range]] | None = None,
    ) -> Prepared:
        """Everything about a step of canvases of such lengths that does not depend on their
        content; `places` say, by layer type, how many slots before the rows each canvas
        sees, if not all."""
        rotary = self._angles(self._model.model.decoder, inputs.positions)
        order = inputs.order
        output_rotary = {kind: (cos[order], sin[order]) for kind, (cos, sin) in rotary.items()}
        # Rows are repeated for the query heads that share a key head.
        masks = {
            kind: None if mask is None else mask.unflatten(2, (-1, len(inputs.positions)))
            for kind, mask in _tensors(inputs.masks).items()
        }
        last = masks[self._kinds[-1]]
        return Prepared(
            rotary,
            output_rotary,
            None if last is None else last[:, :, :, order].flatten(2, 3),
            {
                kind: groups_of(mask, lengths, None if places is None else places[kind])
                for kind, mask in masks.items()
            },
        )

    def step(
        self, key_values: KeyValues, inputs: StepInputs, prepared: Prepared
    ) -> tuple[Selection, Tensor]:
        """What `run_step` does."""
        hidden, embedded = self.decode(key_values, inputs, prepared)
        free = len(inputs.share)
        head = self.head
        parts = [
            select(
                head,
                of_rows,
                inputs.canvas[:0],
                inputs.disallowed,
                constraint,
                temperature,
                share,
            )
            for of_rows, constraint, temperature, share in zip(
                hidden[:free].split(ROWS_AT_ONCE),
                inputs.constraint.split(ROWS_AT_ONCE),
                inputs.temperature.expand(free).split(ROWS_AT_ONCE),
                inputs.share.split(ROWS_AT_ONCE),
                strict=True,
            )
        ]
        pinned = zip(
            hidden[free:].split(ROWS_AT_ONCE),
            inputs.canvas[inputs.order[free:]].split(ROWS_AT_ONCE),
            strict=True,
        )
        fits = [log_probabilities(head, of_rows, tokens) for of_rows, tokens in pinned]
        selection = _joined(parts, fits)
        soft = next_conditioning(self._model, selection.soft, embedded, inputs.target)
        return selection, soft

    def decode(
        self, key_values: KeyValues, inputs: StepInputs, prepared: Prepared
    ) -> tuple[Tensor, Tensor]:
        """What the output layer reads (selected, hidden), and the canvas' embeddings (rows,
        hidden)."""
        decoder = self._model.model.decoder
        embedded: Tensor = decoder.embed_tokens(inputs.canvas)
        hidden = embedded
        # Nothing follows from a conditioning of zeros.
        if inputs.conditioning is not None:
            normed = unit(inputs.conditioning, self._eps).mul_(self._before_conditioning)
            hidden = embedded + self._conditioning(normed)
        hidden = unit(hidden, self._eps)
        masks = _tensors(inputs.masks)
        for number, (kind, layer, scalar) in enumerate(
            zip(self._kinds, self._layers, self._decoder_scalars, strict=True)
        ):
            context = Context(
                *(key_values, prepared.rotary[kind], masks[kind], scalar),
                groups=prepared.groups[kind],
            )
            outputs = None
            if number == len(self._layers) - 1 and len(inputs.order) < len(inputs.canvas):
                outputs = Outputs(inputs.order, prepared.output_rotary[kind])
                context = dataclasses.replace(context, mask=prepared.output_mask, groups=())
            hidden = run_layer(layer, hidden, context, outputs)
        if len(inputs.order) == len(inputs.canvas):
            hidden = hidden[inputs.order]
        return unit(hidden, self._eps).mul_(decoder.norm.weight), embedded

    def read(
        self,
        tokens: Tensor,
        positions: Tensor,
        masks: Mapping[str, Tensor | None],
        key_values: KeyValues,
        *,
        is_last_enough: bool,
    ) -> Tensor:
        """The encoder's last hidden states (rows, hidden), or only that of the last row.

        `tokens` and `positions` (rows,). Without a mask, a layer reads causally.
        """
        encoder = self._model.model.encoder.language_model
        hidden: Tensor = encoder.embed_tokens(tokens)
        rotary = self._angles(encoder, positions)
        for number, (kind, layer, scalar) in enumerate(
            zip(self._kinds, self._layers, self._encoder_scalars, strict=True)
        ):
            mask, outputs = masks[kind], None
            if is_last_enough and number == len(self._layers) - 1:
                cos, sin = rotary[kind]
                outputs = Outputs(slice(-1, None), (cos[-1:], sin[-1:]))
                mask = None if mask is None else mask[:, :, -1:]
            context = Context(key_values, rotary[kind], mask, scalar, is_causal=True)
            hidden = run_layer(layer, hidden, context, outputs)
        normed: Tensor = unit(hidden, self._eps).mul_(encoder.norm.weight)
        return normed

    def _angles(self, half: Any, positions: Tensor) -> Rotary:
        found: Rotary = {}
        for kind in dict.fromkeys(self._kinds):
            cos, sin = half.rotary_emb(self._model.lm_head.weight, positions[None], kind)
            sin[..., : sin.shape[-1] // 2].neg_()
            found[kind] = cos[0, :, None], sin[0, :, None]
        return found


def fold(model: TextDiffusionGemma) -> Folded | None:
    """The folded model, or `None` if it is not small and in plain float32 on a CPU."""
    text = model.config.text_config
    weight = model.lm_head.weight
    if not isinstance(weight, Tensor) or weight.device.type != "cpu":
        return None
    if weight.dtype != torch.float32:
        return None
    if text.num_experts > MOST_EXPERTS_AT_ONCE or text.hidden_activation != ACTIVATION:
        return None
    linears = [
        each
        for layer in model.model.decoder.layers
        for part in (layer.self_attn, layer.mlp)
        for each in part.children()
        if each is not layer.self_attn and "Linear" in type(each).__name__
    ]
    if any(type(each) is not nn.Linear or each.bias is not None for each in linears):
        return None
    if not isinstance(model.model.decoder.layers[0].experts.down_proj, Tensor):
        return None
    with torch.no_grad():
        return Folded(model)


def _packed_head(head: Head) -> Head:
    weight = head.weight
    assert isinstance(weight, Tensor)
    if len(weight) > VOCABULARY_CHUNK:
        return dataclasses.replace(head, by_sigmoid=True)
    return PackedHead(
        weight, head.cap, by_sigmoid=True, to_logits=product(weight), to_mean=product(weight.T)
    )


def _tensors(masks: Mapping[str, object]) -> dict[str, Tensor | None]:
    """The masks, none of which is of the fused kernels."""
    assert all(mask is None or isinstance(mask, Tensor) for mask in masks.values())
    return cast("dict[str, Tensor | None]", dict(masks))


def _joined(parts: Sequence[Selection], pinned_fits: Sequence[Tensor]) -> Selection:
    """The selection for all free rows, and the fits of the pinned ones after theirs."""
    names = [each.name for each in dataclasses.fields(Selection)]
    whole = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
    return Selection(**whole | {"fit": torch.cat([whole["fit"], *pinned_fits])})
