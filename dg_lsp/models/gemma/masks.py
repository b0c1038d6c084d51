"""Boolean attention masks: which rows see which tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def owners(lengths: Sequence[int]) -> Tensor:
    """(rows,) which of several sequences, one after the other, a row belongs to."""
    return torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))


def lanes(lengths: Sequence[int], rows: int) -> Tensor:
    """(rows,) `owners`, int32; rows of padding have negative ones, each its own."""
    own = owners(lengths)
    return torch.cat([own, -1 - torch.arange(rows - len(own))]).int()


def offsets(lengths: Sequence[int]) -> Tensor:
    """(rows,) the index of a row within its sequence."""
    return torch.cat([torch.arange(length) for length in lengths])


def canvas_mask(lengths: Sequence[int], cached: int, rows: int = 0, slots: int = 0) -> Tensor:
    """(rows, slots + rows): every canvas sees the last `cached` slots and itself.

    `rows` and `slots` beyond those of the canvases and the cache are padding, which no canvas
    sees. A row of padding sees itself, because attention over nothing is undefined.
    """
    return shared_mask(lengths, [range(cached)] * len(lengths), rows, max(slots, cached))


def shared_mask(
    lengths: Sequence[int], places: Sequence[range], rows: int, slots: int
) -> Tensor:
    """(rows, slots + rows): like `canvas_mask`, but every canvas sees slots of its own;
    `places` says how many slots before the rows they are."""
    rows = max(rows, sum(lengths))
    first, end = slots_seen(lengths, places, rows, slots)
    lane = lanes(lengths, rows)
    slot = torch.arange(slots)[None, :]
    before = (slot >= first[:, None]) & (slot < end[:, None])
    return torch.cat([before, lane[:, None] == lane[None, :]], dim=1)


def slots_seen(
    lengths: Sequence[int], places: Sequence[range], rows: int, slots: int
) -> Tensor:
    """(2, rows) the first slot that a row sees, and the one after the last, int32; a row of
    padding sees none."""
    own = owners(lengths)
    bounds = torch.tensor([[slots - one.stop, slots - one.start] for one in places])[own]
    return torch.cat([bounds, bounds.new_zeros(rows - len(own), 2)]).t().int().contiguous()


def causal_mask(lengths: Sequence[int], cached: int, window: int | None) -> Tensor:
    """(rows, cached + rows): each sequence continues the `cached` tokens, without the others.

    A row looks back `window` tokens, itself included.
    """
    own, offset = owners(lengths), offsets(lengths)
    distance_among = offset[:, None] - offset[None, :]
    among = (own[:, None] == own[None, :]) & (distance_among >= 0)
    distance = offset[:, None] + cached - torch.arange(cached)[None, :]
    before = torch.ones_like(distance, dtype=torch.bool)
    if window is not None:
        among &= distance_among < window
        before = distance < window
    return torch.cat([before, among], dim=1)


def reading_mask(count: int, cached: int, window: int | None, device: torch.device) -> Tensor:
    """The `causal_mask` of one sequence, made on the device."""
    row = torch.arange(cached, cached + count, dtype=torch.int32, device=device)[:, None]
    column = torch.arange(cached + count, dtype=torch.int32, device=device)[None, :]
    mask = column <= row
    return mask if window is None else mask.logical_and_(column > row - window)


def continuation_mask(
    lane: Tensor, offset: Tensor, cached: Tensor, slots: int, window: int | None
) -> Tensor:
    """(rows, slots + rows): what `causal_mask` gives, computed where its arguments are.

    `lane` and `offset` (rows,) tell to which sequence a row belongs, and where in it the row
    is; `cached`, a scalar, is how many of the slots hold tokens, the last ones. The content of
    no tensor is needed for a size, so that it can be captured.
    """
    distance_among = offset[:, None] - offset[None, :]
    among = (lane[:, None] == lane[None, :]) & (distance_among >= 0)
    position = torch.arange(slots, device=lane.device) - slots + cached
    distance = (offset + cached)[:, None] - position[None, :]
    before = (position >= 0)[None, :] & (distance > 0)
    if window is not None:
        among &= distance_among < window
        before &= distance < window
    return torch.cat([before, among], dim=1)
