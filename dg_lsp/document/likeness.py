"""Finds the bodies of blocks whose headers are similar: a second test, a second handler.

seeds.py looks for texts between the same neighbours. Below a header, more is known: the text
is the body of a block, so it ends where the indentation does, and what the two headers call
differently is usually called differently in the two bodies as well. If a body has been begun,
only bodies that begin with the same text count, and only the rest of them is returned.
"""

from __future__ import annotations

import functools
import heapq
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

from dg_lsp.document.agreement import BRACKETS, KEYWORDS, MAX_TEXT_CHARS, WORD
from dg_lsp.document.code_tokens import LINE_END_TOKEN, is_word, words_of
from dg_lsp.document.edit import is_only_closers
from dg_lsp.document.indentation import opens_block
from dg_lsp.document.position import NEAR_CHARS, indent_of, may_cut
from dg_lsp.document.renaming import Pair, Renaming, aligned, parts_of

MAX_BEGUN_LINES = 3
"""Number of lines of a body that may be written already, on either side of the span."""
MAX_HEADER_LINES, MAX_HEADER_CHARS = 8, 640
MAX_HEADERS, MAX_ALIGNED = 200, 16
"""Number of headers that are compared by their words alone, and then token by token."""
KEPT = 16 * MAX_ALIGNED
"""Number of headers whose comparison is kept, and of bodies as they would be written here."""
MIN_EQUAL = 0.5
"""How much of two headers must be equal at least."""
MARK_WORTH = 0.2
"""What an equal mark or keyword of a header counts; a name or a part of one counts 1."""
SCORE, EQUAL_WORTH, DIFFERING_COST = 6.6, 2.0, 0.25
TOKEN_COST, DISTANCE_COST, COUNT_WORTH = 0.06, 1.2, 2.7
"""Fitted on the bodies of blocks in the files kept for tuning, so that the score is on the
scale of the other seeds; a body counts as right if its similarity to the true one is above
0.8."""
CHARS_PER_LINE, FILE_LINES = 36, 100.0
"""Another file is as far away as this many lines of the document."""
_BRACKETS = (")", "]", "}", "{")
_OPENER = re.compile(r"(?:[:{(\[]|=>|->|\b(?:do|then|else|begin))$")


class Spot(NamedTuple):
    """An offset in a text where the header of a block ends."""

    text: str
    at: int
    first: int
    last: int
    """The file there is `text[first:last]`."""
    number: int | None = None
    """Which of the places to look in besides the document it is in; `None` for the document."""


@dataclass(frozen=True, slots=True)
class LikeBody:
    """A body elsewhere, as it would be written here."""

    text: str
    spot: Spot
    score: float
    """The logarithm of its odds, like that of a text between the same neighbours."""


@dataclass(frozen=True, slots=True)
class _Header:
    """The lines that open a block."""

    words: tuple[str, ...]
    """Its tokens, without line ends."""
    indent: str


@dataclass(frozen=True, slots=True)
class _Hole:
    """A span that fills the body of a block, or what is left of it."""

    header: _Header
    begun: tuple[str, ...]
    """The lines of the body before the span, the last of which is the span's own."""
    rest: tuple[str, ...]
    """The lines of the body below the span."""
    written: float
    """What the tokens of these lines count."""
    closer: str
    """What follows in the span's line."""
    form: str
    """The first of its lines that is not blank, with the same word for all words."""
    is_whole: bool
    """Whether that line is above the span's own."""

    def may_begin_with(self, line: str) -> bool:
        """Whether a body whose first line this is may begin like this one, whatever its names
        are."""
        form = _form(line)
        return form.strip() == self.form if self.is_whole else form.startswith(self.form)


def opens(line: str) -> bool:
    """Whether a line seems to open a block that the next line is the body of."""
    return _OPENER.search(line.rstrip()) is not None or opens_block(line)


def bodies_like(
    prefix: str, suffix: str, spots_after: Callable[[Sequence[str]], Iterable[Spot]]
) -> list[LikeBody]:
    """The bodies below headers that are similar to the one above the span, the best first.

    `prefix` and `suffix` are what may be searched of the document; `spots_after` says where the
    last tokens of a header, nearest first, are found elsewhere.
    """
    hole = _hole_at(prefix, suffix)
    if hole is None:
        return []
    spots = [*_spots_in(prefix, suffix, hole), *spots_after(hole.header.words[::-1])]
    found: dict[str, LikeBody] = {}
    counts: Counter[str] = Counter()
    for spot in _likest(hole.header, spots):
        body = _body_like(hole, spot, prefix)
        if body is not None:
            counts[body.text] += 1
            if body.text not in found or body.score > found[body.text].score:
                found[body.text] = body
    counted = [
        replace(body, score=body.score + COUNT_WORTH * math.log(counts[body.text]))
        for body in found.values()
    ]
    return sorted(counted, key=lambda body: -body.score)


