"""Cuts training examples out of source files, in the same layout that the engine uses.

An example is one encoder sequence (a prompt of `engine.prompt`, continued by the true text)
and several canvases that read a part of it. The first canvas is the actual task: a healed,
contiguous free span before a right anchor. The others start at earlier cuts and are
contiguous spans, open canvases, or fully noised canvases, as in block diffusion. In a share
of the examples, the first canvas starts from a seed instead of the true text.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dg_lsp.config import PromptSettings, PromptStyle
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.conversation import build_prompt
from dg_lsp.engine.healing import heal
from dg_lsp.engine.prompt import healed_ids, plan_canvas
from dg_lsp.job import InfillJob
from dg_lsp.training.corpus import SourceFile, language
from dg_lsp.training.seeding import seeded_start

IGNORED = -100

# Share of a distribution relative to its size: ordinary programs are used more often than the
# long, repetitive model definitions and operator tables that fill the large packages.
MIX = {"stdlib": 3.0, "torch": 0.4, "transformers": 0.4, "sympy": 0.5}
# Share of all examples, if there is any text in the language; the rest is Python.
LANGUAGES = {"javascript": 0.09, "typescript": 0.09, "lua": 0.05}
_LINE = re.compile(r"[^\n]*\n?")
_WORD = re.compile(r"\w+|[^\w\s]|\s+")


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a batch, in tokens."""

    sequence: int = 320
    """Encoder sequence: prompt, true span and the text after it."""
    canvas: int = 48
    canvases: int = 3
    max_free: int = 32
    """Longest free span of the first canvas."""
    anchor: int = 16
    suffix: int = 80
    """Maximum number of suffix tokens in the user turn."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Arrays of one training step, `b` examples of the given shape."""

    ids: NDArray[np.int64]
    """(b, sequence) encoder input, padded at the end."""
    labels: NDArray[np.int64]
    """(b, sequence) next token, IGNORED at padding."""
    cuts: NDArray[np.int64]
    """(b, canvases) how many encoder positions each canvas reads."""
    canvas: NDArray[np.int64]
    """(b, canvases, canvas) noised ids."""
    targets: NDArray[np.int64]
    """(b, canvases, canvas) true ids, IGNORED at padding."""
    weights: NDArray[np.float32]
    """(b, canvases, canvas) weight of the loss: 1 where free, less where pinned."""
    pinned: NDArray[np.bool_]
    """(b, canvases, canvas) positions fixed by the document."""


class WeightedFiles:
    """Files to draw from, each as often as its weight says."""

    def __init__(self, files: Sequence[SourceFile]) -> None:
        self._files = list(files)
        self._ends = list(itertools.accumulate(file_weights(self._files)))

    def draw(self, rng: np.random.Generator) -> SourceFile:
        at = bisect.bisect_right(self._ends, float(rng.random()) * self._ends[-1])
        return self._files[at]


