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
from torch import Tensor, nn

from dg_lsp.models.gemma.attention import KeyValues, grouped_attention

ROWS_ATTENDING = 112
"""Rows of canvases whose attention runs at once: each sees only its own canvas, so that more
rows are mostly masked."""
CHOSEN_EXPERTS_FROM = 128
"""Rows from which each expert multiplies only the rows that are routed to it. With fewer,
sorting the rows costs as much as it saves."""


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
    expert_inner: int
    """The others, of each expert."""
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
        expert_inner=experts.down_proj.shape[2],
        per_expert_scale=router.per_expert_scale.detach(),
        top_k=text.top_k_experts,
        dense_down=mlp.down_proj.weight.detach().t(),
        experts_down=experts.down_proj.detach().transpose(1, 2).flatten(0, 1).contiguous(),
        after_parts=torch.stack([each.weight for each in after])[:, None].detach(),
        after_both=layer.post_feedforward_layernorm.weight.detach(),
        eps=eps,
    )


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
    attended = _attended(queries.transpose(0, 1)[None], all_keys, all_values, context)
    output = nn.functional.linear(attended.flatten(2)[0], layer.output)
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
    written = normed.new_empty(2, *normed.shape)
    experts, dense = len(layer.per_expert_scale), layer.dense_inner
    inner = (len(layer.gate_up_router) - experts) // 2
    if len(normed) >= CHOSEN_EXPERTS_FROM:
        gates, of_experts, ups, more, router = layer.gate_up_router.split(
            [dense, inner - dense, dense, inner - dense, experts]
        )
        gate, up = (nn.functional.linear(normed, weight) for weight in (gates, ups))
        torch.mm(gated(gate, up), layer.dense_down, out=written[0])
        chosen, weights = _routing(layer, nn.functional.linear(normed, router))
        _run_chosen(layer, normed, chosen, weights, of_experts, more, written[1])
        return written
    product = nn.functional.linear(normed, layer.gate_up_router)
    gate, up, scores = product.split([inner, inner, experts], dim=1)
    activated = gated(gate, up)
    chosen, weights = _routing(layer, scores)
    # An expert that was not chosen weighs nothing.
    every = weights.new_zeros(len(normed), experts).scatter_(1, chosen, weights)
    routed = activated[:, dense:]
    routed.unflatten(1, (experts, -1)).mul_(every[:, :, None])
    torch.mm(activated[:, :dense], layer.dense_down, out=written[0])
    torch.mm(routed, layer.experts_down, out=written[1])
    return written


def _routing(layer: Layer, scores: Tensor) -> tuple[Tensor, Tensor]:
    """The experts of each row and their weights, (rows, top_k) each."""
    best, chosen = scores.softmax(-1).topk(layer.top_k, dim=-1)
    best = best.div_(best.sum(-1, keepdim=True))
    return chosen, best.mul_(layer.per_expert_scale[chosen])


def _run_chosen(
    layer: Layer,
    normed: Tensor,
    chosen: Tensor,
    weights: Tensor,
    gates: Tensor,
    ups: Tensor,
    written: Tensor,
) -> None:
    """Write what the experts make of the rows that chose them; `gates` and `ups` (experts ·
    inner of one, hidden)."""
    experts, inner = len(layer.per_expert_scale), layer.expert_inner
    flat = chosen.flatten()
    by_expert = flat.argsort()
    rows = by_expert.div(layer.top_k, rounding_mode="floor")
    counts = flat.bincount(minlength=experts).tolist()
    given = normed[rows]
    gate, up = given.new_empty(2, len(rows), inner)
    made = torch.empty_like(given)
    inputs = zip(
        *(given.split(counts), gate.split(counts), up.split(counts)),
        *(gates.split(inner), ups.split(inner)),
        strict=True,
    )
    for of_rows, own_gate, own_up, gate_weight, up_weight in inputs:
        torch.mm(of_rows, gate_weight.t(), out=own_gate)
        torch.mm(of_rows, up_weight.t(), out=own_up)
    activated = gated(gate, up).mul_(weights.flatten()[by_expert][:, None])
    outputs = zip(
        *(activated.split(counts), layer.experts_down.split(inner), made.split(counts)),
        strict=True,
    )
    for of_rows, down, own in outputs:
        torch.mm(of_rows, down, out=own)
    written.zero_().index_add_(0, rows, made)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`x` (rows, heads, dim) rotated by the angles of its rows (rows, 1, dim)."""
    half = x.shape[-1] // 2
    swapped = torch.cat((x[..., half:], x[..., :half]), dim=-1)
    return (x * cos).addcmul_(swapped, sin)
