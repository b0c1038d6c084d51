r"""Cuts code of any language into tokens: words, single punctuation marks and line ends.

Blanks within a line separate tokens. A line end includes the blank lines and the indentation
after it and counts as "\n", whatever the line end and the depth of the next line.
"""

from __future__ import annotations

import functools
import re
from binascii import crc32
from collections.abc import Iterator, Sequence

LINE_END_TOKEN = "\n"

_TOKEN = re.compile(r"\w+|[\r\n]\s*|[^\w\s]")
# A carriage return before the line feed counts as a blank, so that the pattern begins with a
# literal, which is fastest. The white space after it is limited and never backtracked into, so
# that many empty lines are not slow.
_ONE_LINE_END = r"\n\s{0,200}+"
_BLANKS = r"[ \t\r]*+"
_AFTER_LINE_ENDS = "\x0e"
"""Line ends, and no other tokens, sort before it."""
_MAX_KNOWN_HASHES = 1 << 16


def words_of(text: str) -> list[str]:
    """The tokens of a text."""
    return [
        LINE_END_TOKEN if said < _AFTER_LINE_ENDS else said for said in _TOKEN.findall(text)
    ]


def count_tokens(text: str) -> tuple[int, int]:
    """The number of tokens of a text, and of the line ends among them."""
    found = _TOKEN.findall(text)
    is_one_line = "\n" not in text and "\r" not in text
    return len(found), 0 if is_one_line else sum(said < _AFTER_LINE_ENDS for said in found)


def words_after(text: str, start: int, end: int) -> Iterator[str]:
    """The tokens of a part of a text, one by one, because the first ones are often enough."""
    for token in _TOKEN.finditer(text, start, end):
        said = token[0]
        yield LINE_END_TOKEN if said < _AFTER_LINE_ENDS else said


def words_before(text: str, first: int, end: int, most_chars: int) -> Iterator[str]:
    """The tokens before `end`, the nearest first, without one that may be cut."""
    known = 0
    # The nearest tokens are often enough.
    for chars in (most_chars // 4, most_chars):
        start = max(first, end - chars)
        words = words_of(text[start:end])
        if start > first:
            del words[:1]
        yield from reversed(words[: len(words) - known])
        if start == first:
            return
        known = len(words)


def token_ends(text: str, start: int, end: int) -> tuple[list[int], list[str]]:
    """The ends and the texts of the tokens in a part of a text."""
    found = [*_TOKEN.finditer(text, start, end)]
    said = [token[0] for token in found]
    return (
        [token.end() for token in found],
        [LINE_END_TOKEN if token < _AFTER_LINE_ENDS else token for token in said],
    )


def is_word(token: str) -> bool:
    return token[0].isalnum() or token[0] == "_"


def pattern_of(in_a_row: Sequence[str], begins_word: bool = False) -> re.Pattern[str]:
    """A pattern that finds these tokens in sequence, with any blanks between them.

    `begins_word`: whether the last of them is only the beginning of a word. Anything may come
    before the first one, even the beginning of its word, because patterns that begin with a
    literal are fastest.
    """
    parts = [
        _ONE_LINE_END if token == LINE_END_TOKEN else re.escape(token) for token in in_a_row
    ]
    tail = r"(?!\w)" if is_word(in_a_row[-1]) and not begins_word else ""
    return re.compile(_BLANKS.join(parts) + tail)


@functools.lru_cache(maxsize=1024)
def suffix_pattern(*first_tokens: str) -> re.Pattern[str]:
    """A pattern that finds the first tokens of a suffix, and words that end with the first
    one."""
    return pattern_of(first_tokens)


class _Hashes(dict[str, int]):
    """Hashes that are the same in every process, unlike Python's own."""

    def __missing__(self, token: str) -> int:
        if len(self) >= _MAX_KNOWN_HASHES:
            self.clear()
        value = crc32(token.encode("utf-8", "surrogatepass"))
        self[token] = value
        return value


HASHES = _Hashes()
