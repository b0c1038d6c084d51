"""Converts between LSP positions in client units and offsets in code points.

A line ends at LF, CR LF or CR and nowhere else. A position past the end of its line means that
end, one past the last line means the end of the text, and one inside a character means its
start.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from typing import NamedTuple

from lsprotocol import types

from dg_lsp.document.position import LINE_END, line_ends_before, without_surrogates

_LONE_CR = re.compile(r"\r(?!\n)")


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
        return len(text.encode("utf-16-le", "surrogatepass")) // 2
    return len(text.encode("utf-8", "surrogatepass"))


def offset_at(text: str, position: types.Position, units: Units) -> int:
    """The offset of a position."""
    return _locate(text, position, units)[0]


def position_at(text: str, offset: int, units: Units) -> types.Position:
    """The position of an offset; between CR and LF it is that of the CR."""
    if text[offset - 1 : offset + 1] == "\r\n":
        offset -= 1
    mark = _mark_of(text)
    start = text.rfind("\n", 0, offset) + 1
    if mark.has_lone_cr:
        start = max(start, text.rfind("\r", 0, offset) + 1)
        line = line_ends_before(text, start)
    elif start >= mark.start:
        line = mark.line + text.count("\n", mark.start, start)
    elif start >= mark.start // 2:
        line = mark.line - text.count("\n", start, mark.start)
    else:
        line = text.count("\n", 0, start)
    _set_mark(_Mark(text, mark.has_lone_cr, line, start))
    return types.Position(line, width(text[start:offset], units))


def range_at(text: str, start: int, end: int, units: Units) -> types.Range:
    """The range of `[start, end)`."""
    first = position_at(text, start, units)
    return types.Range(first, first if start == end else position_at(text, end, units))


def offsets_of(text: str, span: types.Range, units: Units) -> tuple[int, int]:
    """Both offsets of a range, the smaller one first."""
    ends = offset_at(text, span.start, units), offset_at(text, span.end, units)
    return min(ends), max(ends)


def is_deletion(changes: Sequence[types.TextDocumentContentChangeEvent]) -> bool:
    """Whether the changes of one edit only remove text."""
    return all(
        isinstance(change, types.TextDocumentContentChangePartial)
        and not change.text
        and change.range.start != change.range.end
        for change in changes
    )


def typed_text(changes: Sequence[types.TextDocumentContentChangeEvent]) -> str | None:
    """The text that an edit inserts, if it does nothing else."""
    match changes:
        case [types.TextDocumentContentChangePartial(range=span, text=text)] if text:
            return text if span.start == span.end else None
    return None


def apply_change(text: str, span: types.Range | None, new: str, units: Units) -> str:
    """The text after a client's edit; without a range, the edit replaces the whole text.

    A UTF-16 client may cut through a surrogate pair and join it again with a later edit.
    """
    if span is None:
        return _join_pairs(new)
    start, cut_start = _locate(text, span.start, units)
    end, cut_end = start, cut_start
    if span.end != span.start:
        end, cut_end = _locate(text, span.end, units)
    if (end, cut_end) < (start, cut_start):
        start, cut_start, end, cut_end = end, cut_end, start, cut_start
    if units is Units.UTF16 and cut_start:
        new = _halves(text[start])[0] + new
    if units is Units.UTF16 and cut_end:
        new, end = new + _halves(text[end])[1], end + 1
    # The halves of a pair can meet only where the texts meet.
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
    new = _join_pairs(before + new + after)
    changed = "".join((text[: start - len(before)], new, text[end + len(after) :]))
    _carry_mark(text, changed, start - len(before), new[: len(new) - len(after)])
    return changed


def _locate(text: str, position: types.Position, units: Units) -> tuple[int, int]:
    """The offset, and how many units further into its character the position points."""
    bounds = _line_bounds(text, position.line)
    if bounds is None:
        return len(text), 0
    start, end = bounds
    # A character has at least one unit, so that no more of them are passed than units.
    line = text[start : min(end, start + position.character + 1)]
    if units is Units.UTF32 or line.isascii():
        return min(start + position.character, end), 0
    inside = _inside_utf16 if units is Units.UTF16 else _inside_utf8
    passed, cut = inside(line, position.character)
    return start + passed, cut


def _inside_utf16(line: str, at: int) -> tuple[int, int]:
    """The characters before a place in UTF-16, and the units of the next one before it."""
    encoded = line.encode("utf-16-le", "surrogatepass")[: 2 * at + 2]
    cuts_pair = (
        len(encoded) > 2 * at > 0
        and encoded[2 * at - 1] & 0xFC == 0xD8
        and encoded[2 * at + 1] & 0xFC == 0xDC
    )
    whole = encoded[: 2 * (at - cuts_pair)]
    return len(whole.decode("utf-16-le", "surrogatepass")), int(cuts_pair)


def _inside_utf8(line: str, at: int) -> tuple[int, int]:
    """The characters before a place in UTF-8, and the units of the next one before it."""
    encoded = line.encode("utf-8", "surrogatepass")
    start = min(at, len(encoded))
    while start < len(encoded) and encoded[start] & 0xC0 == 0x80:
        start -= 1
    return len(encoded[:start].decode("utf-8", "surrogatepass")), min(at, len(encoded)) - start


def _line_bounds(text: str, line: int) -> tuple[int, int] | None:
    """Where a line starts and where it ends, without its line end."""
    mark = _mark_of(text)
    if not mark.has_lone_cr:
        start = _line_start(mark, line)
        if start is None:
            return None
        _set_mark(_Mark(text, False, line, start))
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


class _Mark(NamedTuple):
    """Cached for the text examined last: where one of its lines starts."""

    text: str
    has_lone_cr: bool
    """Whether a line may end at a CR without a LF, so that counting LFs is not enough."""
    line: int
    start: int


_NEAR_LINES = 256
_latest = _Mark("", False, 0, 0)


def _mark_of(text: str) -> _Mark:
    """A mark in the text, because while the user types, the next position is near the last one.

    Without it, every conversion would count the lines of a long document from its beginning.
    """
    if _latest.text is text:
        return _latest
    return _set_mark(_Mark(text, _LONE_CR.search(text) is not None, 0, 0))


def _set_mark(mark: _Mark) -> _Mark:
    global _latest
    _latest = mark
    return mark


def _carry_mark(text: str, changed: str, start: int, new: str) -> None:
    """Keep the mark of a text for what it was changed to: it has `new` at `start`."""
    if _latest.text is not text:
        return
    lone = _LONE_CR.search(changed[start : start + len(new) + 1])
    has_lone_cr = _latest.has_lone_cr or (lone is not None and lone.start() < len(new))
    line, at = (_latest.line, _latest.start) if _latest.start <= start else (0, 0)
    _set_mark(_Mark(changed, has_lone_cr, line, at))


def _line_start(mark: _Mark, line: int) -> int | None:
    """The offset after `line` line feeds, or `None` if there are fewer.

    Searches from the mark in growing steps, then by bisection: counting is faster than finding.
    """
    text, at, left = mark.text, mark.start, line - mark.line
    if -_NEAR_LINES <= left < 0:
        for _ in range(-left):
            at = text.rfind("\n", 0, at - 1) + 1
        return at
    if left < 0:
        at, left = 0, line
    if left == 0:
        return at
    size = 1024
    while at < len(text) and (passed := text.count("\n", at, at + size)) < left:
        at += size
        left -= passed
        size *= 2
    while size > 1:
        size //= 2
        passed = text.count("\n", at, at + size)
        if passed < left:
            at += size
            left -= passed
    # The longest beginning with fewer line feeds ends before the one searched for.
    return at + 1 if at < len(text) else None


def _halves(character: str) -> tuple[str, str]:
    code = ord(character) - 0x10000
    return chr(0xD800 + (code >> 10)), chr(0xDC00 + (code & 0x3FF))


def _join_pairs(text: str) -> str:
    if text == without_surrogates(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
