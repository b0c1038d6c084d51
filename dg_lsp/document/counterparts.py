"""Finds the counterparts of a selection: texts elsewhere in the document that resemble it.

The lines of the selection are compared with others, token by token. What stands there in place
of the selection is a start for a rewrite: it says how the same was done at another place.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from dg_lsp.document.agreement import BRACKETS, MAX_TEXT_CHARS, WORD
from dg_lsp.document.code_tokens import token_ends
from dg_lsp.document.likeness import deeper, moved, opens
from dg_lsp.document.position import indent_of, may_cut
from dg_lsp.document.renaming import Pair, Renaming

MAX_LINES = 1500
"""Number of lines on either side that a counterpart may begin in."""
MAX_ALIGNED, MAX_ALIGNED_CHARS = 12, 2 * MAX_TEXT_CHARS
"""Number of places that are compared token by token, and the length of their lines and of the
selection's, because the comparison takes quadratic time."""
MAX_EQUAL_PAIRS = 60_000
"""Number of pairs of equal tokens in all these comparisons: takes about 30 milliseconds."""
MIN_SHARE = 0.5
"""How much of both texts must be equal."""
SCORE_PER_SHARE = 8.0
"""A rewrite has no right text to fit this to. Such a text comes before one that is as likely if
about half of it is equal to the selection, and the more, the more is equal."""


@dataclass(frozen=True, slots=True)
class Counterpart:
    """A text that resembles a selection, as it would be written in its place."""

    text: str
    score: float


@dataclass(frozen=True, slots=True)
class _Lines:
    """Whole lines and their tokens."""

    text: str
    indent: str
    words: tuple[str, ...]
    ends: tuple[int, ...]
    """Where the tokens end."""


def counterparts(prefix: str, replaced: str, suffix: str, most: int) -> list[Counterpart]:
    """Up to `most` texts of the document that resemble the selection, the best first.

    `prefix` and `suffix` are what may be searched of the document around it.
    """
    if not replaced.strip() or len(replaced) > MAX_TEXT_CHARS:
        return []
    replaced = replaced.replace("\r\n", "\n")
    head = prefix[prefix.rfind("\n") + 1 :]
    tail = suffix.partition("\n")[0].rstrip("\r")
    if len(head) + len(replaced) + len(tail) > MAX_ALIGNED_CHARS:
        return []
    here = _lines(head + replaced + tail)
    first = sum(end <= len(head) - len(indent_of(head)) for end in here.ends)
    selected = len(head) - len(indent_of(head)) + len(replaced)
    last = sum(end <= selected for end in here.ends)
    above, below = prefix[: len(prefix) - len(head)], suffix[len(tail) :]
    found: dict[str, float] = {}
    counts = Counter(here.words)
    pairs = 0
    for there in _like(here, above, below):
        matcher = SequenceMatcher(None, there.words, here.words, autojunk=False)
        if matcher.quick_ratio() < MIN_SHARE:
            continue
        pairs += sum(counts[word] for word in there.words)
        if pairs > MAX_EQUAL_PAIRS:
            break
        share = matcher.ratio()
        if share < MIN_SHARE:
            continue
        text = _in_place_of(here, there, first, last, matcher)
        if text and text != replaced and len(text) <= MAX_TEXT_CHARS:
            found[text] = max(found.get(text, 0.0), SCORE_PER_SHARE * share)
    best = heapq.nlargest(most, found, key=lambda text: found[text])
    return [Counterpart(text, found[text]) for text in best]


def _lines(text: str) -> _Lines:
    indent = indent_of(text)
    code = text[len(indent) :].replace("\r\n", "\n")
    ends, words = token_ends(code, 0, len(code))
    return _Lines(code, indent, tuple(words), tuple(ends))


def _like(here: _Lines, above: str, below: str) -> Iterator[_Lines]:
    """The lines that begin most like the selection's, as many as it has, or the whole block."""
    first, *others = here.text.split("\n")
    wanted = frozenset(WORD.findall(first))
    sides = (above.split("\n")[-MAX_LINES - 1 : -1], below.split("\n")[1 : MAX_LINES + 1])
    starts = [
        (len(wanted.intersection(words)) - 0.5 * len(words), side, at)
        for side, lines in enumerate(sides)
        for at, line in enumerate(lines)
        if (words := WORD.findall(line))
    ]
    for _, side, at in heapq.nlargest(MAX_ALIGNED, starts):
        lines = sides[side][at : at + 2 * len(others) + 2]
        count = len(others)
        if others and opens(first):
            body = deeper(lines[1:], len(indent_of(lines[0])))
            is_closed = len(indent_of(others[-1])) <= len(here.indent)
            count = len(body) + is_closed
        text = "\n".join(line.rstrip("\r") for line in lines[: count + 1])
        if len(text) <= MAX_ALIGNED_CHARS:
            yield _lines(text)


def _in_place_of(
    here: _Lines, there: _Lines, first: int, last: int, matcher: SequenceMatcher[str]
) -> str:
    """What stands there in place of the tokens `[first, last)`; empty if that is unclear."""
    matched = {
        block.b + at: block.a + at
        for block in matcher.get_matching_blocks()
        for at in range(block.size)
    }
    start, end = first, len(there.words) - (len(here.words) - last)
    if there.words[:start] != here.words[:first]:
        start = matched.get(first - 1, len(there.words)) + 1
    if there.words[end:] != here.words[last:]:
        end = matched.get(last, 0)
    if start >= end:
        return ""
    begins = there.ends[start] - len(there.words[start])
    stops = there.ends[end - 1]
    if not (may_cut(there.text, begins) and may_cut(there.text, stops)):
        return ""
    text = there.text[begins:stops].strip()
    if any(text.count(left) != text.count(right) for left, right in BRACKETS):
        return ""
    text = Renaming.of(_pairs(here, there, first, last, matcher), text).apply(text)
    lines = text.split("\n")
    return "\n".join([lines[0], *moved(lines[1:], there.indent, here.indent)])


def _pairs(
    here: _Lines, there: _Lines, first: int, last: int, matcher: SequenceMatcher[str]
) -> list[Pair]:
    """Which names correspond: once beside the selection is enough, or else twice."""
    beside: list[Pair] = []
    inside: Counter[Pair] = Counter()
    for _, low, high, start, end in matcher.get_opcodes():
        if high - low == end - start:
            for one, at in zip(range(low, high), range(start, end), strict=True):
                pair = there.words[one], here.words[at]
                if first <= at < last:
                    inside[pair] += 1
                else:
                    beside.append(pair)
    return beside + [pair for pair, count in inside.items() if count > 1 or pair[0] == pair[1]]
