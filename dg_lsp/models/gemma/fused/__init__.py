"""Does in one launch what the class does in many, between the matrix products.

The kernels normalize, rotate and store queries, keys and values, attend, and route (kernels.py;
launch.py launches them, ops.py makes them operations of torch). Each has a reference in plain
torch that it is tested against (reference.py). torch.compile fuses what lies between them
(compiled.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor


class Lanes(NamedTuple):
    """Which tokens the rows of a step see; the kernels read this instead of a mask."""

    lane: Tensor
    """(rows,) the canvas of a row; negative, and different for each, where a row is padding."""
    seen: Tensor
    """(2, rows) the first slot before the rows that a row sees, and the one after the last."""


class Slots(NamedTuple):
    """One layer's keys and values, (key heads, cached + rows, dim) each."""

    keys: Tensor
    values: Tensor


def attention(
    layer: Any, hidden: Tensor, rotary: tuple[Tensor, Tensor], lanes: Lanes, slots: Slots
) -> Tensor:
    """The class's attention layer on `hidden` (1, rows, hidden)."""
    from dg_lsp.models.gemma.fused import ops

    rows = hidden.shape[1]
    key_heads = slots.keys.shape[0]
    heads = layer.qkv_proj(hidden).view(rows, -1, layer.head_dim)
    query_heads = key_heads * layer.num_key_value_groups
    query, key, *value = heads.split(
        [query_heads] + [key_heads] * (1 if layer.v_proj is None else 2), dim=1
    )
    query = ops.rotate_and_store(
        query,
        key,
        # Layers without values of their own use their keys.
        value[0] if value else key,
        layer.q_norm.weight,
        layer.k_norm.weight,
        rotary[0][0],
        rotary[1][0],
        slots.keys,
        slots.values,
        layer.q_norm.eps,
    )
    attended = ops.attend(query, slots.keys, slots.values, lanes.lane, lanes.seen)
    projected: Tensor = layer.o_proj(attended.view(1, rows, -1))
    return projected


def routing(router: Any, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The class's router on `hidden` (rows, hidden): scores, weights, experts.

    The layer ignores the scores, which the class returns as probabilities.
    """
    from dg_lsp.models.gemma.fused import ops

    normed = router.norm(hidden) * router.scale * router.scalar_root_size
    scores: Tensor = router.proj(normed)
    count = router.config.top_k_experts
    weights, index = ops.route(scores, router.per_expert_scale, count)
    return scores, weights, index
