"""Compares two places in code: how far the tokens around them agree.

Up to two identifiers may have other names at the other place, if they do so consistently: if
it has `for item in items` and this place has `for user in users`, the texts on both sides
agree, and the text between them can be adapted by renaming.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from dg_lsp.document.code_tokens import (
    count_tokens,
    is_word,
    suffix_pattern,
    words_after,
    words_before,
    words_of,
)
from dg_lsp.document.position import LINE_END, NEAR_CHARS, indent_of, last_line

MAX_LEFT_TOKENS = 20
MAX_RIGHT_TOKENS = 10
"""Tokens that are compared on either side; further agreement adds no information."""
LEFT_CHARS, RIGHT_CHARS = 110, 60
MAX_TEXT_CHARS = 800
"""Maximum length of a found text."""
WORD = re.compile(r"\w+")
BRACKETS = (("(", ")"), ("[", "]"), ("{", "}"))
MAX_ENDINGS = 4
"""Number of possible ends of a text that are compared with the suffix."""
TOKEN_COST = 0.25
"""Deduction from a text's score for each of its tokens."""
MAX_RENAMED = 2
"""Number of identifiers that may have other names."""
RENAMING_COST, RENAMED_WORTH, RENAMED_SHARE = 0.5, 0.5, 0.75
"""What the first occurrence of a renamed identifier deducts from the agreement; what each other
one adds, while an equal token adds 1; and the factor, per renamed identifier, for the rest."""

