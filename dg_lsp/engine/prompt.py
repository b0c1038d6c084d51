"""A job in token ids: what the network reads, and the plan of a canvas.

For every model family, a canvas is

    [free: healed .. span .. healed][right anchor][closing]

If texts within the span are pinned, there are several free segments, each of them healed at
both of its edges:

    [free][pinned][free] .. [free][right anchor][closing]

Healed positions begin and end the free ones: they hold the text on both sides of the cursor
(`healing`). The family decides what surrounds the canvas (`family.PromptLayout`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dg_lsp.engine.codec import Codec
from dg_lsp.engine.healing import text_of
from dg_lsp.job import Earlier, InfillJob, PinnedText


@dataclass(frozen=True, slots=True)
class Edges:
    """The freed tokens on both sides of a free segment."""

    left_tokens: tuple[int, ...]
    right_tokens: tuple[int, ...]

    @property
    def least_tokens(self) -> int:
        """Free positions that the segment needs: one token may hold all that is freed on a
        side."""
        return max(1, bool(self.left_tokens) + bool(self.right_tokens))


@dataclass(frozen=True, slots=True)
class PinnedTokens:
    """A pinned text within the span."""

    right_tokens: tuple[int, ...]
    """Its first tokens, which are freed after the segment before it."""
    ids: tuple[int, ...]
    """The tokens that stay pinned, possibly none."""
    left_tokens: tuple[int, ...]
    """Its last tokens, which are freed before the segment after it."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A job in tokens, before the length of its span is known."""

    ids: tuple[int, ...]
    """What the network reads before the canvas."""
    left_tokens: tuple[int, ...]
    """The freed tokens before the span."""
    right_tokens: tuple[int, ...]
    """The freed tokens after the span."""
    right_anchor: tuple[int, ...]
    """Pinned suffix tokens; `closing` follows if they reach the end of the document."""
    closing: tuple[int, ...]
    """Pinned end of the reply, if the right anchor contains all the text after the span."""
    after: tuple[int, ...] = ()
    """What the network reads after the canvas, for a family that reads both sides."""
    pinned: tuple[PinnedTokens, ...] = ()
    """The pinned texts within the span."""

    @property
    def edges(self) -> Edges:
        """Those of the span."""
        return Edges(self.left_tokens, self.right_tokens)

    @property
    def segments(self) -> list[Edges]:
        """The free segments of the span."""
        lefts = (self.left_tokens, *(one.left_tokens for one in self.pinned))
        rights = (*(one.right_tokens for one in self.pinned), self.right_tokens)
        return [Edges(*both) for both in zip(lefts, rights, strict=True)]

    @property
    def knows_what_follows(self) -> bool:
        """Whether the network sees any text right after the span."""
        pinned = self.right_anchor or self.closing
        return bool(self.right_tokens or pinned or self.after)

    @property
    def healed_tokens(self) -> int:
        """Tokens that the text around the free segments takes in a canvas, as it is typed."""
        return sum(len(one.left_tokens) + len(one.right_tokens) for one in self.segments)

    @property
    def least_tokens(self) -> int:
        """Free positions that a canvas needs."""
        return sum(one.least_tokens for one in self.segments)

    @property
    def anchored_tokens(self) -> int:
        """Canvas positions that are pinned."""
        inside = sum(len(one.ids) for one in self.pinned)
        return inside + len(self.right_anchor) + len(self.closing)


@dataclass(frozen=True, slots=True)
class PinnedRun:
    """Pinned positions between two free segments, possibly none."""

    start: int
    end: int
    right_tokens: tuple[int, ...]
    """Typed tokens that limit the last free positions before it."""
    left_tokens: tuple[int, ...]
    """Typed tokens that limit the first free positions after it."""


