"""Finds what is open at a position in a text: brackets, tags, strings, comments.

They are recognized by their shape, in the same way for all languages, without parsing.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from dg_lsp.document.position import LINE_END, NEAR_CHARS, indent_width, last_line

_LONG_ENDINGS = {'"""': '"""', "'''": "'''", "/*": "*/"}
CLOSERS = {"(": ")", "[": "]", "{": "}"}
_CLOSE = {closer: opener for opener, closer in CLOSERS.items()}
# A quote after a letter other than a string prefix is an apostrophe; after `&` or `<` it
# begins a lifetime.
_APOSTROPHE = r"'(?:(?<![\w&<]')|(?<=\b[bBfFrRuUL]')|(?<=\b[bBfFrR]{2}'))"
# An escaped quote begins no string; otherwise each one in an unclosed string would make us read
# the rest of the line again.
_ESCAPE = r"\\[()\[\]{}\"'`\\]"
_STRING = (
    r'"(?:\\.|[^"\\\r\n])*"'
    rf"|{_APOSTROPHE}(?:\\.|[^'\\\r\n])*'"
    r"|`(?:\\.|[^`\\\r\n])*`"
)
# `//` after an operand divides, and `#` before a word is a selector or a colour.
_LINE_COMMENT = (
    r"\#(?<!\S\#)(?=[\s!]|\Z)[^\r\n]*"
    r"|//(?m:(?<=^//)|(?<=\t//)|(?<=  //)|(?<=[;{},(]//)|(?<=[;{},(] //))[^\r\n]*"
)
# A regular expression of JavaScript or Ruby, after something that cannot end an operand. Its
# classes are bounded; otherwise each slash before an unclosed `[` would make us read the rest
# of
# the line again.
_PATTERN = (
    r"/(?:(?<=\A/)|(?<=[(,=:\[!&|?{;]/)|(?<=[(,=:\[!&|?{;]\ /))(?![/*>\s])"
    r"(?:\\.|\[(?:\\.|[^\]\\\r\n]){0,99}\]|[^/\\\[\r\n])+/"
)
# Every alternative begins with a plain character, so that the search skips all others quickly.
_TOKEN = re.compile(
    rf"""\"\"\"|'''|/\*|{_LINE_COMMENT}|{_STRING}|{_PATTERN}|{_ESCAPE}|\(|\)|\[|\]|\{{|\}}"""
    r"|</(?P<shut>[A-Za-z][\w.-]*)>|<(?P<tag>[A-Za-z][\w.-]*)(?=[\s>])(?![^<>]*/>)"
)


class Token(NamedTuple):
    """A bracket or a tag; a whole string or comment has no kind."""

    start: int
    end: int
    kind: str
    """The opening bracket, or `<` and the tag's name."""
    opens: bool


class Nesting(NamedTuple):
    """What a piece of text opens and closes."""

    pairs: list[tuple[int, int]]
    """`[start, end)` of everything that is opened and closed in it, including strings and
    comments."""
    opened: list[Token]
    closed: list[Token]


def nesting(text: str, start: int = 0) -> Nesting:
    """Match the brackets and tags of a text, starting at an offset."""
    found = Nesting([], [], [])
    for token in tokens(text, start):
        if token.opens:
            found.opened.append(token)
        elif not token.kind:
            found.pairs.append((token.start, token.end))
        elif opener := pop_opener(found.opened, token.kind):
            found.pairs.append((opener.start, token.end))
        else:
            found.closed.append(token)
    return found


def tokens(text: str, start: int = 0) -> Iterator[Token]:
    """The brackets, tags, strings and comments of a text, starting at an offset."""
    unclosed: set[str] = set()
    while match := _TOKEN.search(text, start):
        word, start = match[0], match.end()
        if ending := _LONG_ENDINGS.get(word):
            end = -1 if word in unclosed else text.find(ending, start)
            if end >= 0:
                start = end + len(ending)
                yield Token(match.start(), start, "", False)
            else:
                unclosed.add(word)
        elif word in _CLOSE or word in "([{":
            yield Token(match.start(), start, _CLOSE.get(word, word), word not in _CLOSE)
        elif tag := match["tag"] or match["shut"]:
            yield Token(match.start(), start, "<" + tag, match["shut"] is None)
        elif word[0] != "\\":
            yield Token(match.start(), start, "", False)


def pop_opener(opened: list[Token], kind: str) -> Token | None:
    """Remove the last opener of a kind, with unclosed tags and other openers above it."""
    for index in range(len(opened) - 1, -1, -1):
        if opened[index].kind == kind:
            opener = opened[index]
            del opened[index:]
            return opener
    return None


def open_text(prefix: str) -> str:
    """The end of the string or comment that the prefix ends in; empty in code."""
    for quote in ('"""', "'''"):
        if prefix.count(quote) % 2:
            return quote
    line = re.sub(f"{_ESCAPE}|{_STRING}", "", last_line(prefix))
    if re.match(r"[ \t]*/?\*(?!.*\*/)", line):
        return "*/"
    if re.search(_LINE_COMMENT, line):
        return "\n"
    quoted = re.search(rf"[\"`]|{_APOSTROPHE}", line)
    return quoted[0] if quoted else ""


def open_text_end(text: str, ending: str) -> int:
    """Where code begins in a text that starts inside what `open_text` has found."""
    line_end = LINE_END.search(text)
    stop = line_end.start() if line_end and len(ending) == 1 else len(text)
    found = stop if ending == "\n" else text.find(ending, 0, stop)
    return stop if found < 0 or found == stop else found + len(ending)


def opened_in(prefix: str) -> tuple[Token, ...]:
    """The brackets and tags that are open at the end of a prefix, within a limited distance."""
    near, ending = prefix[-NEAR_CHARS:], open_text(prefix)
    begun = near.rfind("/*" if ending == "*/" else ending) if ending.strip() else -1
    return _opened(near if begun < 0 else near[:begun])


def brackets_around(prefix: str, suffix: str) -> tuple[Counter[str], Counter[str]]:
    """By kind, the number of brackets that the suffix does not close, and that it closes.

    A closing bracket at the start of a line closes nothing that is indented deeper.
    """
    near, after = prefix[-NEAR_CHARS:], suffix[:NEAR_CHARS]
    opened = [*opened_in(prefix)]
    closed = _closed(after, open_text_end(suffix, open_text(prefix)))
    missing: Counter[str] = Counter()
    for token in closed:
        if not opened:
            break
        line = last_line(after[: token.start])
        while opened and not line.strip() and LINE_END.search(after, 0, token.start):
            if indent_width(last_line(near[: opened[-1].end])) <= indent_width(line):
                break
            missing[opened.pop().kind] += 1
        if any(opener.kind == token.kind for opener in opened):
            while (opener := opened.pop()).kind != token.kind:
                missing[opener.kind] += 1
    if len(suffix) <= NEAR_CHARS:
        # Otherwise, brackets that are still open may be closed further down.
        missing.update(opener.kind for opener in opened)
    return missing, Counter(token.kind for token in closed)


# Cached, because every draft of a job is finished at the same position, and while the user
# types
# in a line, the text after it does not change.
@functools.lru_cache(maxsize=8)
def _opened(text: str) -> tuple[Token, ...]:
    return tuple(nesting(text).opened)


@functools.lru_cache(maxsize=8)
def _closed(text: str, start: int) -> tuple[Token, ...]:
    return tuple(nesting(text, start).closed)
