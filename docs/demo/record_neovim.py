"""Records a suggestion in a real Neovim while it is denoised, a rewrite while its strength is
turned, holes while they are filled, and the edits that follow a rename.

    .venv/bin/python -m pip install pyte
    .venv/bin/python docs/demo/record_neovim.py [NVIM [NAME]]

Starts Neovim with the plugin and the bundled model on a pseudo-terminal and opens a file.
In `neovim-denoising`, it types a space where a line ends too soon, and accepts the suggestion.
In `neovim-dial`, it rewrites two lines, turns the strength down and up, walks back through the
steps, and accepts one. In `neovim-holes`, it fills two holes together. In
`neovim-next-edit`, it renames a function, and accepts the edits that follow. What Neovim writes
goes to docs/NAME.cast (asciinema's format, version 2), and screens that differ to
docs/NAME.svg. A recording starts once the model is loaded; nothing is cut, sped up or drawn
afterwards, except the lines between the screens.
"""

from __future__ import annotations

import fcntl
import html
import json
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyte

ROOT = Path(__file__).parents[2]
CELL_WIDTH, CELL_HEIGHT = 8.4, 18
NUM_SCREENS = 5
INIT = f"""
vim.opt.runtimepath:prepend('{ROOT}/editors/neovim')
vim.cmd.runtime('plugin/dg_lsp.lua')
vim.o.termguicolors, vim.o.background, vim.o.swapfile = true, 'dark', false
vim.o.ruler, vim.o.showcmd, vim.o.laststatus = false, false, 2
vim.o.statusline = " %f%=%{{v:lua.require'dg_lsp'.statusline()}} "
vim.o.scrolloff = 0
vim.o.shortmess = vim.o.shortmess .. 'IF'
require('dg_lsp').setup({{
  cmd = {{ '{sys.executable}', '-m', 'dg_lsp', 'serve', '--device', 'cpu' }},
  settings = {{ draftIntervalMs = 0 }},
}})
"""
SAMPLE = Path(__file__).parent / "inventory.py"
TO_THE_GAP = "/def add\rzt/] =$\r:nohlsearch\rA"
TO_THE_SELECTION = "/def load\rzt:nohlsearch\rjVj"
STRENGTHS = ("60%", "50%", "40%", "50%", "60%", "70%", "80%")

CALLS = """def load(path):
    return open(path)


def main():
    first = load("a")
    return first, load("b")
"""
HOLES = """\
class Stack:
    def __init__(self):
        self.items = …

    def push(self, item):
        self.items.…(item)
"""

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


@dataclass(frozen=True)
class Scene:
    """What is recorded."""

    name: str
    title: str
    size: tuple[int, int]
    """Columns and lines of the screen."""
    play: Callable[[Terminal], list[Cells]]
    """Types, and returns screens to choose from."""
    file: tuple[str, str] = (SAMPLE.name, SAMPLE.read_text())
    """The name and the text of the file that is open."""


def complete(terminal: Terminal) -> list[Cells]:
    """The screens while the model writes, and the one after accepting."""
    terminal.type(TO_THE_GAP)
    terminal.watch(0.4)
    terminal.type(" ")
    screens: list[Cells] = []
    for _ in range(120):
        terminal.watch(0.03)
        now = terminal.cells()
        if not screens or now[:-2] != screens[-1][:-2]:
            screens.append(now)
    terminal.type("\t")
    terminal.watch(1.5)
    return [*screens, terminal.cells()]


def turn(terminal: Terminal) -> list[Cells]:
    """The rewrite at each strength that has a text of its own, a step, and what is accepted."""
    terminal.type(TO_THE_SELECTION)
    terminal.watch(0.6)
    terminal.type(":DgLsp rewrite\r")
    screens: dict[str, Cells] = {}
    last = STRENGTHS[0]
    for strength in STRENGTHS:
        if strength != last:
            terminal.type("+" if int(strength[:-1]) > int(last[:-1]) else "-")
        terminal.until_shown(f"- {strength} +")
        terminal.until_gone(" of at most ", "writing,")
        terminal.watch(1.0)
        screens[strength] = terminal.cells()
        last = strength
    terminal.type("((")
    terminal.watch(1.5)
    step = terminal.cells()
    terminal.type("\r")
    terminal.watch(1.5)
    return [screens["40%"], screens["60%"], screens["80%"], step, terminal.cells()]


