"""Records a program on a pseudo-terminal, for the scripts beside this file.

A recording is what the program wrote, with its times (asciinema's format, version 2), and a
picture of screens that differ. Needs pyte.
"""

from __future__ import annotations

import fcntl
import html
import json
import os
import pty
import select
import struct
import termios
import time

import pyte

CELL_WIDTH, CELL_HEIGHT = 8.4, 18
NUM_SCREENS = 5
COLOURS = {"default": "#e0e2ea", "cyan": "#8cf8f7"}
"""Those that a terminal knows by name."""

Cells = list[list[pyte.screens.Char]]
"""What a screen shows, row by row."""


class Terminal:
    """A program on a pseudo-terminal, with everything it wrote and when."""

    def __init__(
        self,
        size: tuple[int, int],
        argv: list[str],
        directory: str,
        environment: dict[str, str],
    ) -> None:
        self.columns, self.lines = size
        self.events: list[tuple[float, str]] = []
        self.started = time.monotonic()
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.execvpe(argv[0], argv, {**os.environ, **environment})
        window = struct.pack("HHHH", self.lines, self.columns, 0, 0)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, window)

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def watch(self, for_s: float) -> None:
        """Take what the program writes for so long."""
        end = time.monotonic() + for_s
        while (left_s := end - time.monotonic()) > 0:
            ready, _, _ = select.select([self._fd], [], [], left_s)
            if ready:
                piece = os.read(self._fd, 1 << 16)
                self._stream.feed(piece)
                text = piece.decode(errors="replace")
                self.events.append((time.monotonic() - self.started, text))

    def until_shown(self, text: str, patience_s: float = 120.0) -> None:
        end = time.monotonic() + patience_s
        while text not in "\n".join(self.screen.display):
            if time.monotonic() > end:
                raise SystemExit(f"{text!r} never came:\n" + "\n".join(self.screen.display))
            self.watch(0.05)

    def until_gone(self, *texts: str) -> None:
        while any(text in "\n".join(self.screen.display) for text in texts):
            self.watch(0.05)

    def cells(self) -> Cells:
        rows = self.screen.buffer
        return [[rows[y][x] for x in range(self.columns)] for y in range(self.lines)]


def cast(title: str, size: tuple[int, int], events: list[tuple[float, str]]) -> str:
    """The recording as asciinema's format has it."""
    header = {
        "version": 2,
        "width": size[0],
        "height": size[1],
        "title": title,
        "env": {"TERM": "xterm-256color"},
    }
    lines = [header, *([round(at, 3), "o", text] for at, text in events)]
    return "".join(json.dumps(line) + "\n" for line in lines)


def svg(size: tuple[int, int], screens: list[Cells]) -> str:
    """Some of the screens one below the other, the first and the last among them."""
    last = len(screens) - 1
    chosen = sorted({round(last * index / (NUM_SCREENS - 1)) for index in range(NUM_SCREENS)})
    columns, lines = size
    shown = [screens[index][: lines - 1] for index in chosen]
    heights = [(_used(rows) + 1) * CELL_HEIGHT for rows in shown]
    width = columns * CELL_WIDTH + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" '
        f'height="{sum(heights):.0f}" font-family="monospace" font-size="14">',
        '<rect width="100%" height="100%" fill="#14161b"/>',
    ]
    top = 0.0
    for rows, height in zip(shown, heights, strict=True):
        if top > 0:
            y = top - CELL_HEIGHT / 4
            parts.append(f'<path d="M0 {y:.0f}H{width:.0f}" stroke="#4f5258"/>')
        for y, row in enumerate(rows[: _used(rows)]):
            parts.extend(_line(row, top + (y + 1) * CELL_HEIGHT))
        top += height
    return "\n".join([*parts, "</svg>\n"])


def _used(rows: Cells) -> int:
    """How many of the lines show something, without the status line."""
    return 1 + max(y for y, row in enumerate(rows[:-1]) if _text(row) not in ("", "~"))


def _text(row: list[pyte.screens.Char]) -> str:
    return "".join(cell.data for cell in row).rstrip()


def _look(cell: pyte.screens.Char) -> tuple[str, str, bool]:
    return cell.fg, cell.bg, cell.underscore


def _line(row: list[pyte.screens.Char], baseline: float) -> list[str]:
    """The elements of each run of cells of the same colours."""
    parts, start = [], 0
    for x in range(1, len(row) + 1):
        if x < len(row) and _look(row[x]) == _look(row[start]):
            continue
        text = _text(row[start:x])
        if text and row[start].bg != "default":
            parts.append(
                f'<rect x="{10 + start * CELL_WIDTH:.1f}" y="{baseline - 14:.0f}" '
                f'width="{(x - start) * CELL_WIDTH:.1f}" height="{CELL_HEIGHT}" '
                f'fill="#{row[start].bg}"/>'
            )
        if text and row[start].underscore:
            parts.append(
                f'<path d="M{10 + start * CELL_WIDTH:.1f} {baseline + 3:.0f}'
                f'h{len(text) * CELL_WIDTH:.1f}" stroke="#8cf8f7" stroke-dasharray="2"/>'
            )
        if text and _text(row) != "~":
            colour = COLOURS.get(row[start].fg, f"#{row[start].fg}")
            parts.append(
                f'<text x="{10 + start * CELL_WIDTH:.1f}" y="{baseline:.0f}" fill="{colour}" '
                f'textLength="{len(text) * CELL_WIDTH:.1f}" xml:space="preserve">'
                f"{html.escape(text)}</text>"
            )
        start = x
    return parts
