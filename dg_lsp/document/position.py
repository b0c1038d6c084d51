"""Places in a text: LINE:COLUMN, where the text may be cut, and what is open there.

Lines and columns count from 1, and columns count code points. A line ends at LF, CR LF or a
lone CR, and the empty line after a final line end counts, as it does in an editor.
Brackets, tags, strings and comments are told by their shape alone, alike in all languages.
Knows nothing of LSP positions and their client units, and parses no language.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

LINE_END = re.compile(r"\r\n|\r|\n")
NEAR_CHARS = 16_384
"""How far around a place lines and brackets are looked for."""

_JOINER = "\u200d"
_CLOSE = {")": "(", "]": "[", "}": "{"}
# A quote after a letter other than a string prefix is an apostrophe; after `&` or `<` it
# begins a lifetime.
_APOSTROPHE = r"'(?:(?<![\w&<]')|(?<=\b[bBfFrRuUL]')|(?<=\b[bBfFrR]{2}'))"
_STRING = (
    r'"(?:\\.|[^"\\\r\n])*"'
    rf"|{_APOSTROPHE}(?:\\.|[^'\\\r\n])*'"
    r"|`(?:\\.|[^`\\\r\n])*`"
)
# `//` behind an operand divides, and `#` before a word is a selector or a colour.
_LINE_COMMENT = (
    r"\#(?<!\S\#)(?=[\s!]|\Z)[^\r\n]*"
    r"|//(?m:(?<=^//)|(?<=\t//)|(?<=  //)|(?<=[;{},(]//)|(?<=[;{},(] //))[^\r\n]*"
)
# Every alternative begins with a plain character: the search then skips all others fast.
_TOKEN = re.compile(
    rf"""\"\"\"|'''|/\*(?s:.*?)\*/|{_LINE_COMMENT}|{_STRING}|\(|\)|\[|\]|\{{|\}}"""
    r"|</(?P<shut>[A-Za-z][\w.-]*)>|<(?P<tag>[A-Za-z][\w.-]*)(?=[\s>])(?![^<>]*/>)"
)


class PositionError(ValueError):
    """A line, column or offset that the text does not have; the message is one line."""


def offset_at(text: str, line: int, column: int) -> int:
    """The offset of a LINE:COLUMN; the column after the last character is its line's end."""
    if line < 1:
        raise PositionError(
            f"line {line} does not exist: lines count from 1 to {_line_count(text)}"
        )
    start = 0
    ends = LINE_END.finditer(text)
    for _ in range(line - 1):
        end = next(ends, None)
        if end is None:
            lines = _counted(_line_count(text), "line")
            raise PositionError(f"line {line} is outside the file, which has {lines}")
        start = end.end()
    end = next(ends, None)
    length = (end.start() if end else len(text)) - start
    if not 1 <= column <= length + 1:
        if length == 0:
            raise PositionError(
                f"column {column} is outside line {line}, which is empty (only column 1)"
            )
        characters = _counted(length, "character")
        raise PositionError(
            f"column {column} is outside line {line}, which has {characters} "
            f"(columns 1 to {length + 1})"
        )
    return start + column - 1


def line_column_at(text: str, offset: int) -> tuple[int, int]:
    """The LINE:COLUMN of an offset; between CR and LF it is that of the CR."""
    if not 0 <= offset <= len(text):
        raise PositionError(
            f"offset {offset} is outside the file, which has "
            f"{_counted(len(text), 'character')} (offsets 0 to {len(text)})"
        )
    if text[offset - 1 : offset + 1] == "\r\n":
        offset -= 1
    start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    return line_ends_before(text, start) + 1, offset - start + 1


def line_ends_before(text: str, offset: int) -> int:
    """How many lines end in `text[:offset]`; three searches, no matter how many lines."""
    return (
        text.count("\n", 0, offset)
        + text.count("\r", 0, offset)
        - text.count("\r\n", 0, offset)
    )


