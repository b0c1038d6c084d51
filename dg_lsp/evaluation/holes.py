"""Measures holes: several spans near each other, filled jointly or one after the other.

Spans of a few words are cut out of held-out files, with a few words between them. Filled
jointly, each sees the others while they are written. Filled one after the other, the first one
is written without the others, which are empty until it is their turn.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import random
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dg_lsp.document.request import RequestContext
from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.evaluation.methods import Outcome, infiller
from dg_lsp.evaluation.scores import edit_similarity, is_match, stays_valid
from dg_lsp.evaluation.spans import (
    AS_ASKED,
    PUBLIC,
    UNSEEDED,
    TrueSpan,
    job_at,
    job_of,
    site_of,
)
from dg_lsp.job import Span
from dg_lsp.models.loading import LoadedModel
from dg_lsp.training.corpus import SourceFile

SPAN_WORDS = (1, 4)
GAP_WORDS = (2, 10)
"""How many words are in a span and between two of them."""
MOST_CHARS = 120
"""From the start of the first span to the end of the last one."""
_WORD = re.compile(r"\w+|[^\w\s]|[ \t]+|\n[ \t]*")


@dataclass(frozen=True, slots=True)
class TrueHoles:
    """Several spans of one file whose text is known."""

    path: str
    outside: tuple[str, ...]
    """The text before, between and after the spans."""
    texts: tuple[str, ...]

    def span(self, at: int, filled: Sequence[str]) -> TrueSpan:
        """One of the spans, in a document where the others hold `filled`."""
        before = "".join(a + b for a, b in zip(self.outside, filled[:at], strict=False))
        after = "".join(
            a + b for a, b in zip(filled[at + 1 :], self.outside[at + 2 :], strict=True)
        )
        return TrueSpan(
            self.path,
            before + self.outside[at],
            self.outside[at + 1] + after,
            self.texts[at],
            f"{len(self.texts)} holes",
        )

    def whole(self, filled: Sequence[str]) -> TrueSpan:
        """All from the first span to the last as one."""
        return TrueSpan(
            self.path,
            self.outside[0],
            self.outside[-1],
            self.joined(filled),
            f"{len(self.texts)} holes",
        )

    def site(self) -> InsertionSite:
        """All of them as the holes of one site, with nothing in them."""
        ends = [0, *itertools.accumulate(map(len, self.outside[1:-1]))]
        return dataclasses.replace(
            site_of(self.whole(("",) * len(self.texts))),
            replaced="".join(self.outside[1:-1]),
            holes=tuple(Span(at, at) for at in ends),
        )

    def joined(self, filled: Sequence[str]) -> str:
        between = [*self.outside[1:-1], ""]
        return "".join(a + b for a, b in zip(filled, between, strict=True))


def draw_holes(
    files: Sequence[SourceFile], count: int, number: int, seed: int
) -> list[TrueHoles]:
    """`number` cases of `count` spans each, the same for the same seed."""
    rng = random.Random(seed)
    drawn: list[TrueHoles] = []
    while len(drawn) < number:
        found = _draw(rng.choice(files), count, rng)
        if found is not None:
            drawn.append(found)
    return drawn


def _draw(file: SourceFile, count: int, rng: random.Random) -> TrueHoles | None:
    start = rng.randrange(len(file.text))
    words = [*_WORD.finditer(file.text, start, start + 4 * MOST_CHARS)]
    # The first word may be a part of one.
    at = 1
    ends: list[int] = []
    for _ in range(count):
        while at < len(words) and words[at][0].isspace():
            at += 1
        chosen = words[at : at + rng.randint(*SPAN_WORDS)]
        if not chosen:
            return None
        text = file.text[chosen[0].start() : chosen[-1].end()].rstrip()
        ends += chosen[0].start(), chosen[0].start() + len(text)
        at += len(chosen) + rng.randint(*GAP_WORDS)
    if ends[-1] - ends[0] > MOST_CHARS:
        return None
    cuts = [0, *ends, len(file.text)]
    parts = [file.text[a:b] for a, b in itertools.pairwise(cuts)]
    if not all(part.strip() for part in parts[1:-1]):
        return None
    return TrueHoles(file.path, tuple(parts[::2]), tuple(parts[1::2]))


@dataclass(frozen=True, slots=True)
class Filled:
    """What a method wrote into the spans of one case."""

    texts: tuple[str, ...]
    steps: int
    milliseconds: float


Way = Callable[[LoadedModel, TrueHoles], Filled]


def jointly(model: LoadedModel, case: TrueHoles, context: RequestContext) -> Filled:
    """All spans in one canvas."""
    options = dataclasses.replace(AS_ASKED, max_tokens=AS_ASKED.max_tokens * len(case.texts))
    out = infiller(model.settings, job_at(case.site(), options, context), model)
    best = out.candidates[0].segments if out.candidates else ("",) * len(case.texts)
    return Filled(best, out.steps, out.milliseconds)


def in_turn(order: Callable[[Sequence[int]], Sequence[int]], context: RequestContext) -> Way:
    """One span after the other; each one sees those that were filled before it."""

    def fill(model: LoadedModel, case: TrueHoles) -> Filled:
        filled = [""] * len(case.texts)
        steps = 0
        started = time.perf_counter()
        for at in order(range(len(filled))):
            out = infiller(
                model.settings, job_of(case.span(at, filled), context=context), model
            )
            filled[at], steps = out.text, steps + out.steps
        return Filled(tuple(filled), steps, (time.perf_counter() - started) * 1e3)

    return fill


def with_the_others(model: LoadedModel, case: TrueHoles) -> Filled:
    """Each span where the others hold their true text: what knowing them would be worth."""
    outs: list[Outcome] = [
        infiller(model.settings, job_of(case.span(at, case.texts)), model)
        for at in range(len(case.texts))
    ]
    return Filled(
        tuple(one.text for one in outs),
        sum(one.steps for one in outs),
        sum(one.milliseconds for one in outs),
    )


WAYS: dict[str, Way] = {
    "jointly": functools.partial(jointly, context=UNSEEDED),
    "jointly, seeds": functools.partial(jointly, context=PUBLIC),
    "first to last": in_turn(lambda places: places, UNSEEDED),
    "last to first": in_turn(lambda places: places[::-1], UNSEEDED),
    "first to last, seeds": in_turn(lambda places: places, PUBLIC),
    "last to first, seeds": in_turn(lambda places: places[::-1], PUBLIC),
    "the others known": with_the_others,
}


@dataclass(frozen=True, slots=True)
class HolesRow:
    """One line of the table."""

    way: str
    holes: int
    cases: int
    all_exact: float
    """Share of the cases in which every span is exact."""
    exact: float
    """Share of all spans."""
    edit_similarity: float
    parses: float | None
    steps: float
    milliseconds: float


def summarize(way: str, holes: int, pairs: Sequence[tuple[TrueHoles, Filled]]) -> HolesRow:
    """Means of the matches, medians of the costs."""
    each = [
        (truth, text)
        for case, filled in pairs
        for truth, text in zip(case.texts, filled.texts, strict=True)
    ]
    valid = [
        stays_valid(case.whole(case.texts), case.joined(filled.texts)) for case, filled in pairs
    ]
    judged = [one for one in valid if one is not None]
    return HolesRow(
        way,
        holes,
        len(pairs),
        statistics.fmean(
            all(map(is_match, case.texts, filled.texts)) for case, filled in pairs
        ),
        statistics.fmean(is_match(*one) for one in each),
        statistics.fmean(edit_similarity(*one) for one in each),
        statistics.fmean(judged) if judged else None,
        statistics.median(filled.steps for _, filled in pairs),
        statistics.median(filled.milliseconds for _, filled in pairs),
    )


def holes_table(rows: Sequence[HolesRow]) -> str:
    """The rows in Markdown."""
    lines = [
        "| holes | filled | cases | all exact | exact | edit similarity | valid | steps | ms |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        valid = "" if row.parses is None else f"{row.parses:.1%}"
        lines.append(
            f"| {row.holes} | {row.way} | {row.cases} | {row.all_exact:.1%} | {row.exact:.1%} "
            f"| {row.edit_similarity:.3f} | {valid} | {row.steps:.0f} "
            f"| {row.milliseconds:.0f} |"
        )
    return "\n".join(lines)