# Keywords distinguish statements, so they are never renamed.
KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """and as assert async await bool break case catch class const continue def default del
        do elif else enum except export extends false final finally fn for from func function if
        impl import in int interface is lambda let match mut new nil none not null of or pass
        private protected pub public raise return self static string struct super switch this
        throw true try type use var void while with yield False None True""",
    )
)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The text on either side of the span, in tokens."""

    left: tuple[str, ...]
    """The tokens before the span, nearest first, without an unfinished word."""
    right: tuple[str, ...]
    begun: str
    """The beginning of a word that may continue in the span."""
    rest: str
    """The part of a word at the start of the suffix."""
    indent: str
    """The indentation of the line that the span starts in."""
    after_blank: bool
    """Whether the character before the span is white space, so that the span needs none."""
    before_blank: bool


def neighbours_of(prefix: str, suffix: str) -> Neighbours:
    """The text around a span, prepared for comparison with other places."""
    near, after = prefix[-LEFT_CHARS:], suffix[:RIGHT_CHARS]
    left = words_of(near)
    begun = ""
    if left and is_word(near[-1]):
        begun = left.pop()
    if len(near) == LEFT_CHARS:
        # The first token may be only the end of a word.
        left = left[1:]
    right = words_of(after)[:MAX_RIGHT_TOKENS]
    return Neighbours(
        left=tuple(reversed(left[-MAX_LEFT_TOKENS:])),
        right=tuple(right),
        begun=begun,
        rest=right[0] if right and is_word(right[0]) and not after[0].isspace() else "",
        indent=indent_of(last_line(prefix)),
        after_blank=prefix[-1:] in (" ", "\t"),
        before_blank=suffix[:1] in (" ", "\t"),
    )


class Place(NamedTuple):
    """A place elsewhere: an offset in a text, and the file of the text that it is in."""

    text: str
    at: int
    first: int
    last: int
    left: float
    """How many tokens before it agree with those before the span."""
    names: tuple[tuple[str, str], ...]
    """Identifiers there, and their names here."""

    @property
    def score(self) -> float:
        """The score: it grows with agreement, but each further token adds less."""
        return 1.6 * math.sqrt(self.left)


class Ending(NamedTuple):
    """A possible end of a text that starts at a place."""

    start: int
    end: int
    right: float
    """How many tokens after it agree with those after the span."""
    tokens: int
    """Length of the text."""
    lines: int
    """Number of line ends in it."""

    @property
    def score(self) -> float:
        """The score of this end; `Place.score` is the other half."""
        return (
            2.0 * math.sqrt(self.right)
            - TOKEN_COST * self.tokens
            - (1.0 if self.lines else 0.0)
        )


def place_at(here: Neighbours, text: str, at: int, first: int, last: int) -> Place:
    """The place at an offset, compared with the text before the span.

    `[first, last)` is the file in the text that the place is in.
    """
    names: dict[str, str] = {}
    before = at - len(here.begun)
    there = words_before(text, first, before, LEFT_CHARS)
    agreed = best = 1.0 if here.begun else 0.0
    kept: tuple[tuple[str, str], ...] = ()
    for other, own in zip(there, here.left, strict=False):
        worth = _agreed(other, own, names)
        if worth is None:
            if len(names) == MAX_RENAMED or not _may_rename(other, own, names):
                break
            names[other] = own
            worth = -RENAMING_COST
        agreed += worth if worth < 0 else worth * RENAMED_SHARE ** len(names)
        if agreed > best:
            best, kept = agreed, tuple(names.items())
    return Place(text, at, first, last, best, kept)


def endings(here: Neighbours, place: Place, most: int) -> list[Ending]:
    """Up to `most` ends, best first, after which the suffix could follow."""
    text, start = place.text, place.at
    if here.after_blank:
        while start < place.last and text[start] in " \t":
            start += 1
    limit = min(place.last, start + MAX_TEXT_CHARS)
    ends = sorted(
        _ends_before_suffix(here, place, start, limit),
        key=lambda end: (end[1], -end[0]),
        reverse=True,
    )
    found: list[Ending] = []
    for at, right in ends[: 2 * most]:
        # A longer text after which the suffix agrees no better can only score less.
        if sum(ending.end < at for ending in found) >= most:
            continue
        found.append(Ending(start, at, right, *count_tokens(text[start:at].strip())))
    found.sort(key=lambda ending: ending.score, reverse=True)
    return found[:most]


def _ends_before_suffix(
    here: Neighbours, place: Place, start: int, limit: int
) -> Iterator[tuple[int, float]]:
    """Where a text from `start` may end, and how far the suffix agrees with what follows."""
    text, last = place.text, place.last
    if here.right:
        names = dict(place.names)
        there = {own: other for other, own in place.names}
        first, *others = (there.get(token, token) for token in here.right[:2])
        one = suffix_pattern(first).finditer(text, start + 1, min(last, limit + 1))
        ends: set[int] = set()
        # The nearest one, and the first that leaves no bracket open.
        for met in islice(one, MAX_ENDINGS):
            is_closed = _is_balanced(text[start : met.start()])
            if is_closed or not ends:
                ends.add(met.start())
            if is_closed:
                break
        if others:
            # Two tokens of the suffix occur at few places, one token at many.
            two = suffix_pattern(first, others[0])
            met_again = two.finditer(text, start + 1, min(last, limit + 1))
            ends.update(met.start() for met in islice(met_again, MAX_ENDINGS))
        for at in ends:
            # If the suffix starts within a word, a longer word may end with the rest of it.
            is_whole = not (is_word(first) and is_word(text[at - 1]))
            if is_whole or here.rest:
                after = words_after(text, at, min(last, at + RIGHT_CHARS))
                right = _right_agreement(here.right, after, names)
                if right:
                    yield at, right if is_whole else right - 0.5
    else:
        line = LINE_END.search(text, start, limit)
        if line and line.start() > start:
            yield line.start(), 0.0
        elif not line and limit == last > start:
            yield last, 0.0


def _is_balanced(text: str) -> bool:
    return all(text.count(one) == text.count(two) for one, two in BRACKETS)


def written_here(here: Neighbours, place: Place, ending: Ending) -> str:
    """A text from another place as it would be written here; empty if that is impossible."""
    there = place.text
    text = there[ending.start : ending.end]
    if place.names:
        names = dict(place.names)
        text = WORD.sub(lambda word: names.get(word[0], word[0]), text)
    if here.before_blank:
        text = text.rstrip(" \t")
    if "\n" not in text:
        return text
    indent = indent_of(
        last_line(there[max(place.first, ending.start - NEAR_CHARS) : ending.start])
    )
    if indent == here.indent:
        return text
    head, *lines = text.split("\n")
    moved = [head]
    for line in lines:
        if line.strip() and not line.startswith(indent):
            return ""
        moved.append(here.indent + line[len(indent) :] if line.strip() else line)
    return "\n".join(moved)


def _right_agreement(own: Sequence[str], there: Iterable[str], names: dict[str, str]) -> float:
    agreed = 0.0
    for token, other in zip(own, there, strict=False):
        worth = _agreed(other, token, names)
        if worth is None:
            break
        agreed += worth
    return agreed


def _agreed(other: str, own: str, names: dict[str, str]) -> float | None:
    """What a pair of tokens adds to the agreement; `None` if they differ."""
    known = names.get(other)
    if known is not None:
        return RENAMED_WORTH if known == own else None
    return 1.0 if other == own else None


def _may_rename(other: str, own: str, names: dict[str, str]) -> bool:
    return own not in names.values() and _is_name(other) and _is_name(own)


def _is_name(token: str) -> bool:
    return (token[0].isalpha() or token[0] == "_") and token not in KEYWORDS
