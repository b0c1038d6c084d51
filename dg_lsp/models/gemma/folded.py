"""Runs a small model on a CPU with as few operations as torch allows.

A layer of the class is about 110 operations on tensors of a few rows, most of which only
normalize, scale or copy. Here the weights of the norms are multiplied into the products that
follow, everything that reads the same input is one product, and rotary angles are computed
once for all steps of a job. What remains is about 50 operations with the same results up to
rounding (`tests/models/gemma/test_folded.py` compares them).

The weights of the layers are held a second time, in this form, so this is for small models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dg_lsp.models.gemma.attention import KeyValues, grouped_attention
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.experts import MOST_EXPERTS_AT_ONCE
from dg_lsp.models.gemma.sampling import Selection
from dg_lsp.models.gemma.step import StepInputs, choose

ACTIVATION = "gelu_pytorch_tanh"
Rotary = dict[str, tuple[Tensor, Tensor]]
"""By layer type: cosines and sines (rows, 1, dim); the first half of the sines is negated."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """The weights of one layer, as the products read them."""

    index: int
    queries: int
    """Number of query heads."""
    keys: int
    """Number of key heads, and of value heads."""
    qkv: Tensor
    """(heads · dim, hidden) queries, keys and values; without the values if they are the keys
    before their own norm."""
    query_scale: Tensor
    """(dim,) weight of the norm of queries."""
    key_scale: Tensor
    """(dim,) weight of the norm of keys."""
    output: Tensor
    """(hidden, queries · dim)"""
    after_attention: Tensor
    """(hidden,) weight of the norm after attention."""
    gate_up_router: Tensor
    """(2 · inner + experts, hidden) the gates of the dense part and of all experts, then what
    they gate, then the router."""
    dense_inner: int
    """The first inner units are those of the dense part."""
    per_expert_scale: Tensor
    """(experts,)"""
    top_k: int
    dense_down: Tensor
    """(dense inner, hidden)"""
    experts_down: Tensor
    """(experts · inner of one, hidden)"""
    after_parts: Tensor
    """(2, 1, hidden) weights of the norms after the dense part and after the experts."""
    after_both: Tensor
    """(hidden,) weight of the norm after both."""
    eps: Tensor
    """Scalar."""


@dataclass(frozen=True, slots=True, eq=False)
class Conditioning:
    """The weights of self-conditioning."""

    gate_up: Tensor
    """(2 · inner, hidden)"""
    down: Tensor
    """(hidden, inner)"""


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What a layer reads beside its input."""

    key_values: KeyValues
    rotary: tuple[Tensor, Tensor]
    mask: Tensor | None
    scalar: Tensor
    """(1,) the factor of the layer's output."""
    is_causal: bool = False
    """Whether a row sees only those before it, without a mask."""


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """The rows that a layer computes an output for; of the others, only keys and values."""

    rows: Tensor | slice
    rotary: tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What is the same in all steps of the same canvases."""

    rotary: Rotary
    output_rotary: Rotary
    """Of the rows whose output is computed."""
    output_mask: Tensor | None
    """What these see in the last layer."""


class Folded:
    """Both halves of a model, folded. They share their weights but for each layer's scalar."""

    def __init__(self, model: TextDiffusionGemma) -> None:
        self._model = model
        decoder, encoder = model.model.decoder, model.model.encoder.language_model
        self._kinds: list[str] = list(decoder.text_config.layer_types)
        self._eps = torch.tensor(decoder.text_config.rms_norm_eps)
        self._layers = [_folded(layer, self._eps) for layer in decoder.layers]
        self._decoder_scalars = [layer.layer_scalar.detach() for layer in decoder.layers]
        self._encoder_scalars = [layer.layer_scalar.detach() for layer in encoder.layers]
        conditioning = decoder.self_conditioning
        gate_up = torch.cat([conditioning.gate_proj.weight, conditioning.up_proj.weight])
        self._conditioning = Conditioning(
            gate_up=(gate_up * conditioning.pre_norm.weight).detach(),
            down=conditioning.down_proj.weight.detach(),
        )

    def prepare(self, inputs: StepInputs) -> Prepared:
        """Everything about a step that does not depend on the canvas."""
        rotary = self._angles(self._model.model.decoder, inputs.positions)
        order = inputs.order
        mask = inputs.masks[self._kinds[-1]]
        assert mask is None or isinstance(mask, Tensor)
        if mask is not None:
            # Rows are repeated for the query heads that share a key head.
            rows = len(inputs.positions)
            mask = mask.unflatten(2, (-1, rows))[:, :, :, order].flatten(2, 3)
        output_rotary = {kind: (cos[order], sin[order]) for kind, (cos, sin) in rotary.items()}
        return Prepared(rotary, output_rotary, mask)

    def step(
        self, key_values: KeyValues, inputs: StepInputs, prepared: Prepared
    ) -> tuple[Selection, Tensor]:
        """What `run_step` does."""
        hidden, embedded = self.decode(key_values, inputs, prepared)
        return choose(
            self._model,
            hidden,
            embedded,
            inputs.canvas,
            inputs.order,
            inputs.target,
            inputs.disallowed,
            inputs.constraint,
            inputs.temperature,
            inputs.share,
        )

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
            weights = self._conditioning
            normed = unit(inputs.conditioning, self._eps)
            gate, up = nn.functional.linear(normed, weights.gate_up).chunk(2, dim=-1)
            hidden = embedded + nn.functional.linear(gated(gate, up), weights.down)
        hidden = unit(hidden, self._eps)
        *first, last = zip(self._kinds, self._layers, self._decoder_scalars, strict=True)
        for kind, layer, scalar in first:
            mask = inputs.masks[kind]
            assert mask is None or isinstance(mask, Tensor)
            context = Context(key_values, prepared.rotary[kind], mask, scalar)
            hidden = _run(layer, hidden, context)
        kind, layer, scalar = last
        context = Context(key_values, prepared.rotary[kind], prepared.output_mask, scalar)
        outputs = Outputs(inputs.order, prepared.output_rotary[kind])
        hidden = _run(layer, hidden, context, outputs)
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
            hidden = _run(layer, hidden, context, outputs)
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