def fill(terminal: Terminal) -> list[Cells]:
    """The screens while two holes are filled together, and the one after accepting."""
    terminal.type("/self.items\r:nohlsearch\r:DgLsp holes\r")
    terminal.until_shown("writing,")
    screens = [terminal.cells()]
    while "accept" not in "\n".join(terminal.screen.display) or any(
        text in "\n".join(terminal.screen.display) for text in (" of at most ", "writing,")
    ):
        terminal.watch(0.03)
        if terminal.cells()[:-2] != screens[-1][:-2]:
            screens.append(terminal.cells())
    terminal.watch(1.0)
    screens.append(terminal.cells())
    terminal.type("\r")
    terminal.watch(1.5)
    return [*screens, terminal.cells()]


def rename(terminal: Terminal) -> list[Cells]:
    """The screen after the rename, and after each key that goes to an edit or accepts it."""
    terminal.type("gg0w")
    terminal.watch(0.4)
    for key in "cwread\x1b":
        terminal.type(key)
        terminal.watch(0.15)
    terminal.until_shown("line 6")
    terminal.watch(0.5)
    screens = [terminal.cells()]
    for _ in range(4):
        terminal.type("\x1bn")
        terminal.watch(1.2)
        screens.append(terminal.cells())
    return screens


SCENES = (
    Scene(
        "neovim-denoising",
        "dg-lsp: a suggestion in Neovim, by the bundled model on a CPU",
        (68, 9),
        complete,
    ),
    Scene(
        "neovim-dial",
        "dg-lsp: the strength of a rewrite in Neovim, by the bundled model on a CPU",
        (72, 13),
        turn,
    ),
    Scene(
        "neovim-holes",
        "dg-lsp: two holes are filled together in Neovim, by the bundled model on a CPU",
        (68, 17),
        fill,
        ("stack.py", HOLES),
    ),
    Scene(
        "neovim-next-edit",
        "dg-lsp: next edits in Neovim, which need no model",
        (68, 11),
        rename,
        ("cart.py", CALLS),
    ),
)


def record(neovim: str, scene: Scene) -> tuple[list[tuple[float, str]], list[Cells]]:
    """What was written, from the first key on, and screens of the scene."""
    directory = tempfile.mkdtemp(prefix="dg-lsp-recording-")
    for name in ("run", ".git"):
        Path(directory, name).mkdir(mode=0o700)
    Path(directory, "init.lua").write_text(INIT)
    name, text = scene.file
    Path(directory, name).write_text(text)
    environment = {
        "TERM": "xterm-256color",
        "DG_LSP_RUNTIME_DIR": f"{directory}/run",
        "DG_LSP_LOG_DIR": f"{directory}/log",
        **{f"XDG_{kind}_HOME": f"{directory}/{kind}" for kind in ("CONFIG", "STATE", "DATA")},
    }
    argv = [neovim, "--clean", "-u", "init.lua", name]
    terminal = Terminal(scene.size, argv, directory, environment)
    try:
        terminal.until_shown("dg-lsp: bundled")
        # What the plugin says about this model, once.
        terminal.until_shown("demonstration")
        terminal.type("\r")
        # The first job after loading is slower; this one warms up and is thrown away.
        terminal.type("ggO")
        terminal.watch(4)
        terminal.type("x\x1b")
        # A terminal takes Escape and a letter for one key.
        terminal.watch(0.5)
        terminal.type("u")
        terminal.watch(1)
        num_before, before_s = len(terminal.events), time.monotonic() - terminal.started
        first = "\x1b[2J\x1b[H" + "\r\n".join(terminal.screen.display)
        screens = scene.play(terminal)
        written = [(at - before_s, text) for at, text in terminal.events[num_before:]]
        terminal.type("\x1b:qall!\r")
        terminal.watch(0.5)
        return [(0.0, first), *written], screens
    finally:
        stop = [sys.executable, "-m", "dg_lsp", "engine", "stop"]
        subprocess.run(stop, env={**os.environ, **environment}, check=True, capture_output=True)
        # If the scene failed, the editor is still open.
        os.kill(terminal.pid, signal.SIGKILL)
        os.waitpid(terminal.pid, 0)
        shutil.rmtree(directory)