def _hole_at(prefix: str, suffix: str) -> _Hole | None:
    """The body that the span fills; `None` if it is in none, or most of it is written."""
    closer, *below = suffix[:NEAR_CHARS].split("\n", 1)
    if not is_only_closers(closer):
        return None
    near = prefix[-NEAR_CHARS:]
    lines: list[str] = []
    above = end = 0
    for line, at in _lines_up(near):
        end = at
        above += bool(lines and line.strip())
        if opens(line):
            break
        if above > MAX_BEGUN_LINES:
            return None
        lines.append(line)
    else:
        return None
    if closer.strip() and lines:
        return None
    header = _header_at(near, end, 0)
    if header is None:
        return None
    depth = len(header.indent)
    begun = [line.rstrip("\r") for line in reversed(lines)]
    if any(len(indent_of(line)) <= depth for line in begun if line.strip()):
        return None
    rest = [] if closer.strip() or not below else deeper(_lines_down(below[0]), depth)
    if len(rest) > MAX_BEGUN_LINES:
        return None
    written = sum(map(_worth, words_of("\n".join((*begun, *rest)))))
    above_it = [line for line in begun[:-1] if line.strip()]
    form = _form(above_it[0]).strip() if above_it else "".join(map(_form, begun[-1:]))
    return _Hole(header, tuple(begun), tuple(rest), written, closer, form, bool(above_it))


def _lines_up(text: str) -> Iterator[tuple[str, int]]:
    """The lines of a text from the last to the first, and where each ends."""
    start = len(text) + 1
    while start:
        end = start - 1
        start = text.rfind("\n", 0, end) + 1
        yield text[start:end], end


def _lines_down(text: str) -> Iterator[str]:
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def _form(line: str) -> str:
    return WORD.sub("x", line.lstrip())


def _header_at(text: str, end: int, first: int) -> _Header | None:
    """The header that ends at an offset: its line, and those above it that belong to it."""
    near = text[max(first, end - MAX_HEADER_CHARS) : end]
    lines = near.split("\n")[-MAX_HEADER_LINES:]
    start = len(lines) - 1
    if lines[start].strip() == "{" and start:
        start -= 1
    unopened = _unopened(lines[start])
    while unopened > 0 and start:
        start -= 1
        unopened += _unopened(lines[start])
    words = [
        word for word in words_of("\n".join(lines[start:]).strip()) if word != LINE_END_TOKEN
    ]
    return _Header(tuple(words), indent_of(lines[start])) if words else None


def _unopened(line: str) -> int:
    """How many brackets a line closes more than it opens, without the one that it ends with."""
    code = line.rstrip()[:-1]
    return sum(code.count(right) - code.count(left) for left, right in BRACKETS)


def _spots_in(prefix: str, suffix: str, hole: _Hole) -> Iterator[Spot]:
    """Where headers like that of the span end in the document, the nearest first."""
    last = hole.header.words[-1]
    # A pattern that begins with a literal is fastest.
    if _OPENER.search(last):
        ends = re.compile(re.escape(last) + r"[ \t\r]*(?=\n)")
    else:
        ends = re.compile(re.escape(hole.header.words[0]) + r"\b[^\n]*(?=\n)")
    own = len(prefix) - sum(map(len, hole.begun)) - len(hole.begun)
    above = [end for end in _ends_in(prefix, ends) if end < own]
    below = [*islice(_ends_in(suffix, ends), MAX_HEADERS)]
    for at in above[: -MAX_HEADERS - 1 : -1]:
        yield Spot(prefix, at, 0, len(prefix))
    for at in below:
        yield Spot(suffix, at, 0, len(suffix))


def _ends_in(text: str, pattern: re.Pattern[str]) -> Iterator[int]:
    """Where the pattern's matches end, all of them before the end of a line.

    After the last line end, each attempt would search the rest of the text in vain.
    """
    return (met.end() for met in pattern.finditer(text, 0, text.rfind("\n") + 1))


def _likest(header: _Header, spots: Sequence[Spot]) -> list[Spot]:
    """The spots whose headers share most words with this one; the first of equal ones."""
    words = frozenset(filter(is_word, header.words))

    def shared(spot: Spot) -> float:
        text, at, first, *_ = spot
        start = max(first, at - MAX_HEADER_CHARS)
        line = text[max(start, text.rfind("\n", start, at) + 1) : at]
        if line.lstrip()[:1] in _BRACKETS:
            found = _header_at(text, at, first)
            others = tuple(filter(is_word, found.words)) if found else ()
        else:
            others = _words_in(line)
        return len(words.intersection(others)) - 0.5 * len(others)

    return heapq.nlargest(MAX_ALIGNED, spots, key=shared)


