"""One layer of a small model on a CPU, in few operations: its weights and what it computes.

`folded.py` says how, and runs the layers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dg_lsp.models.cpu_linear import Product, product
from dg_lsp.models.gemma.attention import KeyValues, grouped_attention

ROWS_ATTENDING = 112
"""Rows of canvases whose attention runs at once: each sees only its own canvas, so that more
rows are mostly masked."""


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """A gated feed-forward network."""

    gate_up: Product
    """From hidden to the gates of all inner units, then what they gate."""
    down: Product

    def inner(self, x: Tensor) -> Tensor:
        """(rows, inner)"""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return gated(gate, up)

    def __call__(self, x: Tensor) -> Tensor:
        return self.down(self.inner(x))


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """The weights of one layer, as the products read them."""

    index: int
    queries: int
    """Number of query heads."""
    keys: int
    """Number of key heads, and of value heads."""
    before_attention: Tensor
    """(hidden,) weight of the norm before attention."""
    qkv: Product
    """From hidden to queries, keys and values, heads · dim; without the values if they are the
    keys before their own norm."""
    query_scale: Tensor
    """(dim,) weight of the norm of queries."""
    key_scale: Tensor
    """(dim,) weight of the norm of keys."""
    output: Product
    """From queries · dim to hidden."""
    after_attention: Tensor
    """(hidden,) weight of the norm after attention."""
    before_parts: tuple[Tensor, Tensor]
    """(hidden,) weights of the norms before the dense part and before the experts."""
    router: Product
    """From hidden to experts."""
    dense: Branch
    expert_inner: int
    """Inner units of each expert."""
    experts: Branch
    """All experts at once, their inner units one after the other."""
    per_expert_scale: Tensor
    """(experts,)"""
    top_k: int
    after_parts: Tensor
    """(2, 1, hidden) weights of the norms after the dense part and after the experts."""
    after_both: Tensor
    """(hidden,) weight of the norm after both."""
    eps: Tensor
    """Scalar."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Some canvases of one prompt, whose rows see only each other and the prompt."""

    start: int
    end: int
    slots: range
    """What they see of what is cached."""
    mask: Tensor
    """Of these rows, without the others."""


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
    groups: tuple[Group, ...] = ()
    """The rows in parts, instead of a mask."""


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """The rows that a layer computes an output for; of the others, only keys and values."""

    rows: Tensor | slice
    rotary: tuple[Tensor, Tensor]


def fold_layer(layer: Any, eps: Tensor) -> Layer:
    attention, mlp, experts, router = layer.self_attn, layer.mlp, layer.experts, layer.router
    text = attention.config
    dim: int = attention.head_dim
    queries = attention.q_proj.weight.shape[0] // dim
    keys = attention.k_proj.weight.shape[0] // dim
    inputs = [attention.q_proj, attention.k_proj, attention.v_proj]
    gates, ups = experts.gate_up_proj.chunk(2, dim=1)
    downs = experts.down_proj
    after = (layer.post_feedforward_layernorm_1, layer.post_feedforward_layernorm_2)
    return Layer(
        index=attention.layer_idx,
        queries=queries,
        keys=keys,
        before_attention=layer.input_layernorm.weight.detach(),
        qkv=product(torch.cat([each.weight for each in inputs if each is not None])),
        query_scale=attention.q_norm.weight.detach(),
        key_scale=attention.k_norm.weight.detach(),
        output=product(attention.o_proj.weight),
        after_attention=layer.post_attention_layernorm.weight.detach(),
        before_parts=(
            layer.pre_feedforward_layernorm.weight.detach(),
            layer.pre_feedforward_layernorm_2.weight.detach(),
        ),
        router=product(router.proj.weight * (router.scale * router.scalar_root_size)),
        dense=branch(mlp.gate_proj.weight, mlp.up_proj.weight, mlp.down_proj.weight),
        expert_inner=downs.shape[2],
        experts=branch(
            gates.flatten(0, 1), ups.flatten(0, 1), downs.transpose(0, 1).flatten(1)
        ),
        per_expert_scale=router.per_expert_scale.detach(),
        top_k=text.top_k_experts,
        after_parts=torch.stack([each.weight for each in after])[:, None].detach(),
        after_both=layer.post_feedforward_layernorm.weight.detach(),
        eps=eps,
    )


def branch(gate: Tensor, up: Tensor, down: Tensor) -> Branch:
    """`gate` and `up` (inner, hidden), `down` (hidden, inner)."""
    return Branch(product(torch.cat([gate, up])), product(down))


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


