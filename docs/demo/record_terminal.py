"""Records `dg-lsp infill --hole` on a terminal, where the holes of a file are filled together.

    .venv/bin/python -m pip install pyte
    .venv/bin/python docs/demo/record_terminal.py

What the command writes goes to docs/terminal-holes.cast, and screens that differ to
docs/terminal-holes.svg. Nothing is cut, sped up or drawn afterwards, except the lines between
the screens.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from recording import Cells, Terminal, cast, svg

ROOT = Path(__file__).parents[2]
NAME, SIZE = "terminal-holes", (68, 16)
TITLE = "dg-lsp: two holes are filled together on a terminal, by the bundled model on a CPU"
FILE = "undo.py"
TEXT = """\
class Stack:
    def __init__(self):
        self.items = …

    def push(self, item):
        self.items.…(item)
"""


def play(terminal: Terminal) -> list[Cells]:
    """The screens that differ while the holes are filled."""
    screens: list[Cells] = []
    while "for trying things out" not in "\n".join(terminal.screen.display):
        terminal.watch(0.03)
        shown = "\n".join(terminal.screen.display)
        if "step " in shown and terminal.cells() not in screens:
            screens.append(terminal.cells())
    terminal.watch(1.0)
    return [*screens, terminal.cells()]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="dg-lsp-recording-") as directory:
        Path(directory, "run").mkdir(mode=0o700)
        Path(directory, FILE).write_text(TEXT)
        environment = {
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "DG_LSP_RUNTIME_DIR": f"{directory}/run",
            "DG_LSP_LOG_DIR": f"{directory}/log",
        }
        program = [sys.executable, "-m", "dg_lsp"]
        infill = [*program, "infill", FILE, "--hole", "--device", "cpu"]
        terminal = Terminal(SIZE, infill, directory, environment)
        screens = play(terminal)
        os.waitpid(terminal.pid, 0)
    (ROOT / f"docs/{NAME}.cast").write_text(cast(TITLE, SIZE, terminal.events))
    (ROOT / f"docs/{NAME}.svg").write_text(svg(SIZE, screens))
    print(f"{NAME}: {len(terminal.events)} writes in {terminal.events[-1][0]:.1f} s")


if __name__ == "__main__":
    main()
