"""The fused kernels as operations of torch, so that compiled layers may contain them.

On a CPU they run their references.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dg_lsp.models.gemma.fused import reference


@torch.library.custom_op("dg_lsp::rotate_and_store", mutates_args=("keys", "values"))
def rotate_and_store(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_scale: Tensor,
    key_scale: Tensor,
    cos: Tensor,
    sin: Tensor,
    keys: Tensor,
    values: Tensor,
    epsilon: float,
) -> Tensor:
    """`reference.rotate_and_store` in one launch."""
    given = (query, key, value, query_scale, key_scale, cos, sin, keys, values, epsilon)
    if query.device.type == "cpu":
        return reference.rotate_and_store(*given)
    from dg_lsp.models.gemma.fused import launch

    return launch.rotate_and_store(*given)


@torch.library.custom_op("dg_lsp::attend", mutates_args=())
def attend(query: Tensor, keys: Tensor, values: Tensor, lane: Tensor, seen: Tensor) -> Tensor:
    """`reference.attend` in two launches."""
    if query.device.type == "cpu":
        return reference.attend(query, keys, values, lane, seen)
    from dg_lsp.models.gemma.fused import launch

    return launch.attend(query, keys, values, lane, seen)


@torch.library.custom_op("dg_lsp::route", mutates_args=())
def route(logits: Tensor, scale: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """`reference.route` in one launch."""
    if logits.device.type == "cpu":
        return reference.route(logits, scale, count)
    from dg_lsp.models.gemma.fused import launch

    return launch.route(logits, scale, count)


@rotate_and_store.register_fake
def _(query: Tensor, *_: object) -> Tensor:
    return query.new_empty(query.shape)


@attend.register_fake
def _(query: Tensor, *_: object) -> Tensor:
    return query.new_empty(query.shape)


@route.register_fake
def _(logits: Tensor, scale: Tensor, count: int) -> tuple[Tensor, Tensor]:
    shape = logits.shape[0], count
    return logits.new_empty(shape, dtype=torch.float32), logits.new_empty(
        shape, dtype=torch.int64
    )
