"""Reads the file that `dg-lsp infill` fills, and finds the span or the holes in it.

Another `read` is for a process that was sent what the file or standard input holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dg_lsp.cli import ArgumentError
from dg_lsp.cli.streams import read_stdin
from dg_lsp.document.holes import HolesError, checked, find_marks, held_by, within
from dg_lsp.document.position import offset_at
from dg_lsp.document.source import (
    MAX_SOURCE_BYTES,
    Source,
    language_of,
    newline_of,
    read_bytes,
    source_of,
)
from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.job import Span


@dataclass(frozen=True, slots=True)
class OpenSpan:
    """The file and the span to fill."""

    path: str
    """The path as the user wrote it."""
    source: Source
    start: int
    end: int
    holes: tuple[Span, ...] = ()
    """Of the file, if it is filled at several places."""

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    @property
    def site(self) -> InsertionSite:
        return InsertionSite(
            uri=self.path,
            path=self.path,
            language=language_of(self.source.path),
            newline=self.source.newline,
            prefix=self.source.text[: self.start],
            suffix=self.source.text[self.end :],
            replaced=self.text or None,
            holes=within(self.holes) if self.holes else (),
            held=held_by(self.source.text, self.holes),
        )


Read = Callable[[Path | None], bytes]
"""Reads a file, or standard input if there is no path."""


def read_here(path: Path | None) -> bytes:
    if path is not None:
        return read_bytes(path)
    data = read_stdin(MAX_SOURCE_BYTES + 1)
    if len(data) > MAX_SOURCE_BYTES:
        raise ArgumentError(f"standard input has more than {MAX_SOURCE_BYTES} bytes")
    return data


def open_span(site: str, to: str | None, read: Read = read_here) -> OpenSpan:
    path, line, column = _parse_place(site)
    to_line, to_column = (line, column) if to is None else _parse_end(to)
    if (to_line, to_column) < (line, column):
        ends = f"{to_line}:{to_column}, before its start {line}:{column}"
        raise ArgumentError(f"the selection ends at {ends}")
    source = source_of(Path(path), read(Path(path)))
    start = offset_at(source.text, line, column)
    return OpenSpan(path, source, start, offset_at(source.text, to_line, to_column))


def open_holes(path: str, mark: str, name: str, read: Read = read_here) -> OpenSpan:
    """All marks of a file, or of standard input, which gets a name."""
    if path == "-":
        source = _source_of_stdin(name, read(None))
    else:
        source = source_of(Path(path), read(Path(path)))
    marked = find_marks(source.text, mark)
    if not marked:
        where = "standard input" if path == "-" else path
        raise HolesError(f"there is no {mark} in {where}; write one where something is missing")
    holes = checked(source.text, marked)
    shown_as = name if path == "-" else path
    return OpenSpan(shown_as, source, holes[0].start, holes[-1].end, holes)


def _source_of_stdin(name: str, data: bytes) -> Source:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ArgumentError(f"standard input is not UTF-8: {error.reason}") from error
    return Source(Path(name), text, newline_of(text), "utf-8", had_bom=False)


def _parse_place(site: str) -> tuple[str, int, int]:
    """Read `FILE:LINE:COLUMN` from the right, because file names may contain colons."""
    path, *numbers = site.rsplit(":", 2)
    if len(numbers) < 2 or not path:
        raise ArgumentError(f"{site!r} is not FILE:LINE:COLUMN")
    return path, _counted("line", numbers[0], site), _counted("column", numbers[1], site)


def _parse_end(end: str) -> tuple[int, int]:
    line, colon, column = end.partition(":")
    if not colon:
        raise ArgumentError(f"{end!r} after --to is not LINE:COLUMN")
    return _counted("line", line, end), _counted("column", column, end)


def _counted(name: str, digits: str, whole: str) -> int:
    # Nine digits are more than any file has, and few enough for int() to accept.
    if not re.fullmatch("[0-9]{1,9}", digits):
        raise ArgumentError(f"{digits!r} in {whole!r} is not a {name} number")
    if int(digits) == 0:
        raise ArgumentError(f"the {name} in {whole!r} is 0; lines and columns count from 1")
    return int(digits)
