"""Finds what stood elsewhere between neighbours like those of a span.

Code repeats itself: the best guess at what is missing between two texts is often what stands
between the same texts at another place, in the same document or in another one. The places
are those where the last tokens before the span stand as well; they are compared by
agreement.py, and the best texts are returned with what speaks for them.

The callers pass no text that must not be suggested: excluded files are left out and secrets are
masked. Nothing that holds a mask is ever found.
"""

from __future__ import annotations

import enum
import heapq
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dg_lsp.document.agreement import (
    Ending,
    Neighbours,
    Place,
    endings,
    neighbours_of,
    place_at,
    written_here,
)
from dg_lsp.document.code_index import CodeIndex
from dg_lsp.document.code_tokens import pattern_of
from dg_lsp.document.masking import REACH_CHARS

MAX_PLACES = 60
"""Places in this document, and as many elsewhere, whose left side is compared; there may be
many more where little is to go by."""
ENOUGH_PLACES = 12
MAX_COMPARED, ENDINGS = 32, 2
"""Places whose right side is compared as well, and the texts that each may give."""
TAILS_CHARS = (4, 8, 16, 32)
"""How much text before a place is compared first, character by character."""
DOCUMENT_CONTEXTS, INDEX_CONTEXTS = (2, 1), (4, 3, 2)
"""Tokens before the span that a place has to share: fewer where more give too few places."""
COUNT_WORTH, DISTANCE_COST = 0.8, 0.15
"""Fitted, like the weights in agreement.py, so that the score is the logarithm of the odds that
a text is right among all that were found, on spans of the files kept for tuning."""
_MASK = re.compile(r"\*{4}")


class Origin(enum.Enum):
    """Where a text was found."""

    DOCUMENT = "document"
    OPEN_FILE = "open file"
    WORKSPACE = "workspace"


ORIGIN_WORTH = {Origin.DOCUMENT: 1.7, Origin.OPEN_FILE: 0.8, Origin.WORKSPACE: 0.0}
"""The first one is fitted as well; an open file was put halfway."""