def unit(x: Tensor, eps: Tensor) -> Tensor:
    """`x` (..., width) divided by the root of its mean square, as RMS norms do."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x * torch.addcmul(eps, norm, norm, value=1 / x.shape[-1]).rsqrt_()


def gated(gate: Tensor, up: Tensor) -> Tensor:
    """GELU, approximated by tanh, of `gate`, times `up`.

    Written as `gate · sigmoid(2u)`, which equals `gate · (1 + tanh(u)) / 2`: torch's tanh
    takes three times as long as its sigmoid on a CPU.
    """
    slope = 2 * math.sqrt(2 / math.pi)
    inner = torch.addcmul(gate.new_full((), slope), gate, gate, value=0.044715 * slope)
    return inner.mul_(gate).sigmoid_().mul_(gate).mul_(up)


def _run(
    layer: Layer, hidden: Tensor, context: Context, outputs: Outputs | None = None
) -> Tensor:
    """The output of a layer (rows, hidden)."""
    normed = unit(hidden, layer.eps)
    width = layer.queries * layer.query_scale.shape[0]
    if outputs is None:
        heads = _heads(nn.functional.linear(normed, layer.qkv), layer)
        queries, others = heads.tensor_split([layer.queries], dim=1)
        rotary = context.rotary
    else:
        others = _heads(nn.functional.linear(normed, layer.qkv[width:]), layer)
        hidden, normed = hidden[outputs.rows], normed[outputs.rows]
        queries = _heads(nn.functional.linear(normed, layer.qkv[:width]), layer)
        rotary = outputs.rotary
    queries = _rotate(queries * layer.query_scale, *rotary)
    keys = _rotate(others[:, : layer.keys] * layer.key_scale, *context.rotary)
    values = others[:, -layer.keys :]
    all_keys, all_values = context.key_values.update(
        keys.transpose(0, 1)[None], values.transpose(0, 1)[None], layer.index
    )
    attended = grouped_attention(
        *(queries.transpose(0, 1)[None], all_keys, all_values),
        *(context.mask, 1.0, context.is_causal),
    )
    output = nn.functional.linear(attended.flatten(2)[0], layer.output)
    hidden = torch.addcmul(hidden, unit(output, layer.eps), layer.after_attention)
    parts = _parts(layer, unit(hidden, layer.eps))
    both = unit(parts, layer.eps).mul_(layer.after_parts).sum(0)
    hidden = torch.addcmul(hidden, unit(both, layer.eps), layer.after_both)
    return hidden.mul_(context.scalar)


def _heads(product: Tensor, layer: Layer) -> Tensor:
    """(rows, heads, dim) with the norm that queries, keys and values have."""
    return unit(product.unflatten(1, (-1, len(layer.query_scale))), layer.eps)


def _parts(layer: Layer, normed: Tensor) -> Tensor:
    """(2, rows, hidden) what the dense part and the experts write."""
    rows, hidden = normed.shape
    experts = len(layer.per_expert_scale)
    product = nn.functional.linear(normed, layer.gate_up_router)
    inner = (product.shape[1] - experts) // 2
    gate, up, scores = product.split([inner, inner, experts], dim=1)
    activated = gated(gate, up)
    dense, routed = activated.split([layer.dense_inner, inner - layer.dense_inner], dim=1)
    best, chosen = scores.softmax(-1).topk(layer.top_k, dim=-1)
    best.div_(best.sum(-1, keepdim=True))
    weights = best.new_zeros(rows, experts).scatter_(1, chosen, best)
    weights.mul_(layer.per_expert_scale)
    routed.view(rows, experts, -1).mul_(weights[:, :, None])
    written = normed.new_empty(2, rows, hidden)
    torch.mm(dense, layer.dense_down, out=written[0])
    torch.mm(routed, layer.experts_down, out=written[1])
    return written


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`x` (rows, heads, dim) rotated by the angles of its rows (rows, 1, dim)."""
    half = x.shape[-1] // 2
    swapped = torch.cat((x[..., half:], x[..., :half]), dim=-1)
    return (x * cos).addcmul_(swapped, sin)