def cast(scene: Scene, events: list[tuple[float, str]]) -> str:
    header = {
        "version": 2,
        "width": scene.size[0],
        "height": scene.size[1],
        "title": scene.title,
        "env": {"TERM": "xterm-256color"},
    }
    lines = [header, *([round(at, 3), "o", text] for at, text in events)]
    return "".join(json.dumps(line) + "\n" for line in lines)


def svg(scene: Scene, screens: list[Cells]) -> str:
    """Some of the screens one below the other, the first and the last among them."""
    last = len(screens) - 1
    chosen = sorted({round(last * index / (NUM_SCREENS - 1)) for index in range(NUM_SCREENS)})
    columns, lines = scene.size
    shown = [screens[index][: lines - 1] for index in chosen]
    used = 1 + max(
        y for rows in shown for y, row in enumerate(rows[:-1]) if _text(row) not in ("", "~")
    )
    height = (used + 1) * CELL_HEIGHT
    width = columns * CELL_WIDTH + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" '
        f'height="{height * len(shown):.0f}" font-family="monospace" font-size="14">',
        '<rect width="100%" height="100%" fill="#14161b"/>',
    ]
    for number, rows in enumerate(shown):
        if number > 0:
            y = number * height - CELL_HEIGHT / 4
            parts.append(f'<path d="M0 {y:.0f}H{width:.0f}" stroke="#4f5258"/>')
        for y, row in enumerate(rows[:used]):
            baseline = number * height + (y + 1) * CELL_HEIGHT
            parts.extend(_line(row, baseline))
    return "\n".join([*parts, "</svg>\n"])


def _text(row: list[pyte.screens.Char]) -> str:
    return "".join(cell.data for cell in row).rstrip()


def _line(row: list[pyte.screens.Char], baseline: float) -> list[str]:
    """The elements of each run of cells of the same colours."""
    parts, start = [], 0
    for x in range(1, len(row) + 1):
        if x < len(row) and (row[x].fg, row[x].bg) == (row[start].fg, row[start].bg):
            continue
        text = _text(row[start:x])
        if text and row[start].bg != "default":
            parts.append(
                f'<rect x="{10 + start * CELL_WIDTH:.1f}" y="{baseline - 14:.0f}" '
                f'width="{(x - start) * CELL_WIDTH:.1f}" height="{CELL_HEIGHT}" '
                f'fill="#{row[start].bg}"/>'
            )
        if text and _text(row) != "~":
            colour = "#e0e2ea" if row[start].fg == "default" else f"#{row[start].fg}"
            parts.append(
                f'<text x="{10 + start * CELL_WIDTH:.1f}" y="{baseline:.0f}" fill="{colour}" '
                f'textLength="{len(text) * CELL_WIDTH:.1f}" xml:space="preserve">'
                f"{html.escape(text)}</text>"
            )
        start = x
    return parts


def main() -> None:
    neovim = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / ".venv/neovim/nvim")
    for scene in SCENES:
        if len(sys.argv) > 2 and scene.name not in sys.argv[2:]:
            continue
        events, screens = record(neovim, scene)
        (ROOT / f"docs/{scene.name}.cast").write_text(cast(scene, events))
        (ROOT / f"docs/{scene.name}.svg").write_text(svg(scene, screens))
        print(f"{scene.name}: {len(events)} writes in {events[-1][0]:.1f} s")


if __name__ == "__main__":
    main()
