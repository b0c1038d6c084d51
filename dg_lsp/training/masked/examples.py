"""Cuts masked examples out of source files, in the layout that the engine uses.

An example is `[bos] prefix [span] suffix`, with `[eos]` if the suffix reaches the end of the
document: a span like those of users, with the typed text around it healed in, and in most
examples some more spans of the text around it. A share of the examples is plain text that the
model reads causally; it predicts every next token with the same shifted outputs, and so learns
the language from every position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dg_lsp.engine.codec import Codec
from dg_lsp.engine.healing import freed_after, freed_before, text_of
from dg_lsp.training.corpus import SourceFile
from dg_lsp.training.examples import WeightedFiles, draw_span
from dg_lsp.training.masked.corruption import IGNORED, Corrupted, corrupt_at_random
from dg_lsp.training.masked.shape import BOS, EOS, PAD, TOKENS

CHARACTERS = 6
"""More characters than a token has in any text, so that enough of them are tokenized."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a batch, in tokens."""

    sequence: int = 320
    suffix: int = 88
    window: int = 32
    """The most positions of a span, deletes included."""
    max_more: int = 6
    """The most further spans."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Arrays of one training step, `b` examples."""

    ids: NDArray[np.int64]
    """(b, sequence) what the model reads, padded at the end."""
    targets: NDArray[np.int64]
    """(b, sequence) true ids, IGNORED where there is no loss; row i is predicted at i - 1."""
    weights: NDArray[np.float32]
    """(b, sequence) weight of the loss."""
    lengths: NDArray[np.int64]
    """(b,) positions without the padding."""
    causal: NDArray[np.bool_]
    """(b,) whether each position reads only those before it."""


class ExampleMaker:
    """Draws batches; a batch depends only on the seed and the step, so runs can resume."""

    def __init__(
        self,
        files: Sequence[SourceFile],
        codec: Codec,
        shape: Shape,
        seed: int,
        causal_share: float,
    ) -> None:
        self._files = WeightedFiles(files)
        self._codec, self._shape = codec, shape
        self._seed, self._causal_share = seed, causal_share

    def batch(self, step: int, size: int) -> Batch:
        rng = np.random.default_rng([self._seed, step])
        length = self._shape.sequence
        out = Batch(
            ids=np.full((size, length), PAD, np.int64),
            targets=np.full((size, length), IGNORED, np.int64),
            weights=np.zeros((size, length), np.float32),
            lengths=np.zeros(size, np.int64),
            causal=np.arange(size) < round(size * self._causal_share),
        )
        row = 0
        while row < size:
            file = self._files.draw(rng)
            draw = self._plain if out.causal[row] else self._infill
            example = draw(file.text, rng)
            if example is None:
                continue
            count = len(example.ids)
            out.ids[row, :count] = example.ids
            out.targets[row, :count] = example.targets
            out.weights[row, :count] = example.weights
            out.lengths[row] = count
            row += 1
        return out

    def _plain(self, text: str, rng: np.random.Generator) -> Corrupted | None:
        start = int(rng.integers(len(text)))
        known = self._shape.sequence - 1
        ids = self._codec.encode(text[start : start + known * CHARACTERS])[:known]
        if len(ids) < 16:
            return None
        return Corrupted([BOS, *ids], [IGNORED, *ids], [0.0, *([1.0] * len(ids))])

    def _infill(self, text: str, rng: np.random.Generator) -> Corrupted | None:
        """One example; `None` if the drawn span does not fit."""
        shape, codec = self._shape, self._codec
        start, end = draw_span(text, rng)
        suffix_tokens = int(rng.integers(8, shape.suffix + 1))
        rest = "" if rng.random() < 0.05 else text[end:]
        encoded = codec.encode(rest[: suffix_tokens * CHARACTERS])
        after = encoded[:suffix_tokens]
        is_whole = len(after) == len(encoded) and len(rest) <= suffix_tokens * CHARACTERS
        before = codec.encode(text[max(0, start - shape.sequence * CHARACTERS) : start])
        left, right = freed_before(codec, before), freed_after(codec, after)
        typed = text_of(codec, left), text_of(codec, right)
        span = codec.encode(typed[0].decode() + text[start:end] + typed[1].decode())
        if not 0 < len(span) <= shape.window:
            return None
        healed = self._covering(span, len(typed[0])), self._covering(span[::-1], len(typed[1]))
        hidden = corrupt_at_random(span, TOKENS, rng, window=shape.window, healed=healed)
        after = after[len(right) :]
        room = shape.sequence - 2 - len(hidden.ids) - len(after)
        before = before[: len(before) - len(left)][-room:]
        parts = [
            _seen([BOS]),
            *self._more(before, rng),
            hidden,
            *self._more(after, rng),
            _seen([EOS] if is_whole else []),
        ]
        example = joined(parts)
        # The deletes of further spans may make it too long; the start of the prefix gives way.
        over = max(0, len(example.ids) - shape.sequence)
        return Corrupted(
            example.ids[:1] + example.ids[1 + over :],
            example.targets[:1] + example.targets[1 + over :],
            example.weights[:1] + example.weights[1 + over :],
        )

    def _covering(self, ids: Sequence[int], size: int) -> int:
        """How many of the first tokens contain `size` bytes."""
        count = 0
        while size > 0:
            size -= len(self._codec.token_bytes(ids[count]))
            count += 1
        return count

    def _more(self, ids: Sequence[int], rng: np.random.Generator) -> list[Corrupted]:
        """The text on one side of the span, in most cases with further spans in it."""
        parts, at = [], 0
        most = self._shape.max_more * len(ids) // self._shape.sequence
        starts = np.sort(rng.integers(0, max(1, len(ids)), int(rng.integers(0, most + 1))))
        for start in starts.tolist():
            if start <= at:
                continue
            span = ids[start : start + min(int(rng.geometric(0.15)), self._shape.window)]
            parts += [_seen(ids[at:start])]
            parts += [corrupt_at_random(span, TOKENS, rng, window=self._shape.window)]
            at = start + len(span)
        return [*parts, _seen(ids[at:])]


def _seen(ids: Sequence[int]) -> Corrupted:
    return Corrupted(list(ids), [IGNORED] * len(ids), [0.0] * len(ids))


def joined(parts: Sequence[Corrupted]) -> Corrupted:
    """The texts of some parts as one."""
    return Corrupted(
        [token for part in parts for token in part.ids],
        [target for part in parts for target in part.targets],
        [weight for part in parts for weight in part.weights],
    )
