"""Keys and values of the text around a canvas, which several steps share.

In a bidirectional network they depend on the canvas, so that reusing them is an approximation
until they are computed again. Keys carry their positions as a rotation; those of the text after
the canvas are rotated further when the canvas has another length.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dg_lsp.models.padding import rounded

EDGE_ROWS = 4
"""Rows on each side of a canvas that every step computes anew. The one before the canvas is
needed in any case, because it predicts the canvas's first row."""

_serials = itertools.count()


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

    Tensors are (layers, heads, tokens, dim), without the edges of the canvas.
    """

    canvas_length: int
    """Of the canvas that was there."""
    keys_before: Tensor
    values_before: Tensor
    keys_after: Tensor
    values_after: Tensor
    steps: int = 0
    """Steps that have used it."""
    serial: int = field(default_factory=lambda: next(_serials))

    @property
    def nbytes(self) -> int:
        before = self.keys_before.nbytes + self.values_before.nbytes
        return before + self.keys_after.nbytes + self.values_after.nbytes


def record(recorder: Recorder, before: int, canvas_length: int) -> Context:
    """The context of a full forward pass with `before` tokens in front of the canvas."""
    start = max(0, before - EDGE_ROWS)
    end = before + canvas_length + EDGE_ROWS

    def part(layers: Sequence[Tensor], tokens: slice) -> Tensor:
        return torch.stack([each[0, :, tokens] for each in layers])

    return Context(
        canvas_length,
        keys_before=part(recorder.keys, slice(0, start)),
        values_before=part(recorder.values, slice(0, start)),
        keys_after=part(recorder.keys, slice(end, None)),
        values_after=part(recorder.values, slice(end, None)),
    )


class Workspace:
    """A context and the rows of a step in buffers of all layers: [context | rows].

    The context is the text before, then the text after once for each length of a canvas. It
    ends where the rows begin, so that a step reads one view at a fixed address, whatever the
    length of the text.
    """

    def __init__(
        self, layers: int, heads: int, dim: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._layers, self._heads, self._dim = layers, heads, dim
        self._dtype, self._device = dtype, device
        self.cached = self.rows = 0
        self._keys = self._values = self._buffer()
        self._loaded: tuple[int, tuple[int, ...]] | None = None
        """Serial number of the context that is in it, and for which lengths."""

    @property
    def nbytes(self) -> int:
        return self._keys.nbytes + self._values.nbytes

    def reserve(self, cached: int, rows: int) -> bool:
        """Make room for this many tokens; true if buffers were replaced and their content
        lost."""
        if cached <= self.cached and rows <= self.rows:
            return False
        self.cached = max(self.cached, rounded(cached))
        self.rows = max(self.rows, rounded(rows))
        # Freed first, because the old and the new buffers may not fit at the same time.
        self._keys = self._values = self._keys[:0]
        self._loaded = None
        self._keys, self._values = self._buffer(), self._buffer()
        return True

    def load(self, context: Context, lengths: tuple[int, ...], rotary: nn.Module) -> None:
        """Put a context in, for canvases of these lengths."""
        if self._loaded == (context.serial, lengths):
            return
        is_before_there = (
            self._loaded is not None
            and self._loaded[0] == context.serial
            and len(self._loaded[1]) == len(lengths)
        )
        before, after = context.keys_before.shape[2], context.keys_after.shape[2]
        at = self.cached - before - len(lengths) * after
        if not is_before_there:
            self._keys[:, 0, :, at : at + before] = context.keys_before
            self._values[:, 0, :, at : at + before] = context.values_before
        at += before
        for length in lengths if after else ():
            turned = turn(rotary, length - context.canvas_length)
            self._keys[:, 0, :, at : at + after] = rotated(context.keys_after, *turned)
            self._values[:, 0, :, at : at + after] = context.values_after
            at += after
        self._loaded = context.serial, lengths

    def view(self, cached: int, rows: int) -> View:
        """The last `cached` tokens of the context and the first `rows` rows."""
        held = slice(self.cached - cached, self.cached + rows)
        return View(self._keys[:, :, :, held], self._values[:, :, :, held], cached)

    def _buffer(self) -> Tensor:
        size = (self._layers, 1, self._heads, self.cached + self.rows, self._dim)
        # Even masked values must be finite numbers.
        return torch.zeros(size, dtype=self._dtype, device=self._device)


class View:
    """The cache of forward passes with a given number of rows and cached tokens."""

    def __init__(self, keys: Tensor, values: Tensor, cached: int) -> None:
        self._keys, self._values, self._cached = keys, values, cached

    def update(
        self, keys: Tensor, values: Tensor, layer: int, *_: object
    ) -> tuple[Tensor, Tensor]:
        all_keys, all_values = self._keys[layer], self._values[layer]
        all_keys[:, :, self._cached :] = keys
        all_values[:, :, self._cached :] = values
        return all_keys, all_values


def turn(rotary: nn.Module, distance: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (dim,) of the rotation that moves a key by `distance` positions."""
    frequencies = rotary.get_buffer("inv_freq").float()
    angles = torch.cat([frequencies, frequencies]) * distance
    return angles.cos(), angles.sin()


def rotated(keys: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Keys (..., tokens, dim) at other positions."""
    exact = keys.float()
    half = exact.shape[-1] // 2
    crossed = torch.cat([-exact[..., half:], exact[..., :half]], dim=-1)
    return (exact * cosines + crossed * sines).to(keys.dtype)
