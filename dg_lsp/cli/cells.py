"""Lays characters out as terminals do: their width, wrapping, and control characters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rich.cells import cell_len
from rich.style import Style

TAB_CELLS = 4

Line = list[tuple[str, Style]]
"""Characters of one line, each with its style."""


class Cell(NamedTuple):
    """A character together with everything that combines with it; it must not be split."""

    text: str
    width: int
    style: Style


CUT = Cell("…", 1, Style(dim=True))

# A terminal obeys control characters and reorders text at bidirectional marks; code, and a
# model's output, may contain both.
VISIBLE = (
    {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"}
    | {0x7F: 0x2421}
    | dict.fromkeys([*range(0x80, 0xA0), 0x61C, 0x200E, 0x200F, 0xFEFF], 0xFFFD)
    | dict.fromkeys([*range(0x2028, 0x202F), *range(0x2066, 0x206A)], 0xFFFD)
)


def split_lines(styled: Line) -> list[Line]:
    """The lines of a text, without their line ends of any kind."""
    lines: list[Line] = [[]]
    previous = ""
    for char, style in styled:
        if char not in "\r\n":
            lines[-1].append((char, style))
        elif previous + char != "\r\n":
            lines.append([])
        previous = char
    return lines


def cells_of(line: Line, column: int) -> list[Cell]:
    """Characters as a terminal lays them out, starting at `column`."""
    cells: list[Cell] = []
    for char, style in line:
        text = char.translate(VISIBLE)
        if char == "\t":
            text = " " * (TAB_CELLS - column % TAB_CELLS)
        elif cells and (cells[-1].text.endswith("\u200d") or not cell_len(text)):
            # More marks on one character would only slow down drawing.
            text = (cells[-1].text + text)[:16]
            style = cells[-1].style
            column -= cells.pop().width
        cells.append(Cell(text, cell_len(text), style))
        column += cells[-1].width
    return cells


def width_of(cells: Iterable[Cell]) -> int:
    """Number of columns that the cells occupy."""
    return sum(cell.width for cell in cells)


def fitting(cells: Iterable[Cell], width: int) -> list[Cell]:
    """As many of the first cells as fit."""
    taken: list[Cell] = []
    for cell in cells:
        width -= cell.width
        if width < 0:
            break
        taken.append(cell)
    return taken


def wrapped(cells: list[Cell], tail: list[Cell], width: int) -> list[list[Cell]]:
    """Lay `cells` out over as many rows as they need, and what fits of `tail` after them."""
    rows: list[list[Cell]] = [[]]
    room = width
    for cell in cells:
        if cell.width > room:
            rows.append([])
            room = width
        rows[-1].append(cell)
        room -= cell.width
    shown = fitting(tail, room)
    if len(shown) < len(tail):
        shown = [*fitting(tail, room - 1), CUT] if room else []
    rows[-1] += shown
    return rows
