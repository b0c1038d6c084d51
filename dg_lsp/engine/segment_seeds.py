"""Seeds of jobs with several free segments: of one segment each, or of the whole span.

A seed of the whole span takes part only if it contains the pinned texts in their order; what
it has around them are its segments. Lanes start from both kinds; seeds of single segments stand
beside each other, or beside noise. The ranking compares what the lanes wrote with the seeds of
the whole span, and with the best of these texts in which a seed replaces one segment.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from dg_lsp.config import SeedSettings
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.family import FoundText
from dg_lsp.engine.joint_lengths import BEAM, Option
from dg_lsp.engine.prompt import Edges, Prompt, segment_ids
from dg_lsp.engine.seeding import (
    Rank,
    SeededStart,
    SpanSeeds,
    confidence,
    prior_nats,
    seeded_start,
    usable,
)
from dg_lsp.job import InfillJob, Seed

COLD_OPTIONS = 2
"""Of a segment that starts as no seed: how many of its starts are combined with the seeds of
the others."""
LEAST_SHARE = 1e-9
"""How improbable anything but a seed may be, whatever its score is."""
VARIED = 2
"""How many of the best texts are varied by the seeds of a segment."""

Numbered = Mapping[str, tuple[int, Seed]]
"""Seeds and their numbers in the job, by their texts."""


def seeds_of(job: InfillJob, codec: Codec, settings: SeedSettings) -> SpanSeeds | SegmentSeeds:
    """The seeds of a job that may become its text."""
    return (SegmentSeeds if job.pinned else SpanSeeds)(job, codec, settings)


class SegmentSeeds:
    """The same as `SpanSeeds` for a job with pinned texts."""

    def __init__(self, job: InfillJob, codec: Codec, settings: SeedSettings) -> None:
        self._codec, self._settings = codec, settings
        self._pinned = [one.text for one in job.pinned]
        self._whole = _numbered(job, codec, job.seeds, 0)
        """Those of the whole span, which contain what is pinned."""
        for text in [*self._whole]:
            if parts_around(text, self._pinned) is None:
                del self._whole[text]
        self._each: list[dict[str, tuple[int, Seed]]] = []
        """Those of each segment alone."""
        first = len(job.seeds)
        for seeds in job.segment_seeds or [()] * (len(job.pinned) + 1):
            self._each.append(_numbered(replace(job, shown=()), codec, seeds, first))
            first += len(seeds)

    def starts(
        self, prompt: Prompt, room: int, cold: Sequence[Sequence[Option]]
    ) -> list[SeededStart]:
        found = [*self._whole_starts(prompt), *self._combined(prompt, cold, room)]
        distinct: dict[tuple[tuple[int, ...], ...], SeededStart] = {}
        for one in sorted(found, key=lambda one: -one.nats):
            if sum(map(len, one.segments)) <= room:
                distinct.setdefault(one.segments, one)
        return [*distinct.values()][: self._settings.lanes]

    def _whole_starts(self, prompt: Prompt) -> Iterator[SeededStart]:
        for text, (number, seed) in self._whole.items():
            parts = parts_around(text, self._pinned) or ()
            ids = [
                self._ids(edges, part)
                for edges, part in zip(prompt.segments, parts, strict=True)
            ]
            if all(ids):
                yield seeded_start(ids, number, seed, self._settings)

    def _combined(
        self, prompt: Prompt, cold: Sequence[Sequence[Option]], room: int
    ) -> Iterator[SeededStart]:
        """Seeds of single segments, beside each other and beside what is none."""
        beam = [SeededStart((), None, 0.0, True)]
        for edges, seeds, others in zip(prompt.segments, self._each, cold, strict=True):
            shares = [confidence(seed, self._settings) for _, seed in seeds.values()]
            none_right = math.log(max(LEAST_SHARE, 1 - max(shares, default=0.0)))
            ways = [
                SeededStart((one.start,), None, none_right + one.nats, False)
                for one in others[:COLD_OPTIONS]
            ]
            for text, (number, seed) in seeds.items():
                if ids := self._ids(edges, text):
                    ways.append(seeded_start([ids], number, seed, self._settings))
            longer = (_with(start, way) for start in beam for way in ways)
            fitting = (one for one in longer if sum(map(len, one.segments)) <= room)
            beam = heapq.nlargest(BEAM, fitting, key=lambda one: one.nats)
        return (one for one in beam if one.seed is not None)

    def _ids(self, edges: Edges, text: str) -> tuple[int, ...]:
        """The free positions of a segment that write a text; none if it has too few."""
        ids = segment_ids(edges, self._codec, text)
        return tuple(ids) if len(ids) >= edges.least_tokens else ()

    def compared(self, found: list[FoundText], rank: Rank) -> list[FoundText]:
        texts = {one.text: self._believed(one) for one in found}
        for text, (_, seed) in self._whole.items():
            share = confidence(seed, self._settings)
            parts = parts_around(text, self._pinned) or ()
            whole = FoundText(text, (share,) * len(text), segments=parts)
            texts.setdefault(text, self._believed(whole))
        for at, seeds in enumerate(self._each):
            best = rank([*texts.values()])[:VARIED] if seeds else ()
            for candidate in best:
                for text, (_, seed) in seeds.items():
                    share = confidence(seed, self._settings)
                    varied = self._varied(texts[candidate.text], at, text, share)
                    texts.setdefault(varied.text, self._believed(varied))
        return [*texts.values()]

    def _varied(self, found: FoundText, at: int, text: str, share: float) -> FoundText:
        """A text with another one in one segment, of whose characters each has `share`."""
        between = ["", *self._pinned]
        start = len("".join(a + b for a, b in zip(between, found.segments[:at], strict=False)))
        start += len(between[at])
        end = start + len(found.segments[at])
        return FoundText(
            found.text[:start] + text + found.text[end:],
            (*found.confidences[:start], *[share] * len(text), *found.confidences[end:]),
            segments=(*found.segments[:at], text, *found.segments[at + 1 :]),
        )

    def _believed(self, found: FoundText) -> FoundText:
        """A text with the priors of the seeds that are in it, and their confidence if it is
        made of nothing else."""
        held = [
            seeds[text]
            for seeds, text in zip(self._each, found.segments, strict=True)
            if text in seeds
        ]
        ways = [self._way(held, is_all=len(held) == len(found.segments))] if held else []
        if found.text in self._whole:
            ways.append(self._way([self._whole[found.text]], is_all=True))
        if not ways:
            return found
        nats, share, number = max(ways, key=lambda way: way[0])
        return replace(found, seed=number, prior_nats=nats, confidence=share)

    def _way(
        self, seeds: Sequence[tuple[int, Seed]], *, is_all: bool
    ) -> tuple[float, float | None, int]:
        """What these seeds are worth: the prior of a text with them, its confidence if it is
        made of nothing else, and the number of the first one."""
        nats = sum(prior_nats(seed, self._settings) for _, seed in seeds)
        share = math.prod(confidence(seed, self._settings) for _, seed in seeds)
        return nats, share if is_all else None, seeds[0][0]


def parts_around(text: str, pinned: Sequence[str]) -> tuple[str, ...] | None:
    """What a text has before, between and after the pinned texts; `None` if it does not contain
    them all in this order."""
    parts: list[str] = []
    for one in pinned:
        before, found, text = text.partition(one)
        if not found:
            return None
        parts.append(before)
    return (*parts, text)


def _with(start: SeededStart, more: SeededStart) -> SeededStart:
    """A start of the first segments with that of the next one."""
    return SeededStart(
        (*start.segments, *more.segments),
        more.seed if start.seed is None else start.seed,
        start.nats + more.nats,
        start.is_sure and more.is_sure,
    )


def _numbered(
    job: InfillJob, codec: Codec, seeds: Sequence[Seed], first: int
) -> dict[str, tuple[int, Seed]]:
    """The usable ones of these seeds, of which the first one has this number."""
    own = replace(job, seeds=tuple(seeds), pinned=(), segment_seeds=())
    return {seed.text: (first + number, seed) for number, seed in usable(own, codec).items()}