# Cached, because most lines with a header stay as they are.
@functools.lru_cache(maxsize=4096)
def _words_in(line: str) -> tuple[str, ...]:
    return tuple(WORD.findall(line))


def _lines_away(prefix: str, spot: Spot) -> float:
    if spot.number is not None:
        return FILE_LINES
    return (len(prefix) - spot.at if spot.text is prefix else spot.at) / CHARS_PER_LINE


def _body_like(hole: _Hole, spot: Spot, prefix: str) -> LikeBody | None:
    """The body below another header, as far as it is not written yet."""
    end = min(spot.last, spot.at + 2 * MAX_TEXT_CHARS)
    below = spot.text[spot.at : end].split("\n")[1:]
    if not below or not hole.may_begin_with(below[0]):
        return None
    header = _header_at(spot.text, spot.at, spot.first)
    if header is None:
        return None
    lines: Sequence[str] = deeper(below, len(header.indent))
    if spot.text is prefix and end == len(prefix) and not "".join(below[len(lines) :]).strip():
        # The span is in this block itself.
        return None
    if not lines:
        return None
    equal, differing = _compared(header, hole.header)
    equal += hole.written
    if equal < MIN_EQUAL:
        return None
    lines = _rewritten(header, hole.header, tuple(lines))
    text = _left_of(lines, hole)
    if text is None or not text.strip() or len(text) > MAX_TEXT_CHARS:
        return None
    score = (
        SCORE
        + EQUAL_WORTH * math.sqrt(equal)
        - DIFFERING_COST * differing
        - TOKEN_COST * len(words_of(text))
        - DISTANCE_COST * math.log1p(_lines_away(prefix, spot))
    )
    return LikeBody(text, spot, score)


# Cached, because the user types on below the same header.
@functools.lru_cache(maxsize=KEPT)
def _rewritten(there: _Header, here: _Header, lines: tuple[str, ...]) -> tuple[str, ...]:
    """The body of one header as that of another."""
    renaming = Renaming.of(_pairs(there.words, here.words), "\n".join(lines))
    return tuple(moved([*map(renaming.apply, lines)], there.indent, here.indent))


@functools.lru_cache(maxsize=KEPT)
def _pairs(there: tuple[str, ...], here: tuple[str, ...]) -> tuple[Pair, ...]:
    return tuple(aligned(there, here))


@functools.lru_cache(maxsize=KEPT)
def _compared(one: _Header, two: _Header) -> tuple[float, float]:
    """How much of two headers is equal, and how much is not."""
    equal = differing = 0.0
    for there, here in _pairs(one.words, two.words):
        if there == here:
            equal += _worth(there)
            continue
        own, other = parts_of(there), parts_of(here)
        same = sum(_worth(part) for part, its in aligned(own, other) if part == its)
        equal += same
        differing += max(_worth(there), _worth(here)) - same
    return equal, differing


@functools.lru_cache(maxsize=1024)
def _worth(word: str) -> float:
    """What a token counts: each part of a name 1, a mark or a keyword less."""
    if word in KEYWORDS or not word or not is_word(word):
        return MARK_WORTH * bool(word)
    return float(sum(part != "_" for part in parts_of(word)))


def deeper(lines: Iterable[str], depth: int) -> list[str]:
    """The lines that are indented deeper, up to the first that is not; no blank ones after."""
    found: list[str] = []
    end = 0
    for line in lines:
        found.append(line.rstrip("\r"))
        if line.strip():
            if len(indent_of(line)) <= depth:
                break
            end = len(found)
    return found[:end]


def moved(lines: Sequence[str], there: str, here: str) -> list[str]:
    """Lines below a header at another depth."""
    return [
        here + line[len(there) :] if line.startswith(there) and line.strip() else line.strip()
        for line in lines
    ]


def _left_of(lines: Sequence[str], hole: _Hole) -> str | None:
    """What is left of a body; `None` if something else is written here."""
    begun = ""
    if hole.begun:
        *above, current = hole.begun
        begun = "\n".join(["", *(line for line in above if line.strip()), current])
        indent = indent_of(lines[0])
        if not begun.strip() and not indent.startswith(current):
            # The file has another width of indentation.
            lines = moved(lines, indent, current)
    body = "\n" + "\n".join(lines)
    if not body.startswith(begun):
        return None
    if hole.rest:
        lines = body.split("\n")
        end = len(lines) - len(hole.rest)
        if [*map(str.strip, lines[end:])] != [*map(str.strip, hole.rest)]:
            return None
        body = "\n".join(lines[:end])
    if not may_cut(body, len(begun)):
        return None
    text = body[len(begun) :]
    if hole.closer.strip():
        text += "\n" + hole.header.indent
    return text
