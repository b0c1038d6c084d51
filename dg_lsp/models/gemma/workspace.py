"""Holds the keys and values of a forward pass in one buffer: [cached tokens | rows].

The cached tokens of a prompt are copied in once and end where the rows begin, so that every
forward pass writes its rows to the same place and reads one contiguous view, whatever the
length of the prompt. Addresses do not change, as a captured graph requires.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dg_lsp.models.gemma.fused import Slots
from dg_lsp.models.gemma.prefix_cache import LayerShape, Prefix
from dg_lsp.models.padding import rounded


class Workspace:
    """Buffers of all layers, each (1, heads, cached + rows, dim), with the rows at the end."""

    def __init__(
        self, shapes: Sequence[LayerShape], dtype: torch.dtype, device: torch.device
    ) -> None:
        self._shapes = list(shapes)
        self._dtype, self._device = dtype, device
        self.cached = self.sliding = self.rows = 0
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []

    @property
    def nbytes(self) -> int:
        return sum(buffer.nbytes for buffer in (*self._keys, *self._values))

    def reserve(self, cached: int, rows: int, sliding: int | None = None) -> bool:
        """Make room for this many tokens; true if buffers were replaced and their content
        lost. Sliding layers have room for a window, or for `sliding` tokens of several
        prompts."""
        window = max((window_room(shape) for shape in self._shapes if shape.window), default=0)
        sliding = min(cached, window) if sliding is None else sliding
        if self.holds(cached, rows) and sliding <= self.sliding:
            return False
        self.cached = max(self.cached, rounded(cached))
        self.sliding = max(self.sliding, rounded(sliding))
        self.rows = max(self.rows, rounded(rows))
        # Freed first, because the old and the new buffers may not fit at the same time.
        self._keys, self._values = [], []
        for shape in self._shapes:
            size = (1, shape.heads, self.room(shape) + self.rows, shape.dim)
            # Even masked values must be finite numbers.
            for buffers in (self._keys, self._values):
                buffers.append(torch.zeros(size, dtype=self._dtype, device=self._device))
        return True

    def holds(self, cached: int, rows: int) -> bool:
        """Whether there is room for this many tokens."""
        return cached <= self.cached and rows <= self.rows

    def room(self, shape: LayerShape) -> int:
        """Number of cached tokens that a layer has room for."""
        return self.cached if shape.window is None else self.sliding

    def load(self, *prompts: tuple[Prefix, int]) -> None:
        """Copy in everything that rows after the first so many tokens of some prefixes see;
        the last prompt ends where the rows begin, and each other one where the next begins."""
        for number, (shape, keys, values) in enumerate(
            zip(self._shapes, self._keys, self._values, strict=True)
        ):
            end = self.room(shape)
            for prefix, length in reversed(prompts):
                held_keys, held_values = prefix.layers[number].seen_at(length)
                start = end - held_keys.shape[2]
                keys[:, :, start:end] = held_keys
                values[:, :, start:end] = held_values
                end = start

    def first_rows(self, count: int) -> list[tuple[Tensor, Tensor]]:
        """Every layer's keys and values (1, heads, count, dim) of the first rows."""
        found = []
        for shape, keys, values in zip(self._shapes, self._keys, self._values, strict=True):
            end = self.room(shape)
            held = slice(end, end + count)
            found.append((keys[:, :, held], values[:, :, held]))
        return found

    def view(self, full: int, sliding: int, rows: int) -> WorkspaceView:
        """The first `rows` rows and the cached tokens before them, by kind of layer."""
        slices = []
        for shape, keys, values in zip(self._shapes, self._keys, self._values, strict=True):
            seen = full if shape.window is None else sliding
            end = self.room(shape)
            held = slice(end - seen, end + rows)
            slices.append((keys[:, :, held], values[:, :, held], seen))
        return WorkspaceView(slices)


class WorkspaceView:
    """The `KeyValues` of forward passes with a given number of rows and cached tokens."""

    def __init__(self, slices: list[tuple[Tensor, Tensor, int]]) -> None:
        self._slices = slices

    def update(self, keys: Tensor, values: Tensor, layer_idx: int) -> tuple[Tensor, Tensor]:
        all_keys, all_values, seen = self._slices[layer_idx]
        all_keys[:, :, seen:] = keys
        all_values[:, :, seen:] = values
        return all_keys, all_values

    def slots(self, layer_idx: int) -> Slots:
        """One layer's views, for the fused kernels, which write the rows themselves."""
        keys, values, _ = self._slices[layer_idx]
        return Slots(keys[0], values[0])


def slots_by_kind(cached: int, window: int, prompts: int = 1) -> dict[str, int]:
    """Slots before the rows of a padded forward pass after so many prompts, by layer type.

    Rounded up because attention needs aligned masks; some slots may stay unused.
    """
    return {
        "full_attention": cached,
        "sliding_attention": min(cached, prompts * rounded(window - 1)),
    }


def window_room(shape: LayerShape) -> int:
    """Maximum number of cached tokens that a sliding layer reads, rounded up."""
    assert shape.window is not None
    return rounded(shape.window - 1)
