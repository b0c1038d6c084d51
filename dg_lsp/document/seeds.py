"""Finds seeds: texts that occur elsewhere between neighbours similar to those of a span.

Code repeats itself: the best guess for the missing text is often the text between the same
neighbours at another place, in the same document or another one. Candidate places are those
with the same last tokens before them; agreement.py compares them, and the best texts are
returned with their scores.

The callers pass only text that may be suggested: without excluded files, and with secrets
masked. A text with a mask in it is never returned.
"""

from __future__ import annotations

import heapq
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import NamedTuple

from dg_lsp.document.agreement import (
    TOKEN_COST,
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
from dg_lsp.document.counterparts import counterparts
from dg_lsp.document.likeness import Spot, bodies_like
from dg_lsp.document.masking import REACH_CHARS
from dg_lsp.document.position import NEAR_CHARS, last_line, may_cut
from dg_lsp.job import Seed, SeedOrigin

MAX_SEEDS = 4
MAX_PLACES = 40
"""Number of places in this document, and of places elsewhere, whose left side is compared; a
short context may occur at many more."""
ENOUGH_PLACES = 12
MANY_PLACES = 500
"""Maximum number of places on either side, for a document that repeats itself many times."""
MAX_COMPARED, ENDINGS = 32, 2
"""Number of places whose right side is compared too, and of texts from each of them."""
TAILS_CHARS = (4, 8, 16, 32)
"""How much text before a place is compared first, character by character."""
DOCUMENT_CONTEXTS, INDEX_CONTEXTS = (2, 1), (4, 3, 2)
"""Number of tokens before the span that a place must share; fewer, if too few places do."""
HEADER_CONTEXTS = (4, 3, 2)
"""The same, at the end of a header."""
CHARS_PER_LINE = 36
COUNT_WORTH, DISTANCE_COST = 0.8, 0.15
"""Fitted like the weights in agreement.py, on spans of the files kept for tuning, so that the
score of a text is the log odds that it is the right one of all that were found."""
MIN_REPEATED_CHARS = 4
"""A shorter text at the start of the suffix does not count as a repetition."""
BLOCK_RIGHT = 2
"""How many tokens of the suffix must agree after a text of several lines, so that it counts as
the whole body of a block. Below a line that opens a block, the best body is always returned,
because its length alone would otherwise keep it out."""
_OPENS_BLOCK = re.compile(r"(?:[:{(\[]|=>|->|\b(?:do|then|else|begin))$")
_MASK = re.compile(r"\*{4}")
ORIGIN_WORTH = {SeedOrigin.DOCUMENT: 1.7, SeedOrigin.OPEN_FILE: 0.8, SeedOrigin.WORKSPACE: 0.0}
"""The first value is fitted as well; that of an open file is roughly the mean of the two."""


_Spot = tuple[int, int, int, int]
"""A possible place: its distance or recency, the number of its text, the offset that is
compared with the text before the span, and the offset of the place."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Files to look in besides the document."""

    index: CodeIndex
    origin: SeedOrigin
    recency: int
    hidden: frozenset[str] = frozenset()
    """Paths of files in the index that must not be looked at: the document itself, files that
    are open with a newer text, and files that have been excluded since."""


class _Source(NamedTuple):
    """The location of a place."""

    origin: SeedOrigin
    path: str
    distance_chars: int = 0
    """Distance in the document; 0 for other files."""

    @property
    def score(self) -> float:
        lines = self.distance_chars / CHARS_PER_LINE
        return ORIGIN_WORTH[self.origin] - DISTANCE_COST * math.log1p(lines)


def find_seeds(
    prefix: str,
    suffix: str,
    elsewhere: Sequence[Elsewhere] = (),
    limit: int = MAX_SEEDS,
    may_show: Callable[[Seed], bool] = lambda seed: True,
    replaced: str = "",
) -> tuple[Seed, ...]:
    """Up to `limit` texts for the span between prefix and suffix, the best first, among those
    that `may_show` allows; for a selection also texts that resemble it.

    Only `REACH_CHARS` of the document on either side are searched, because its secrets are
    masked only that far. `elsewhere` is in the order of recency, the latest first.
    """
    here = neighbours_of(prefix, suffix)
    if not here.left:
        return ()
    near = _near(prefix, suffix)
    before, after = prefix[-REACH_CHARS:], suffix[:REACH_CHARS]
    places = [*_places_around(here, before, after), *_places_elsewhere(here, before, elsewhere)]
    best: dict[str, tuple[float, Seed]] = {}
    blocks: dict[str, float] = {}
    counts: Counter[str] = Counter()
    for place, source in heapq.nlargest(MAX_COMPARED, places, key=lambda one: one[0].left):
        for ending in endings(here, place, ENDINGS):
            text = written_here(here, place, ending)
            if _is_same(text, replaced) or _is_refused(place, ending, text, near):
                continue
            counts[text] += 1
            score = place.score + ending.score + source.score
            if ending.lines and ending.right >= BLOCK_RIGHT:
                blocks[text] = max(blocks.get(text, score), score + TOKEN_COST * ending.tokens)
            if text not in best or score > best[text][0]:
                best[text] = score, Seed(text, origin=source.origin, path=source.path)

    for one in counterparts(before, replaced, after, limit):
        if _MASK.search(one.text) is None:
            counts.setdefault(one.text, 1)
            if one.text not in best or one.score > best[one.text][0]:
                best[one.text] = one.score, Seed(one.text)
    bodies = [
        body
        for body in _bodies(before, after, elsewhere)
        if _MASK.search(body.text) is None and may_show(body)
    ]
    for body in bodies:
        counts[body.text] = 1
        if body.text not in best or body.score > best[body.text][0]:
            best[body.text] = body.score, body

    def score_of(text: str) -> float:
        return best[text][0] + COUNT_WORTH * math.log(counts[text])

    # Texts with equal scores stay in the order in which they were found, so that the result is
    # always the same.
    in_order = sorted(best, key=score_of, reverse=True)
    ranked = [*islice((text for text in in_order if may_show(best[text][1])), limit)]
    # A body is long, so it ranks below parts of it, from whose score less is deducted.
    if bodies and bodies[0].text not in ranked:
        block: str | None = bodies[0].text
    else:
        block = max(blocks, key=lambda text: blocks[text], default=None)
        block = block if near.opens_block else None
    if block is not None and block not in ranked and may_show(best[block][1]):
        ranked[limit - 1 :] = [block]
    return tuple(replace(best[text][1], score=score_of(text)) for text in ranked)


def _bodies(prefix: str, suffix: str, elsewhere: Sequence[Elsewhere]) -> Iterator[Seed]:
    """The bodies below headers similar to the one above the span, the best first."""

    def spots_after(last_tokens: Sequence[str]) -> Iterator[Spot]:
        for number, one in enumerate(elsewhere):
            contexts = (last_tokens[:count] for count in HEADER_CONTEXTS)
            found = (one.index.places(tokens, MAX_PLACES) for tokens in contexts)
            for at in next(filter(None, found), []):
                path, first, last = one.index.file_at(at)
                if path not in one.hidden:
                    yield Spot(one.index.text, at, first, last, number)

    for body in bodies_like(prefix, suffix, spots_after):
        origin, path = SeedOrigin.DOCUMENT, ""
        if body.spot.number is not None:
            one = elsewhere[body.spot.number]
            origin, (path, *_) = one.origin, one.index.file_at(body.spot.at)
        yield Seed(
            body.text,
            body.score + ORIGIN_WORTH[origin] - ORIGIN_WORTH[SeedOrigin.DOCUMENT],
            origin,
            path,
        )


def _is_same(text: str, replaced: str) -> bool:
    """Whether a text is the selection, perhaps with other line ends."""
    return text.replace("\r\n", "\n") == replaced.replace("\r\n", "\n")


def _is_refused(place: Place, ending: Ending, text: str, near: _Near) -> bool:
    """Whether a text must not be suggested, whatever its score.

    It is blank, contains a masked secret or cuts a character in half; or it repeats the
    beginning of the suffix; or it repeats the line above and agrees with less than two tokens
    of the suffix.
    """
    code = text.strip()
    return (
        not code
        or _MASK.search(text) is not None
        or not may_cut(place.text, ending.start)
        or not may_cut(place.text, ending.end)
        or (len(code) >= MIN_REPEATED_CHARS and near.below.startswith(code))
        or (code == near.above and ending.right < 2)
    )


@dataclass(frozen=True, slots=True)
class _Near:
    """Text that a seed must not repeat."""

    opens_block: bool
    """Whether the span begins a line below one that opens a block."""
    above: str
    """The last non-blank line above, if the span begins a line."""
    below: str
    """The suffix without its leading white space."""


def _near(prefix: str, suffix: str) -> _Near:
    begins_line = not last_line(prefix).strip()
    above = last_line(prefix.rstrip()).strip() if begins_line else ""
    opens_block = begins_line and _OPENS_BLOCK.search(above) is not None
    return _Near(opens_block, above, suffix[:NEAR_CHARS].lstrip())


def _places_around(
    here: Neighbours, prefix: str, suffix: str
) -> Iterator[tuple[Place, _Source]]:
    """Places in this document, those with the same text before them first, then the nearest."""
    typed = len(prefix.rstrip(" \t"))
    if here.begun and here.begun not in suffix and prefix.find(here.begun, 0, typed - 1) < 0:
        # What is being typed is nowhere else, and a pattern takes long to compile.
        return
    texts = suffix, prefix
    seen: set[tuple[int, int]] = set()
    for count in DOCUMENT_CONTEXTS:
        context = [*reversed(here.left[:count])]
        pattern = pattern_of(
            [*context, here.begun] if here.begun else context, bool(here.begun)
        )
        above = _spans_before(pattern, prefix)
        # The last one is the span's own place.
        own_start = above[-1][0] if above else 0
        while above and above[-1][1] >= typed:
            own_start, _ = above.pop()
        below = [met.span() for met in islice(pattern.finditer(suffix), MANY_PLACES)]
        spots = [(end, 0, start, end) for start, end in below]
        spots += [(typed - end, 1, start, end) for start, end in above]
        spots.sort()
        for distance, number, _, at in _closest(texts, spots, prefix[:own_start]):
            if (number, at) in seen:
                continue
            seen.add((number, at))
            source = _Source(SeedOrigin.DOCUMENT, "", distance)
            yield place_at(here, texts[number], at, 0, len(texts[number])), source
        if len(seen) >= ENOUGH_PLACES:
            return


def _spans_before(pattern: re.Pattern[str], text: str) -> list[tuple[int, int]]:
    """The spans where a pattern is found, ascending: all, or many of the last ones."""
    spans: list[tuple[int, int]] = []
    end = len(text)
    while end > 0 and len(spans) < MANY_PLACES:
        start = max(0, end - NEAR_CHARS)
        if start:
            start = max(start, text.find("\n", start, end))
        spans[:0] = [met.span() for met in pattern.finditer(text, start, end)]
        end = start
    return spans


def _places_elsewhere(
    here: Neighbours, prefix: str, elsewhere: Sequence[Elsewhere]
) -> Iterator[tuple[Place, _Source]]:
    """Places in other files, those with the same text before them first, then the latest."""
    typed = prefix[: len(prefix) - len(here.begun)].rstrip(" \t")
    texts = [one.index.text for one in elsewhere]
    near: set[_Spot] = set()
    most = min(MAX_PLACES, 1 + MANY_PLACES // max(1, len(elsewhere)))
    for count in INDEX_CONTEXTS:
        if count > len(here.left):
            continue
        for number, one in enumerate(elsewhere):
            near.update(
                (one.recency, number, at, at)
                for at in one.index.places(here.left[:count], most)
            )
        if len(near) >= ENOUGH_PLACES:
            break
    spots = sorted(near, key=lambda spot: (-spot[0], *spot[1:]), reverse=True)
    for _, number, at, _ in _closest(texts, spots, typed):
        one = elsewhere[number]
        path, first, last = one.index.file_at(at)
        begins = _after_begun(here, one.index.text, at)
        if path not in one.hidden and begins is not None:
            source = _Source(one.origin, path)
            yield place_at(here, one.index.text, begins, first, last), source


def _after_begun(here: Neighbours, text: str, at: int) -> int | None:
    """The offset after the typed part of the next word; `None` if another word is there."""
    if not here.begun:
        return at
    while text[at : at + 1] in (" ", "\t"):
        at += 1
    return at + len(here.begun) if text.startswith(here.begun, at) else None


def _closest(texts: Sequence[str], spots: Sequence[_Spot], before: str) -> list[_Spot]:
    """The spots with the most of the text `before` them; among equals, the first ones."""
    levels = [spots]
    for length in TAILS_CHARS:
        tail = before[-length:]
        levels.append(
            [spot for spot in levels[-1] if texts[spot[1]].endswith(tail, 0, spot[2])]
        )
    firsts = chain.from_iterable(level[:MAX_PLACES] for level in reversed(levels))
    return [*dict.fromkeys(firsts)][:MAX_PLACES]
