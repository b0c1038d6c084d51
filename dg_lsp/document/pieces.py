"""Keeps what is known of the text around a cursor, piece by piece.

The text is cut into pieces of whole lines, on either side from the far end, so that most pieces
stay the same when the cursor moves or a line changes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from itertools import pairwise

PIECE_CHARS = 4096
MOST_KEPT = 128
"""Number of pieces that are kept: more than two texts of 200 kB have."""
MOST_ANSWERS = 512
"""Number of lines about which a piece remembers whether it has them."""

_LINE_END = re.compile(r"\r\n|\r|\n")


class Piece:
    """A few lines of a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.stripped_lines = frozenset(map(str.strip, split_lines(text)))
        self._has: dict[str, bool] = {}

    def has(self, part: str) -> bool:
        """Whether a part of a line is in it, also within a longer line."""
        answer = self._has.get(part)
        if answer is None:
            if len(self._has) >= MOST_ANSWERS:
                self._has.clear()
            answer = self._has[part] = part in self._text
        return answer


# Both who looks for definitions and who looks for similar text ask.
@functools.lru_cache(maxsize=2)
def pieces_around(prefix: str, suffix: str) -> tuple[Piece, ...]:
    """The pieces of the text on both sides of a cursor."""
    return tuple(
        _piece(text)
        for side in (_cut(prefix, PIECE_CHARS), _cut(suffix, len(suffix) % PIECE_CHARS))
        for text in side
    )


def _cut(text: str, first: int) -> Iterator[str]:
    """A text in pieces of whole lines, the first of which has about `first` characters."""
    start = 0
    for at in range(first, len(text), PIECE_CHARS):
        end = text.find("\n", at) + 1 or len(text)
        yield text[start:end]
        start = max(start, end)
    yield text[start:]


@functools.lru_cache(maxsize=MOST_KEPT)
def _piece(text: str) -> Piece:
    return Piece(text)


def split_lines(text: str) -> list[str]:
    """The lines of a text, each with its line end."""
    if "\r" not in text:
        *lines, rest = text.split("\n")
        return [*(line + "\n" for line in lines), rest]
    ends = [end.end() for end in _LINE_END.finditer(text)]
    return [text[start:end] for start, end in pairwise([0, *ends, len(text)])]


def lines_before(text: str, most: int) -> list[str]:
    """The last lines of a text, at most so many."""
    if "\r" in text:
        return split_lines(text)[-most:]
    first, *lines = text.rsplit("\n", most)
    *whole, rest = lines if len(lines) == most else [first, *lines]
    return [*(line + "\n" for line in whole), rest]


def lines_after(text: str, most: int) -> list[str]:
    """The first lines of a text, at most so many."""
    if "\r" in text:
        return split_lines(text)[:most]
    *whole, rest = text.split("\n", most)
    lines = [line + "\n" for line in whole]
    return lines if len(lines) == most else [*lines, rest]