class ExampleMaker:
    """Draws batches; a batch depends only on the seed and the step, so runs can resume."""

    def __init__(
        self,
        files: Sequence[SourceFile],
        codec: Codec,
        shape: Shape,
        seed: int,
        seeded_share: float = 0.0,
    ) -> None:
        self._files = WeightedFiles(files)
        self._codec = codec
        self._shape = shape
        self._seed = seed
        self._seeded_share = seeded_share
        disallowed = set(codec.control.disallowed)
        self._noise_ids = np.array(
            [i for i in range(codec.vocab_size) if i not in disallowed], dtype=np.int64
        )

    def batch(self, step: int, size: int) -> Batch:
        shape = self._shape
        rng = np.random.default_rng([self._seed, step])
        pad = self._codec.control.pad
        canvases = (size, shape.canvases, shape.canvas)
        out = Batch(
            ids=np.full((size, shape.sequence), pad, np.int64),
            labels=np.full((size, shape.sequence), IGNORED, np.int64),
            cuts=np.zeros((size, shape.canvases), np.int64),
            canvas=np.full(canvases, pad, np.int64),
            targets=np.full(canvases, IGNORED, np.int64),
            weights=np.zeros(canvases, np.float32),
            pinned=np.ones(canvases, np.bool_),
        )
        row = 0
        while row < size:
            row += self._fill(out, row, rng)
        return out

    def _fill(self, out: Batch, row: int, rng: np.random.Generator) -> int:
        """Write one example into row `row`; 0 if the drawn span does not fit."""
        shape, codec = self._shape, self._codec
        file = self._files.draw(rng)
        start, end = draw_span(file.text, rng)
        suffix_tokens = 0 if rng.random() < 0.05 else int(rng.integers(16, shape.suffix + 1))
        anchor = shape.anchor if rng.random() < 0.7 else int(rng.integers(0, shape.anchor))
        room = shape.sequence - suffix_tokens - shape.max_free - shape.anchor - 24
        settings = PromptSettings(
            style=PromptStyle.BARE,
            prefix_tokens=room,
            suffix_tokens=suffix_tokens,
            right_anchor_tokens=anchor,
        )
        before, after = file.text[:start], file.text[end:] if suffix_tokens else ""
        job = InfillJob(
            prefix=before[-room * 6 :],
            suffix=after[:600],
            path=file.path,
            language=language(file.path),
        )
        prompt = build_prompt(job, codec, settings)
        free = healed_ids(prompt, codec, file.text[start:end])
        if not 0 < len(free) <= shape.max_free or len(prompt.ids) + len(free) > shape.sequence:
            return 0
        tail = (*prompt.right_anchor, *prompt.closing)[: shape.canvas - len(free)]
        sequence = np.array([*prompt.ids, *free, *tail], np.int64)[: shape.sequence]
        out.ids[row, : len(sequence)] = sequence
        out.labels[row, : len(sequence) - 1] = sequence[1:]

        out.cuts[row, 0] = len(prompt.ids)
        noise = rng.choice(self._noise_ids, len(free))
        # The engine starts healed positions as the typed tokens, not as random ones.
        for healed in heal(plan_canvas(prompt, len(free)), codec, [-1] * len(free)):
            noise[healed.position] = healed.typed
        ids = free
        if rng.random() < self._seeded_share:
            # The engine starts a lane with the whole seed and renoises what it doubts.
            ids = seeded_start(job, (before, after), prompt, codec, free, rng)
            level = 0.0 if rng.random() < 0.5 else float(rng.random())
        else:
            level = _noise_level(rng, full=0.45)
        begun = np.where(rng.random(len(free)) < level, noise, ids)
        self._put(out, row, 0, np.array([*free, *tail], np.int64), begun)

        for index in range(1, shape.canvases):
            least = min(24, len(prompt.ids) - 1)
            cut = int(rng.integers(least, len(prompt.ids)))
            canvas = sequence[cut : cut + shape.canvas]
            kind = rng.random()
            if kind < 0.55:
                length = min(1 + int(rng.geometric(0.12)), shape.max_free, len(canvas))
            else:
                length = len(canvas)
            full = 0.0 if kind > 0.8 else 0.4
            noised = rng.random(length) < _noise_level(rng, full)
            noise = rng.choice(self._noise_ids, length)
            out.cuts[row, index] = cut
            self._put(out, row, index, canvas, np.where(noised, noise, canvas[:length]))
        return 1

    def _put(
        self,
        out: Batch,
        row: int,
        index: int,
        canvas: NDArray[np.int64],
        begun: NDArray[np.int64],
    ) -> None:
        """Write one canvas: the true ids, and what the free ones, its first, start as."""
        count, free = len(canvas), len(begun)
        out.targets[row, index, :count] = canvas
        out.canvas[row, index, :count] = canvas
        out.canvas[row, index, :free] = begun
        out.weights[row, index, :count] = 0.1
        out.weights[row, index, :free] = 1.0
        out.pinned[row, index, :free] = False


def file_weights(files: Sequence[SourceFile]) -> list[float]:
    """The weight of each file, chosen so that each language has its share."""
    weights = [len(file.text) * MIX.get(file.distribution, 1.0) for file in files]
    totals: dict[str, float] = defaultdict(float)
    for file, weight in zip(files, weights, strict=True):
        totals[language(file.path)] += weight
    shares = {name: LANGUAGES[name] for name in totals if name in LANGUAGES}
    if "python" in totals:
        shares["python"] = 1.0 - sum(shares.values())
    return [
        weight * shares[language(file.path)] / totals[language(file.path)]
        for file, weight in zip(files, weights, strict=True)
    ]


def draw_span(text: str, rng: np.random.Generator) -> tuple[int, int]:
    """A span like those of users: some tokens, the rest of a line, lines, inside a word."""
    at = int(rng.integers(len(text)))
    kind = rng.random()
    line_start = text.rfind("\n", 0, at) + 1
    line_end = text.find("\n", at)
    line_end = len(text) if line_end < 0 else line_end
    indent = len(text[line_start:line_end]) - len(text[line_start:line_end].lstrip())
    if kind < 0.35:
        wanted = 1 + int(rng.integers(12))
        word = _WORD.search(text, line_start + indent)
        while word and word.end() <= at:
            word = _WORD.search(text, word.end())
        start = word.start() if word else at
        end = start
        for _ in range(wanted):
            word = _WORD.match(text, end)
            if word is None:
                break
            end = word.end()
        return start, end
    if kind < 0.6:
        return at, line_end
    if kind < 0.8:
        return line_start + indent, line_end
    if kind < 0.92:
        end = line_end
        for _ in range(int(rng.integers(1, 4))):
            following = text.find("\n", end + 1)
            end = len(text) if following < 0 else following
        return line_start + indent if rng.random() < 0.5 else at, end
    return at, min(len(text), at + 1 + int(rng.integers(24)))


def _noise_level(rng: np.random.Generator, full: float) -> float:
    """Share of noised positions: 1 with probability `full`, otherwise uniform."""
    return 1.0 if rng.random() < full else float(rng.random())