def may_cut(text: str, offset: int) -> bool:
    """Whether cutting at the offset leaves CR LF and what reads as one character whole."""
    if not 0 < offset < len(text):
        return True
    before, after = text[offset - 1], text[offset]
    if before in "\r\n" or (before < "\u0300" and after < "\u0300"):
        return not (before == "\r" and after == "\n")
    if _JOINER in (before, after) or "\U0001f3fb" <= after <= "\U0001f3ff":
        return False
    if _is_flag_half(before) and _is_flag_half(after):
        return False
    # Category M and not `combining()` alone: variation selectors have combining class 0.
    return not unicodedata.category(after).startswith("M")


def lines_of(text: str) -> list[str]:
    """The lines without their ends; the last one is empty where the text ends with an end."""
    return LINE_END.split(text)


def last_line(text: str) -> str:
    """What follows the last line end, as far as it is near."""
    near = text[-NEAR_CHARS:]
    return near[max(near.rfind("\n"), near.rfind("\r")) + 1 :]


def indent_of(line: str) -> str:
    """The blanks that a line begins with."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def indent_width(line: str) -> int:
    """The column that a line begins at, with a tab to every eighth."""
    return len(indent_of(line).expandtabs(8))


class Token(NamedTuple):
    """A bracket or a tag; a string or comment as a whole has no kind."""

    start: int
    end: int
    kind: str
    """The opening bracket, or `<` and the tag's name."""
    opens: bool


class Nesting(NamedTuple):
    """What a piece of text opens and closes."""

    pairs: list[tuple[int, int]]
    """`[start, end)` of all that is opened and closed in it, strings and comments too."""
    opened: list[Token]
    closed: list[Token]


def nesting(text: str, start: int = 0) -> Nesting:
    """Match the brackets and tags of a text from an offset on."""
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
    """The brackets, tags, strings and comments of a text from an offset on."""
    while match := _TOKEN.search(text, start):
        word, start = match[0], match.end()
        if word in ('"""', "'''"):
            end = text.find(word, start)
            if end >= 0:
                start = end + len(word)
                yield Token(match.start(), start, "", False)
        elif word in _CLOSE or word in "([{":
            yield Token(match.start(), start, _CLOSE.get(word, word), word not in _CLOSE)
        elif tag := match["tag"] or match["shut"]:
            yield Token(match.start(), start, "<" + tag, match["shut"] is None)
        else:
            yield Token(match.start(), start, "", False)


def pop_opener(opened: list[Token], kind: str) -> Token | None:
    """Take the last opener of a kind off; tags without an end and noise above it go along."""
    for index in range(len(opened) - 1, -1, -1):
        if opened[index].kind == kind:
            opener = opened[index]
            del opened[index:]
            return opener
    return None


def open_text(prefix: str) -> str:
    """What ends the string or comment that the prefix stops in; empty in code."""
    for quote in ('"""', "'''"):
        if prefix.count(quote) % 2:
            return quote
    line = re.sub(_STRING, "", last_line(prefix))
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


def brackets_around(prefix: str, suffix: str) -> tuple[Counter[str], Counter[str]]:
    """By kind, the brackets that the suffix fails to close, and those that it closes.

    A closing bracket at the start of a line closes nothing that is indented deeper.
    """
    near, after = prefix[-NEAR_CHARS:], suffix[:NEAR_CHARS]
    ending = open_text(prefix)
    begun = near.rfind("/*" if ending == "*/" else ending) if ending.strip() else -1
    opened = nesting(near if begun < 0 else near[:begun]).opened
    closed = nesting(after, open_text_end(suffix, ending)).closed
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
        # Else what is still open may well be closed further down.
        missing.update(opener.kind for opener in opened)
    return missing, Counter(token.kind for token in closed)


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _line_count(text: str) -> int:
    return line_ends_before(text, len(text)) + 1


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
