"""What the fused kernels compute, in plain torch; for tests, and for the check at load."""

from __future__ import annotations

import torch
from torch import Tensor


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
    """Normalize and rotate queries and keys, normalize values, and store keys and values.

    Shapes: `query` (rows, query heads, dim), `key` and `value` (rows, key heads, dim); the
    scales of the norms (dim,); `cos` and `sin` (rows, dim); `keys` and `values` (key heads,
    slots, dim), whose last `rows` slots are written. Returns the queries, shaped like `query`.
    """
    rows = len(query)

    def normed(x: Tensor, scale: Tensor | None) -> Tensor:
        exact = x.float()
        exact = exact * (exact.pow(2).mean(-1, keepdim=True) + epsilon).rsqrt()
        return (exact if scale is None else exact * scale.float()).to(x.dtype).float()

    def rotated(x: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=-1)
        turned = torch.cat([-second, first], dim=-1)
        return x * cos.float()[:, None] + turned * sin.float()[:, None]

    keys[:, -rows:] = rotated(normed(key, key_scale)).to(keys.dtype).transpose(0, 1)
    values[:, -rows:] = normed(value, None).to(values.dtype).transpose(0, 1)
    return rotated(normed(query, query_scale)).to(query.dtype).contiguous()


def attend(query: Tensor, keys: Tensor, values: Tensor, lane: Tensor, seen: Tensor) -> Tensor:
    """Attention of canvases that see some cached tokens and themselves, without a scale.

    Shapes: `query` (rows, query heads, dim); `keys` and `values` (key heads, slots + rows,
    dim); `lane` (rows,) the canvas of a row, negative and different for each row of padding;
    `seen` (2, rows) the first slot that a row sees, and the one after the last, int32.
    Returns (rows, query heads, dim). A row of padding sees itself, because attention over
    nothing is undefined.
    """
    rows, heads, _ = query.shape
    slots = keys.shape[1] - rows
    slot = torch.arange(slots, device=lane.device)[None, :]
    before = (slot >= seen[0, :, None]) & (slot < seen[1, :, None])
    sees = torch.cat([before, lane[:, None] == lane[None, :]], dim=1)
    groups = heads // keys.shape[0]
    keys, values = (held.float().repeat_interleave(groups, 0) for held in (keys, values))
    logits = query.float().transpose(0, 1) @ keys.transpose(1, 2)
    weights = logits.masked_fill(~sees, -torch.inf).softmax(-1)
    return (weights @ values).transpose(0, 1).to(query.dtype).contiguous()


def route(logits: Tensor, scale: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` best experts (rows, count) of each row, and their weights, float32.

    `logits` (rows, experts). Weights sum to one, before `scale` (experts,) is applied.
    """
    weights, index = logits.float().softmax(-1).topk(count)
    weights = weights / weights.sum(-1, keepdim=True)
    return weights * scale.float()[index], index
