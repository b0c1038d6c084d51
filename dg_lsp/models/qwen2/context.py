"""Keys and values of the text around a canvas, which several steps share.

In a bidirectional network they depend on the canvas, so that reusing them is an approximation
until they are computed again. Keys carry their positions as a rotation; those of the text after
the canvas are rotated further when the canvas has another length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

EDGE_ROWS = 4
"""Rows on each side of a canvas that every step computes anew. The one before the canvas is
needed in any case, because it predicts the canvas's first row."""


class Recorder:
    """Takes the place of the cache in a forward pass, and keeps what passes through."""

    def __init__(self) -> None:
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    def update(
        self, keys: Tensor, values: Tensor, layer: int, *_: object
    ) -> tuple[Tensor, Tensor]:
        self.keys.append(keys)
        self.values.append(values)
        return keys, values


@dataclass(slots=True)
class Context:
    """What one full forward pass found out about the text around its canvas.

    Tensors are (1, heads, tokens, dim), one per layer, without the edges of the canvas.
    """

    canvas_length: int
    """Of the canvas that was there."""
    keys_before: list[Tensor]
    values_before: list[Tensor]
    keys_after: list[Tensor]
    values_after: list[Tensor]
    steps: int = 0
    """Steps that have used it."""
    arranged: Arranged | None = field(default=None, repr=False)

    @property
    def nbytes(self) -> int:
        parts = (self.keys_before, self.values_before, self.keys_after, self.values_after)
        return sum(tensor.nbytes for part in parts for tensor in part)

    def arrange(self, lengths: Sequence[int], rows: int, rotary: nn.Module) -> Arranged:
        """Keys for canvases of these lengths, with room for the rows of a step."""
        found = self.arranged
        if found is None or found.lengths != tuple(lengths) or found.room < rows:
            found = Arranged(self, tuple(lengths), rows, rotary)
            self.arranged = found
        found.rows = rows
        return found


def record(recorder: Recorder, before: int, canvas_length: int) -> Context:
    """The context of a full forward pass with `before` tokens in front of the canvas."""
    start = max(0, before - EDGE_ROWS)
    end = before + canvas_length + EDGE_ROWS
    keys, values = recorder.keys, recorder.values
    return Context(
        canvas_length,
        keys_before=[each[:, :, :start].clone() for each in keys],
        values_before=[each[:, :, :start].clone() for each in values],
        keys_after=[each[:, :, end:].clone() for each in keys],
        values_after=[each[:, :, end:].clone() for each in values],
    )


class Arranged:
    """A context in front of the rows of a step, as the cache of a forward pass.

    The order of the keys is: before, then after once for each length, then the rows.
    """

    def __init__(
        self, context: Context, lengths: tuple[int, ...], rows: int, rotary: nn.Module
    ) -> None:
        self.lengths, self.room, self.rows = lengths, rows, rows
        self.before = context.keys_before[0].shape[2]
        self.after = context.keys_after[0].shape[2]
        self.size = self.before + len(lengths) * self.after
        turns = [turn(rotary, length - context.canvas_length) for length in lengths]
        self._keys = [
            self._joined(before, [rotated(after, *turned) for turned in turns])
            for before, after in zip(context.keys_before, context.keys_after, strict=True)
        ]
        self._values = [
            self._joined(before, [after] * len(lengths))
            for before, after in zip(context.values_before, context.values_after, strict=True)
        ]

    def update(
        self, keys: Tensor, values: Tensor, layer: int, *_: object
    ) -> tuple[Tensor, Tensor]:
        end = self.size + self.rows
        for whole, own in ((self._keys[layer], keys), (self._values[layer], values)):
            whole[:, :, self.size : end] = own
        return self._keys[layer][:, :, :end], self._values[layer][:, :, :end]

    def mask(self, lanes: Sequence[tuple[int, int]], device: torch.device) -> Tensor:
        """(1, 1, rows, keys) what the rows of each lane see: a lane is the index of its length
        and the number of its rows."""
        whole = torch.zeros(self.rows, self.size + self.rows, dtype=torch.bool, device=device)
        whole[:, : self.before] = True
        start = 0
        for number, rows in lanes:
            own = slice(start, start + rows)
            after = self.before + number * self.after
            whole[own, after : after + self.after] = True
            whole[own, self.size + start : self.size + start + rows] = True
            start += rows
        return whole[None, None]

    def _joined(self, before: Tensor, after: Sequence[Tensor]) -> Tensor:
        shape = (*before.shape[:2], self.room, before.shape[3])
        return torch.cat([before, *after, before.new_empty(shape)], dim=2)


def turn(rotary: nn.Module, distance: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (dim,) of the rotation that moves a key by `distance` positions."""
    frequencies = rotary.get_buffer("inv_freq").float()
    angles = torch.cat([frequencies, frequencies]) * distance
    return angles.cos(), angles.sin()


def rotated(keys: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Keys (1, heads, tokens, dim) at other positions."""
    exact = keys.float()
    half = exact.shape[-1] // 2
    crossed = torch.cat([-exact[..., half:], exact[..., :half]], dim=-1)
    return (exact * cosines + crossed * sines).to(keys.dtype)
