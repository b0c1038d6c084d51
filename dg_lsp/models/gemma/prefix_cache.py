"""Caches prompts by document, so that a keystroke reads only the tokens it changed.

A token's keys and values depend only on the tokens before it. The newest prompt of each
document is kept, and the next one is read from the first token that differs. Documents share a
budget in bytes; the least recently used ones are evicted first.

transformers' own caches cannot be cut back: a sliding layer forgets tokens that left its
window, and fails silently when it is cropped below it. Here, a sliding layer keeps `slack`
tokens more than its window, knows where its history begins, and refuses to go further back.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

GROWTH_TOKENS = 256
"""Buffers grow by this many tokens at a time: far more than a keystroke adds."""


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What one layer stores per token, and how far it looks back."""

    heads: int
    dim: int
    window: int | None
    """Tokens that a sliding layer sees, the newest included; `None` sees all."""


class LayerCache:
    """Keys and values of one layer for tokens `[origin, end)` of a prompt."""

    def __init__(
        self, shape: LayerShape, slack: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.origin = self.end = 0
        self._shape = shape
        self._reach = None if shape.window is None else shape.window - 1 + slack
        self._keys = torch.empty(1, shape.heads, 0, shape.dim, dtype=dtype, device=device)
        self._values = torch.empty_like(self._keys)

    @property
    def nbytes(self) -> int:
        return self._keys.nbytes + self._values.nbytes

    def reusable(self, count: int) -> int:
        """How many of the first `count` tokens may stay when the rest is cut off."""
        if self.origin == 0:
            return count
        assert self._shape.window is not None
        return count if count - self.origin >= self._shape.window - 1 else 0

    def cut(self, count: int) -> None:
        """Keep the first `count` tokens, a number that is `reusable`."""
        self.end = count
        if count == 0:
            self.origin = 0

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append tokens (1, heads, tokens, dim); return everything that they may look back
        on."""
        count = keys.shape[2]
        self._make_room(count)
        at = self.end - self.origin
        self._keys[:, :, at : at + count] = keys
        self._values[:, :, at : at + count] = values
        seen = self._seen_before(self.end)
        self.end += count
        return self._read(self.end - count - seen, self.end)

    def seen_at(self, length: int) -> tuple[Tensor, Tensor]:
        """What a row after the first `length` tokens sees."""
        return self._read(length - self._seen_before(length), length)

    def _seen_before(self, length: int) -> int:
        window = self._shape.window
        return length if window is None else min(length, window - 1)

    def _read(self, start: int, end: int) -> tuple[Tensor, Tensor]:
        held = slice(start - self.origin, end - self.origin)
        return self._keys[:, :, held], self._values[:, :, held]

    def _make_room(self, count: int) -> None:
        held = self.end - self.origin
        if held + count <= self._keys.shape[2]:
            return
        kept = held if self._reach is None else min(held, self._reach)
        room = -(-(kept + count) // GROWTH_TOKENS) * GROWTH_TOKENS
        shape = (1, self._shape.heads, room, self._shape.dim)
        for name in ("_keys", "_values"):
            old: Tensor = getattr(self, name)
            new = old.new_empty(shape)
            new[:, :, :kept] = old[:, :, held - kept : held]
            setattr(self, name, new)
        self.origin = self.end - kept


class Prefix:
    """One cached prompt: its tokens and every layer's keys and values."""

    def __init__(
        self,
        shapes: Sequence[LayerShape],
        slack: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.ids: list[int] = []
        self.last_hidden: Tensor | None = None
        """(hidden,) the encoder's state of the last token."""
        self.reused = 0
        """Tokens of the newest prompt that did not have to be read again."""
        self.layers = [LayerCache(shape, slack, dtype, device) for shape in shapes]

    @property
    def nbytes(self) -> int:
        return sum(layer.nbytes for layer in self.layers)

    def holds(self, ids: Sequence[int]) -> bool:
        """Whether everything that a row after `ids` sees is still available."""
        count = len(ids)
        return (
            self.ids[:count] == list(ids)
            and min(layer.reusable(count) for layer in self.layers) == count
        )

    def keep_common(self, ids: Sequence[int]) -> int:
        """Cut back to the beginning shared with `ids`; returns its number of tokens.

        All of `ids` counts as shared only if the prompt equals `ids`; otherwise at least the
        last token must be read again, to get the encoder's state of it.
        """
        if self.last_hidden is not None and self.ids == list(ids):
            self.reused = len(ids)
            return len(ids)
        shared = common_length(self.ids, ids[:-1])
        for layer in self.layers:
            shared = min(shared, layer.reusable(shared))
        for layer in self.layers:
            layer.cut(shared)
        del self.ids[shared:]
        self.last_hidden = None
        self.reused = shared
        return shared

    def update(self, keys: Tensor, values: Tensor, layer_idx: int) -> tuple[Tensor, Tensor]:
        """The `KeyValues` of the encoder while it reads further tokens."""
        return self.layers[layer_idx].append(keys, values)


_serials = itertools.count()


@dataclass(slots=True, eq=False)
class Encoded:
    """A prompt that was read; remains valid if its document is read again."""

    ids: tuple[int, ...]
    document: str
    prefix: Prefix
    last_hidden: Tensor
    """(hidden,) the encoder's state of the last token."""
    reused: int = 0
    """Tokens that had been read for an earlier prompt of the document."""
    serial: int = field(default_factory=lambda: next(_serials))

    @property
    def length(self) -> int:
        return len(self.ids)


class PrefixCache:
    """The newest prompt of each document, within a budget in bytes."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.largest_bytes = 0
        """Of the prompts so far."""
        self._prefixes: OrderedDict[str, Prefix] = OrderedDict()

    @property
    def nbytes(self) -> int:
        return sum(prefix.nbytes for prefix in self._prefixes.values())

    @property
    def documents(self) -> list[str]:
        """Documents with a prompt in the cache, the least recently used first."""
        return list(self._prefixes)

    def take(self, document: str) -> Prefix | None:
        """Remove a document's prompt, to be put back after further reading."""
        return self._prefixes.pop(document, None)

    def put(self, document: str, prefix: Prefix) -> None:
        """Keep a prompt as the most recently used one, evicting others if necessary.

        One that is larger than the budget is not kept; its job still holds it.
        """
        self.largest_bytes = max(self.largest_bytes, prefix.nbytes)
        if prefix.nbytes > self.budget_bytes:
            return
        self._prefixes[document] = prefix
        held = self.nbytes
        while held > self.budget_bytes:
            _, evicted = self._prefixes.popitem(last=False)
            held -= evicted.nbytes

    def touch(self, document: str) -> None:
        """A document's prompt is in use, and others are evicted before it."""
        if document in self._prefixes:
            self._prefixes.move_to_end(document)

    def clear(self) -> int:
        """Drop everything; returns the number of bytes freed."""
        held = self.nbytes
        self._prefixes.clear()
        return held


def common_length(a: Sequence[int], b: Sequence[int]) -> int:
    """Number of tokens at the beginning that two prompts have in common."""
    length = 0
    for left, right in zip(a, b, strict=False):
        if left != right:
            break
        length += 1
    return length