@dataclass(frozen=True, slots=True)
class FoundText:
    """A text that stood elsewhere, and the evidence for it."""

    text: str
    left: float
    """Tokens before the place that agree with those before the span; a renamed one counts
    half."""
    right: float
    """Tokens after the text that agree with those after the span."""
    count: int
    """How many places have it."""
    tokens: int
    """Its length in tokens of code (`code_tokens`), not of a model."""
    distance_lines: int | None
    """How many lines away the nearest place is; `None` in another document."""
    recency: int
    """0 for this document, then 1 for the file edited last and so on."""
    origin: Origin
    path: str
    """Of the file that has it; empty for this document."""
    renamed: bool
    """Whether identifiers in it were replaced by what they are called here."""
    score: float
    """What found texts are ordered by."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Files to look in besides the document."""

    index: CodeIndex
    origin: Origin
    recency: int
    hidden: frozenset[str] = frozenset()
    """Paths of files in the index that must not be looked at: the document itself, files that
    are open with a newer text, and files that have been excluded since."""


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a place is."""

    origin: Origin
    path: str
    recency: int
    distance_lines: int | None

    @property
    def score(self) -> float:
        distance = 0.0 if self.distance_lines is None else math.log1p(self.distance_lines)
        return ORIGIN_WORTH[self.origin] - DISTANCE_COST * distance


def find_texts(
    prefix: str, suffix: str, elsewhere: Sequence[Elsewhere] = (), limit: int = 4
) -> tuple[FoundText, ...]:
    """Up to `limit` texts for the span between the two, the best first.

    Of the document only `REACH_CHARS` on either side are looked at, which is as far as its
    secrets are masked. `elsewhere` comes in the order of its recency, the latest first.
    """
    here = neighbours_of(prefix, suffix)
    if not here.left:
        return ()
    before, after = prefix[-REACH_CHARS:], suffix[:REACH_CHARS]
    places = [*_places_around(here, before, after), *_places_elsewhere(here, before, elsewhere)]
    best: dict[str, FoundText] = {}
    for place, source in heapq.nlargest(MAX_COMPARED, places, key=lambda one: one[0].left):
        for ending in endings(here, place, ENDINGS):
            text = written_here(here, place, ending)
            if not text.strip() or _is_refused(text, suffix):
                continue
            found = _found(text, place, source, ending)
            known = best.get(text)
            if known:
                better = found if found.score > known.score else known
                found = replace(better, count=known.count + 1)
            best[text] = found
    ranked = [
        replace(one, score=one.score + COUNT_WORTH * math.log(one.count))
        for one in best.values()
    ]
    ranked.sort(key=lambda one: one.score, reverse=True)
    return tuple(ranked[:limit])


def _found(text: str, place: Place, source: _Source, ending: Ending) -> FoundText:
    return FoundText(
        text=text,
        left=place.left,
        right=ending.right,
        count=1,
        tokens=ending.tokens,
        distance_lines=source.distance_lines,
        recency=source.recency,
        origin=source.origin,
        path=source.path,
        renamed=bool(place.names) and text != place.text[ending.start : ending.end],
        score=place.score + ending.score + source.score,
    )


def _is_refused(text: str, suffix: str) -> bool:
    """Whether a text may not be suggested, whatever speaks for it."""
    says_suffix = len(text) > 20 and suffix.lstrip().startswith(text.strip())
    return says_suffix or _MASK.search(text) is not None


def _places_around(
    here: Neighbours, prefix: str, suffix: str
) -> Iterator[tuple[Place, _Source]]:
    """Places in this document, those with the same text before them first, then the nearest."""
    typed = len(prefix.rstrip(" \t"))
    seen: set[tuple[bool, int]] = set()
    for count in DOCUMENT_CONTEXTS:
        context = [*reversed(here.left[:count])]
        pattern = pattern_of(
            [*context, here.begun] if here.begun else context, bool(here.begun)
        )
        above = [found.span() for found in pattern.finditer(prefix)]
        # The last one is the place that is asked about.
        own_start = above[-1][0] if above else 0
        while above and above[-1][1] >= typed:
            own_start, _ = above.pop()
        tails = _tails(prefix[:own_start])
        below = [found.span() for found in pattern.finditer(suffix)]
        near = [
            *(
                (_closeness(tails, prefix, start), end - typed, False, end)
                for start, end in above
            ),
            *((_closeness(tails, suffix, start), -end, True, end) for start, end in below),
        ]
        for _, _, is_below, at in heapq.nlargest(MAX_PLACES, near):
            if (is_below, at) in seen:
                continue
            seen.add((is_below, at))
            text, between = (suffix, (0, at)) if is_below else (prefix, (at, typed))
            lines = text.count("\n", *between)
            yield place_at(here, text, at, 0, len(text)), _Source(Origin.DOCUMENT, "", 0, lines)
        if len(seen) >= ENOUGH_PLACES:
            return


def _places_elsewhere(
    here: Neighbours, prefix: str, elsewhere: Sequence[Elsewhere]
) -> Iterator[tuple[Place, _Source]]:
    """Places in other files, those with the same text before them first, then the latest."""
    typed = prefix[: len(prefix) - len(here.begun)].rstrip(" \t")
    tails = _tails(typed)
    near: dict[tuple[int, int], tuple[int, int]] = {}
    for count in INDEX_CONTEXTS:
        if count > len(here.left):
            continue
        for number, one in enumerate(elsewhere):
            for at in one.index.places(here.left[:count], MAX_PLACES):
                if (number, at) not in near:
                    near[number, at] = _closeness(tails, one.index.text, at), -one.recency
        if len(near) >= ENOUGH_PLACES:
            break
    for number, at in heapq.nlargest(MAX_PLACES, near, key=lambda key: (near[key], key)):
        one = elsewhere[number]
        path, first, last = one.index.file_at(at)
        begins = _after_begun(here, one.index.text, at)
        if path not in one.hidden and begins is not None:
            source = _Source(one.origin, path, one.recency, None)
            yield place_at(here, one.index.text, begins, first, last), source


def _after_begun(here: Neighbours, text: str, at: int) -> int | None:
    """Behind what is typed already of the next word; `None` where another word stands there."""
    if not here.begun:
        return at
    while text[at : at + 1] in (" ", "\t"):
        at += 1
    return at + len(here.begun) if text.startswith(here.begun, at) else None


def _tails(text: str) -> list[str]:
    return [text[-length:] for length in TAILS_CHARS]


def _closeness(tails: Sequence[str], text: str, end: int) -> int:
    """How much of the text before a place is the same; a first guess that costs little."""
    for count, tail in enumerate(tails):
        if not text.endswith(tail, 0, end):
            return count
    return len(tails)
