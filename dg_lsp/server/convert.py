"""Between LSP positions in client units and offsets in code points.

A line ends at LF, CR LF or CR and nowhere else. A position past the end of its line is that
end, one past the last line is the end of the text, and one inside a character is its start.
Knows nothing of documents and their versions.
"""

from __future__ import annotations

import enum
import re

from lsprotocol import types

from dg_lsp.document.position import LINE_END, line_ends_before

_SURROGATE = re.compile("[\ud800-\udfff]")


class Units(enum.Enum):
    """What the client counts characters in."""

    UTF8 = "utf-8"
    UTF16 = "utf-16"
    UTF32 = "utf-32"


def units_of(encoding: types.PositionEncodingKind | str | None) -> Units:
    """The units of a negotiated position encoding; UTF-16 is the protocol's default."""
    return Units(encoding) if encoding else Units.UTF16


def width(text: str, units: Units) -> int:
    """The length of a text in client units."""
    if units is Units.UTF32 or text.isascii():
        return len(text)
    if units is Units.UTF16:
        return len(text) + sum(character > "\uffff" for character in text)
    return len(text.encode("utf-8", "surrogatepass"))


def offset_at(text: str, position: types.Position, units: Units) -> int:
    """The offset of a position."""
    return _locate(text, position, units)[0]


def position_at(text: str, offset: int, units: Units) -> types.Position:
    """The position of an offset; between CR and LF it is that of the CR."""
    if text[offset - 1 : offset + 1] == "\r\n":
        offset -= 1
    start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    line = line_ends_before(text, start)
    return types.Position(line, width(text[start:offset], units))


def range_at(text: str, start: int, end: int, units: Units) -> types.Range:
    """The range of `[start, end)`."""
    first = position_at(text, start, units)
    return types.Range(first, first if start == end else position_at(text, end, units))


def offsets_of(text: str, span: types.Range, units: Units) -> tuple[int, int]:
    """Both offsets of a range, the smaller one first."""
    ends = offset_at(text, span.start, units), offset_at(text, span.end, units)
    return min(ends), max(ends)


def apply_change(text: str, span: types.Range | None, new: str, units: Units) -> str:
    """The text after an edit of the client; with no range it is replaced whole.

    A UTF-16 client may cut through a surrogate pair and join it again with a later edit.
    """
    if span is None:
        return _join_pairs(new)
    start, cut_start = _locate(text, span.start, units)
    end, cut_end = _locate(text, span.end, units)
    if (end, cut_end) < (start, cut_start):
        start, cut_start, end, cut_end = end, cut_end, start, cut_start
    left, right = text[:start], text[end:]
    if units is Units.UTF16 and cut_start:
        left += _halves(text[start])[0]
    if units is Units.UTF16 and cut_end:
        right = _halves(text[end])[1] + right[1:]
    return _join_pairs(left + new + right)


def without_surrogates(text: str) -> str:
    """The text with lone surrogates replaced, character by character: it can be encoded."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _locate(text: str, position: types.Position, units: Units) -> tuple[int, int]:
    """The offset, and how many units further into its character the position points."""
    bounds = _line_bounds(text, position.line)
    if bounds is None:
        return len(text), 0
    start, end = bounds
    line = text[start:end]
    if units is Units.UTF32 or line.isascii():
        return start + min(position.character, len(line)), 0
    used = 0
    for index, character in enumerate(line):
        size = width(character, units)
        if used + size > position.character:
            return start + index, position.character - used
        used += size
    return end, 0


def _line_bounds(text: str, line: int) -> tuple[int, int] | None:
    """Where a line starts and where it ends, without its line end."""
    if "\r" not in text or text.count("\r") == text.count("\r\n"):
        start = _nth_line_start(text, line)
        if start is None:
            return None
        end = text.find("\n", start)
        if end < 0:
            return start, len(text)
        return start, end - (text[end - 1 : end] == "\r")
    start = 0
    ends = LINE_END.finditer(text)
    for _ in range(line):
        found = next(ends, None)
        if found is None:
            return None
        start = found.end()
    found = next(ends, None)
    return start, found.start() if found else len(text)


def _nth_line_start(text: str, line: int) -> int | None:
    """The offset behind `line` line feeds; by halves, as counting is faster than finding."""
    if line == 0:
        return 0
    at, left = 0, line
    size = 1 << len(text).bit_length()
    while size > 1:
        size //= 2
        passed = text.count("\n", at, at + size)
        if passed < left:
            at += size
            left -= passed
    # The longest beginning with fewer line feeds ends before the one that was looked for.
    return at + 1 if at < len(text) else None


def _halves(character: str) -> tuple[str, str]:
    code = ord(character) - 0x10000
    return chr(0xD800 + (code >> 10)), chr(0xDC00 + (code & 0x3FF))


def _join_pairs(text: str) -> str:
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
