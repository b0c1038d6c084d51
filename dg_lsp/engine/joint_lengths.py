"""Lengths of several segments, chosen jointly.

All combinations of a dozen lengths in each segment would be too many canvases. What length a
segment has shows after the first step already, whatever is in the other segments, which are
still noise. So one step is made of canvases that have every length in each segment once
(`probes`), and the combinations whose lengths looked best there, each in its segment, start
the race (`combinations`). It drops the worst of them as it does those of a single span.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dg_lsp.engine.codec import Codec
from dg_lsp.engine.family import LengthStrategy
from dg_lsp.engine.lanes import Lane
from dg_lsp.engine.prompt import Edges, Prompt
from dg_lsp.engine.warm_start import warm_ids
from dg_lsp.job import InfillJob

MOST_LANES = 12
"""Combinations that start the race."""
BEAM = 64
"""Combinations of the lengths of the first segments that are continued with the next one's."""
USUAL_LENGTH = 4
"""Of the other segments, where a long one is tried that leaves too little room for them all."""
WARM_NATS = 0.25
"""What a text's next length is behind its own one."""

Start = tuple[int, ...]
"""What the free positions of a segment start as, -1 for noise."""


@dataclass(frozen=True, slots=True)
class Option:
    """One way to start a segment."""

    start: Start
    nats: float
    """How much speaks for it beside the others of the segment; 0 for the best."""


def known_options(
    job: InfillJob, prompt: Prompt, codec: Codec, room: int
) -> list[list[Option]]:
    """For each segment, how it may start from the text that the job has for it.

    An empty list for one that starts as noise; all do if those texts do not fit into `room`.
    """
    given = (*(one.earlier for one in job.pinned), job.earlier)
    options: list[list[Option]] = []
    least = 0
    for edges, earlier in zip(prompt.segments, given, strict=True):
        starts = [] if earlier is None else warm_ids(edges, codec, earlier, room)
        if starts:
            # The model may find that something else belongs there.
            starts.append([-1] * len(starts[0]))
        options.append([Option(tuple(one), -WARM_NATS * at) for at, one in enumerate(starts)])
        least += len(starts[0]) if starts else edges.least_tokens
    return options if least <= room else [[] for _ in options]


def probes(
    segments: Sequence[Edges],
    known: Sequence[Sequence[Option]],
    lengths: Sequence[int],
    room: int,
) -> list[list[Start]]:
    """Starts of the canvases of the first step: each length in every segment that starts as
    noise."""
    cold = [at for at, options in enumerate(known) if not options]
    found: dict[tuple[Start, ...], None] = {}

    def add(tried: Sequence[int], length: int, others: int) -> bool:
        starts = tuple(
            options[0].start
            if options
            else (-1,) * max(edges.least_tokens, length if at in tried else others)
            for at, (edges, options) in enumerate(zip(segments, known, strict=True))
        )
        fits = sum(map(len, starts)) <= room
        if fits:
            found[starts] = None
        return fits

    for length in lengths:
        if not add(cold, length, length):
            for at in cold:
                add([at], length, USUAL_LENGTH) or add([at], length, 1)
    return [list(starts) for starts in found]


def unmeasured(
    segments: Sequence[Edges], known: Sequence[Sequence[Option]], length: int, room: int
) -> list[list[Option]]:
    """The options of all segments, where those that start as noise have this length only, or
    an equal share of the room."""
    cold = [edges for edges, options in zip(segments, known, strict=True) if not options]
    left = room - sum(len(options[0].start) for options in known if options)
    share = (left - sum(edges.least_tokens for edges in cold)) // max(1, len(cold))

    def start_of(edges: Edges) -> Start:
        least = edges.least_tokens
        # One position more than a segment needs, because a healed one cannot become two.
        return (-1,) * min(max(least + 1, length), least + share)

    return [
        [*options] or [Option(start_of(edges), 0.0)]
        for edges, options in zip(segments, known, strict=True)
    ]


def measured(
    known: Sequence[Sequence[Option]], lanes: Sequence[Lane], strategy: LengthStrategy
) -> list[list[Option]]:
    """The options of all segments, after one step of the canvases of `probes`."""
    options = []
    for at, given in enumerate(known):
        if given:
            options.append(list(given))
            continue
        fits: dict[int, float] = {}
        for lane in lanes:
            fit = strategy.segment_fitness(*lane.segment_fits[at])
            length = lane.plan.segments[at].length
            fits[length] = max(fit, fits.get(length, fit))
        options.append(_cold_options(fits))
    return options


def _cold_options(fits: Mapping[int, float]) -> list[Option]:
    best = max(fits.values())
    ordered = sorted(fits, key=lambda length: (-fits[length], length))
    return [Option((-1,) * length, fits[length] - best) for length in ordered]


def combinations(options: Sequence[Sequence[Option]], room: int) -> list[list[Start]]:
    """The starts of the canvases that race, the best combination first."""
    beam: list[tuple[float, list[Start]]] = [(0.0, [])]
    for at, of_segment in enumerate(options):
        # What the segments after this one need at least.
        left = room - sum(min(len(one.start) for one in others) for others in options[at + 1 :])
        beam = sorted(
            (
                (nats + one.nats, [*starts, one.start])
                for nats, starts in beam
                for one in of_segment
                if sum(map(len, starts)) + len(one.start) <= left
            ),
            key=lambda one: -one[0],
        )[:BEAM]
    return [starts for _, starts in beam[:MOST_LANES]]