@dataclass(frozen=True, slots=True)
class FreeSegment(Edges):
    """Adjacent free positions of a canvas."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class CanvasPlan:
    """One canvas: which positions are pinned, which are free, and what those accept."""

    ids: tuple[int, ...]
    """Starting ids; -1 for free positions that start as noise."""
    free_start: int
    """The first free position."""
    free_end: int
    """The end of the last free position."""
    left_tokens: tuple[int, ...]
    """Typed tokens that limit the first free positions."""
    right_tokens: tuple[int, ...]
    """Typed tokens that limit the last free positions."""
    is_open: bool
    """Whether no known text follows the free positions."""
    seed: int | None = None
    """Number of the job's seed that the free positions start as; of several segments, that of
    the first one that starts as a seed."""
    pinned: tuple[PinnedRun, ...] = ()
    """The pinned positions between `free_start` and `free_end`."""

    @property
    def edges(self) -> Edges:
        """Those of the span."""
        return Edges(self.left_tokens, self.right_tokens)

    @property
    def segments(self) -> list[FreeSegment]:
        """The free positions; a single segment if nothing between them is pinned."""
        starts = (self.free_start, *(run.end for run in self.pinned))
        ends = (*(run.start for run in self.pinned), self.free_end)
        lefts = (self.left_tokens, *(run.left_tokens for run in self.pinned))
        rights = (*(run.right_tokens for run in self.pinned), self.right_tokens)
        return [FreeSegment(*one) for one in zip(lefts, rights, starts, ends, strict=True)]

    @property
    def free_length(self) -> int:
        pinned = sum(run.end - run.start for run in self.pinned)
        return self.free_end - self.free_start - pinned

    @property
    def free_ids(self) -> tuple[int, ...]:
        """What the free positions start as."""
        return tuple(i for one in self.segments for i in self.ids[one.start : one.end])

    def with_segments(self, starts: Sequence[Sequence[int]]) -> CanvasPlan:
        """The same canvas with other free positions in each segment, possibly more or fewer."""
        *others, last = starts
        ids = [*self.ids[: self.free_start]]
        runs = []
        for start, run in zip(others, self.pinned, strict=True):
            ids += start
            runs.append(replace(run, start=len(ids), end=len(ids) + run.end - run.start))
            ids += self.ids[run.start : run.end]
        ids += last
        return replace(
            self,
            ids=(*ids, *self.ids[self.free_end :]),
            free_end=len(ids),
            pinned=tuple(runs),
        )


def plan_canvas(prompt: Prompt, free_length: int) -> CanvasPlan:
    """An anchored canvas with `free_length` free positions, healed ones included."""
    return plan_rewrite(prompt, [-1] * free_length)


def plan_open_canvas(prompt: Prompt, free_length: int) -> CanvasPlan:
    """A canvas with nothing after the free positions: the span may end anywhere in it."""
    return CanvasPlan((-1,) * free_length, 0, free_length, prompt.left_tokens, (), is_open=True)


def plan_rewrite(prompt: Prompt, start_ids: Sequence[int]) -> CanvasPlan:
    """An anchored canvas whose free positions start as `start_ids`, -1 where noised."""
    if not start_ids:
        raise ValueError("a canvas needs at least one free position")
    return CanvasPlan(
        ids=(*start_ids, *prompt.right_anchor, *prompt.closing),
        free_start=0,
        free_end=len(start_ids),
        left_tokens=prompt.left_tokens,
        right_tokens=prompt.right_tokens,
        is_open=not prompt.knows_what_follows,
    )


def plan_segments(
    prompt: Prompt, starts: Sequence[Sequence[int]], seed: int | None = None
) -> CanvasPlan:
    """An anchored canvas whose segments start as these ids, -1 where noised.

    `seed` is the number of the first seed among them.
    """
    *others, last = starts
    ids: list[int] = []
    runs = []
    for start_ids, pinned in zip(others, prompt.pinned, strict=True):
        ids += start_ids
        start = len(ids)
        ids += pinned.ids
        runs.append(PinnedRun(start, len(ids), pinned.right_tokens, pinned.left_tokens))
    plan = plan_rewrite(prompt, [*ids, *last])
    return replace(plan, pinned=tuple(runs), seed=seed)


def healed_ids(prompt: Prompt, codec: Codec, span: str) -> list[int]:
    """The free positions that write `span`, with the typed text around it healed in."""
    return segment_ids(prompt.edges, codec, span)


def segment_ids(edges: Edges, codec: Codec, text: str) -> list[int]:
    """The same for one segment."""
    before, after = (text_of(codec, ids) for ids in (edges.left_tokens, edges.right_tokens))
    return codec.encode(before.decode() + text + after.decode())


def noised(
    ids: Sequence[int], strength: float, seed: object, kept: frozenset[int] = frozenset()
) -> list[int]:
    """The ids, as many as `strength` says noised (-1), except at `kept` positions.

    What is noised at one strength is noised at every higher one, with the same seed.
    """
    rng = random.Random(f"{seed} {len(ids)}")
    return [
        -1 if rng.random() < strength and at not in kept else token_id
        for at, token_id in enumerate(ids)
    ]


def with_newlines(job: InfillJob) -> InfillJob:
    """The job with the line ends that models see; the caller converts them back."""

    def earlier(given: Earlier | None) -> Earlier | None:
        return given and replace(given, text=_with_newlines(given.text))

    return replace(
        job,
        prefix=_with_newlines(job.prefix),
        suffix=_with_newlines(job.suffix),
        replaced=job.replaced and _with_newlines(job.replaced),
        earlier=earlier(job.earlier),
        pinned=tuple(
            PinnedText(_with_newlines(one.text), earlier(one.earlier)) for one in job.pinned
        ),
    )


def _with_newlines(text: str) -> str:
    return text.replace("\r\n", "\n")