def run_layer(
    layer: Layer, hidden: Tensor, context: Context, outputs: Outputs | None = None
) -> Tensor:
    """The output of a layer (rows, hidden)."""
    normed = unit(hidden, layer.eps).mul_(layer.before_attention)
    heads = _heads(layer.qkv(normed), layer)
    queries, others = heads.tensor_split([layer.queries], dim=1)
    rotary = context.rotary
    if outputs is not None:
        hidden, queries, rotary = hidden[outputs.rows], queries[outputs.rows], outputs.rotary
    queries = _rotate(queries * layer.query_scale, *rotary)
    keys = _rotate(others[:, : layer.keys] * layer.key_scale, *context.rotary)
    values = others[:, -layer.keys :]
    all_keys, all_values = context.key_values.update(
        keys.transpose(0, 1)[None], values.transpose(0, 1)[None], layer.index
    )
    attended = _attended(queries.transpose(0, 1)[None], all_keys, all_values, context)
    output = layer.output(attended.flatten(2)[0])
    hidden = torch.addcmul(hidden, unit(output, layer.eps), layer.after_attention)
    parts = _parts(layer, unit(hidden, layer.eps))
    both = unit(parts, layer.eps).mul_(layer.after_parts).sum(0)
    hidden = torch.addcmul(hidden, unit(both, layer.eps), layer.after_both)
    return hidden.mul_(context.scalar)


def _attended(queries: Tensor, keys: Tensor, values: Tensor, context: Context) -> Tensor:
    """Attention (1, rows, heads, dim)."""
    if not context.groups:
        return grouped_attention(
            queries, keys, values, context.mask, 1.0, is_causal=context.is_causal
        )
    cached = keys.shape[2] - queries.shape[2]

    def seen(held: Tensor, group: Group) -> Tensor:
        own = held[:, :, cached + group.start : cached + group.end]
        return torch.cat([held[:, :, group.slots.start : group.slots.stop], own], dim=2)

    parts = [
        grouped_attention(
            queries[:, :, group.start : group.end],
            seen(keys, group),
            seen(values, group),
            group.mask,
            1.0,
            is_causal=False,
        )
        for group in context.groups
    ]
    return torch.cat(parts, dim=1)


def groups_of(
    mask: Tensor | None, lengths: Sequence[int], places: Sequence[range] | None = None
) -> tuple[Group, ...]:
    """Canvases in groups of about `ROWS_ATTENDING`; none if there is only one.

    `mask` (1, 1, heads, rows, keys), the rows last among the keys; `places` say how many slots
    before the rows each canvas sees, if not all.
    """
    if mask is None:
        return ()
    cached = mask.shape[4] - mask.shape[3]
    places = places or [range(cached)] * len(lengths)
    ends = [0]
    slots: list[range] = []
    for end, place in zip(itertools.accumulate(lengths), places, strict=True):
        own_slots = range(cached - place.stop, cached - place.start)
        if slots and slots[-1] == own_slots and end - ends[-2] <= ROWS_ATTENDING:
            ends.pop()
            slots.pop()
        ends.append(end)
        slots.append(own_slots)
    if len(slots) == 1:
        return ()
    groups = []
    for (start, end), own_slots in zip(itertools.pairwise(ends), slots, strict=True):
        rows = mask[:, :, :, start:end]
        own = rows[..., cached + start : cached + end]
        visible = torch.cat([rows[..., own_slots.start : own_slots.stop], own], dim=-1)
        groups.append(Group(start, end, own_slots, visible.flatten(2, 3)))
    return tuple(groups)


def _heads(product: Tensor, layer: Layer) -> Tensor:
    """(rows, heads, dim) with the norm that queries, keys and values have."""
    return unit(product.unflatten(1, (-1, len(layer.query_scale))), layer.eps)


def _parts(layer: Layer, normed: Tensor) -> Tensor:
    """(2, rows, hidden) what the dense part and the experts write."""
    before_dense, before_experts = layer.before_parts
    weights = _routed(layer, layer.router(normed))
    inner = layer.experts.inner(normed * before_experts)
    # With as few experts as small models have, sorting rows by expert saves nothing.
    inner.unflatten(1, (-1, layer.expert_inner)).mul_(weights[:, :, None])
    return torch.stack((layer.dense(normed.mul_(before_dense)), layer.experts.down(inner)))


def _routed(layer: Layer, scores: Tensor) -> Tensor:
    """The weight of each expert (rows, experts), 0 if it was not chosen."""
    best, chosen = scores.softmax(-1).topk(layer.top_k, dim=-1)
    best = best.div_(best.sum(-1, keepdim=True)).mul_(layer.per_expert_scale[chosen])
    return torch.zeros_like(scores).scatter_(1, chosen, best)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`x` (rows, heads, dim) rotated by the angles of its rows (rows, 1, dim)."""
    half = x.shape[-1] // 2
    swapped = torch.cat((x[..., half:], x[..., :half]), dim=-1)
    return (x * cos).addcmul_(swapped, sin)