def _folded(layer: Any, eps: Tensor) -> Layer:
    attention, mlp, experts, router = layer.self_attn, layer.mlp, layer.experts, layer.router
    text = attention.config
    dim: int = attention.head_dim
    queries = attention.q_proj.weight.shape[0] // dim
    keys = attention.k_proj.weight.shape[0] // dim
    inputs = [attention.q_proj, attention.k_proj, attention.v_proj]
    qkv = torch.cat([each.weight for each in inputs if each is not None])
    gates, ups = experts.gate_up_proj.chunk(2, dim=1)
    dense_norm = layer.pre_feedforward_layernorm.weight
    experts_norm = layer.pre_feedforward_layernorm_2.weight
    products: Sequence[Tensor] = (
        mlp.gate_proj.weight * dense_norm,
        gates.flatten(0, 1) * experts_norm,
        mlp.up_proj.weight * dense_norm,
        ups.flatten(0, 1) * experts_norm,
        router.proj.weight * (router.scale * router.scalar_root_size),
    )
    after = (layer.post_feedforward_layernorm_1, layer.post_feedforward_layernorm_2)
    return Layer(
        index=attention.layer_idx,
        queries=queries,
        keys=keys,
        qkv=(qkv * layer.input_layernorm.weight).detach(),
        query_scale=attention.q_norm.weight.detach(),
        key_scale=attention.k_norm.weight.detach(),
        output=attention.o_proj.weight.detach(),
        after_attention=layer.post_attention_layernorm.weight.detach(),
        gate_up_router=torch.cat(list(products)).detach(),
        dense_inner=mlp.gate_proj.weight.shape[0],
        per_expert_scale=router.per_expert_scale.detach(),
        top_k=text.top_k_experts,
        dense_down=mlp.down_proj.weight.detach().t(),
        experts_down=experts.down_proj.detach().transpose(1, 2).flatten(0, 1).contiguous(),
        after_parts=torch.stack([each.weight for each in after])[:, None].detach(),
        after_both=layer.post_feedforward_layernorm.weight.detach(),
        eps=eps,
    )
