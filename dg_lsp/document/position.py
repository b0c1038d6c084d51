"""Positions in a text: LINE:COLUMN, possible cuts, lines and their indentation.

Lines and columns count from 1, and columns count code points. A line ends at LF, CR LF or a
lone CR, and the empty line after a final line end counts, as it does in an editor.
"""

from __future__ import annotations

import re
import unicodedata
from typing import AnyStr

from dg_lsp.reason import CodedError, ReasonCode

LINE_END = re.compile(r"\r\n|\r|\n")
NEAR_CHARS = 16_384
"""How far around a position lines and brackets are searched."""

_JOINER = "\u200d"
_SURROGATE = re.compile("[\ud800-\udfff]")


class PositionError(CodedError, ValueError):
    """A line, column or offset that the text does not have; the message is one line."""

    code = ReasonCode.BAD_POSITION


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
    """Number of lines that end in `text[:offset]`; three searches, for any number of lines."""
    feeds = text.count("\n", 0, offset)
    # By far the most common, and searching for one character is fast.
    if text.find("\r", 0, offset) < 0:
        return feeds
    return feeds + text.count("\r", 0, offset) - text.count("\r\n", 0, offset)


def may_cut(text: str, offset: int) -> bool:
    """Whether a cut at the offset splits neither CR LF nor a character with its marks."""
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


def without_surrogates(text: str) -> str:
    """The text with lone surrogates replaced one by one, so that it can be encoded."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def lines_of(text: str) -> list[str]:
    """The lines without their ends; the last one is empty if the text ends with a line end."""
    return LINE_END.split(text)


def last_line(text: str) -> str:
    """The text after the last line end, within a limited distance."""
    near = text[-NEAR_CHARS:]
    return near[max(near.rfind("\n"), near.rfind("\r")) + 1 :]


def indent_of(line: str) -> str:
    """The blanks that a line begins with."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def indent_width(line: str) -> int:
    """The column that a line begins at, with a tab to every eighth."""
    return len(indent_of(line).expandtabs(8))


def common_length(left: AnyStr, right: AnyStr, most: int) -> int:
    """Length of the common beginning; by bisection, because comparing slices is fast."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def common_end(left: AnyStr, right: AnyStr, most: int) -> int:
    """Length of the common end."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if (
            left[len(left) - middle : len(left) - low]
            == right[len(right) - middle : len(right) - low]
        ):
            low = middle
        else:
            high = middle - 1
    return low


def common_edges(old: AnyStr, new: AnyStr) -> tuple[int, int]:
    """Lengths of the common beginning and, after it, of the common end of two texts."""
    most = min(len(old), len(new))
    start = common_length(old, new, most)
    return start, common_end(old, new, most - start)


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _line_count(text: str) -> int:
    return line_ends_before(text, len(text)) + 1


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
