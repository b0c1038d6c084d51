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
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dg_lsp.document.agreement import (
    Neighbours,
    Place,
    endings,
    neighbours_of,
    place_at,
    written_here,
)
from dg_lsp.document.code_tokens import pattern_of
from dg_lsp.document.masking import REACH_CHARS

MAX_COMPARED, ENDINGS = 24, 2
MAX_PLACES = 60
"""Places that are compared; there may be many more where little is to go by."""
ENOUGH_PLACES = 12
TAILS_CHARS = (4, 8, 16, 32)
CONTEXT_TOKENS = (2, 1)
"""Tokens before the span that a place has to share: as many as give enough places."""
_MASK = re.compile(r"\*{4}")


class Origin(enum.Enum):
    """Where a text was found."""

    DOCUMENT = "document"
    OPEN_FILE = "open file"
    WORKSPACE = "workspace"


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


def find_texts(prefix: str, suffix: str, limit: int = 4) -> tuple[FoundText, ...]:
    """Up to `limit` texts for the span between the two, the best first."""
    here = neighbours_of(prefix, suffix)
    if not here.left:
        return ()
    before, after = prefix[-REACH_CHARS:], suffix[:REACH_CHARS]
    places = heapq.nlargest(
        MAX_COMPARED,
        _places_around(here, before, after),
        key=lambda place: place.left,
    )
    best: dict[str, FoundText] = {}
    for place in places:
        for ending in endings(here, place, ENDINGS):
            text = written_here(here, place, ending)
            if not text.strip() or _is_refused(text, suffix):
                continue
            score = place.left + ending.score
            known = best.get(text)
            count = known.count + 1 if known else 1
            if known and known.score >= score:
                best[text] = replace(known, count=count)
                continue
            lines = (
                before.count("\n", place.at)
                if place.text is before
                else after.count("\n", 0, place.at)
            )
            best[text] = FoundText(
                text=text,
                left=place.left,
                right=ending.right,
                count=count,
                tokens=ending.tokens,
                distance_lines=lines,
                recency=0,
                origin=Origin.DOCUMENT,
                path="",
                renamed=bool(place.names) and text != place.text[ending.start : ending.end],
                score=score,
            )
    ranked = sorted(best.values(), key=lambda one: -(one.score + 0.5 * min(one.count, 4)))
    return tuple(ranked[:limit])


def _is_refused(text: str, suffix: str) -> bool:
    """Whether a text may not be suggested, whatever speaks for it."""
    says_suffix = len(text) > 20 and suffix.lstrip().startswith(text.strip())
    return says_suffix or _MASK.search(text) is not None


def _places_around(here: Neighbours, prefix: str, suffix: str) -> Iterator[Place]:
    """Places in this document, those with the same text before them first, then the nearest."""
    typed = len(prefix.rstrip(" \t"))
    seen: set[tuple[bool, int]] = set()
    for count in CONTEXT_TOKENS:
        context = [*reversed(here.left[:count])]
        pattern = pattern_of(
            [*context, here.begun] if here.begun else context, bool(here.begun)
        )
        above = [found.span() for found in pattern.finditer(prefix)]
        # The last one is the place that is asked about.
        own_start = above[-1][0] if above else 0
        while above and above[-1][1] >= typed:
            own_start, _ = above.pop()
        tails = [prefix[max(0, own_start - length) : own_start] for length in TAILS_CHARS]

        def closeness(text: str, start: int, tails: list[str] = tails) -> int:
            return sum(text.endswith(tail, 0, start) for tail in tails)

        near = [(closeness(prefix, start), -(typed - end), False, end) for start, end in above]
        near += [
            (closeness(suffix, start), -end, True, end)
            for start, end in (found.span() for found in pattern.finditer(suffix))
        ]
        for _, _, is_below, at in heapq.nlargest(MAX_PLACES, near):
            if (is_below, at) not in seen:
                seen.add((is_below, at))
                text = suffix if is_below else prefix
                yield place_at(here, text, at, 0, len(text))
        if len(seen) >= ENOUGH_PLACES:
            return
