"""Records a suggestion in a real Neovim while it is denoised, a rewrite while its strength is
turned, holes while they are filled, the edits that follow a rename, unsure parts, alternatives
of a word, and a word that stays.

    .venv/bin/python -m pip install pyte
    .venv/bin/python docs/demo/record_neovim.py [NVIM [NAME]]

Starts Neovim with the plugin and the bundled model on a pseudo-terminal and opens a file.
In `neovim-denoising`, it types a space where a line ends too soon, and accepts the suggestion.
In `neovim-dial`, it rewrites two lines, turns the strength down and up, walks back through the
steps, and accepts one. In `neovim-holes`, it fills two holes together. In
`neovim-next-edit`, it renames a function, and accepts the edits that follow. In
`neovim-doubt`, it accepts a suggestion of which the model is unsure; in `neovim-alternatives`,
it takes another word from a list; and in `neovim-keep`, it corrects a word of a suggestion and
has the rest written around it.

What Neovim writes goes to docs/NAME.cast (asciinema's format, version 2), and screens that
differ to docs/NAME.svg. A recording starts once the model is loaded; nothing is cut, sped up or
drawn afterwards, except the lines between the screens.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recording import Cells, Terminal, cast, svg

ROOT = Path(__file__).parents[2]
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
  doubt = true,
}})
vim.keymap.set('n', '<leader>k', '<Cmd>DgLsp keep<CR>')
vim.keymap.set('n', '<leader>w', '<Cmd>DgLsp alternatives<CR>')
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

NUMBER = """\
def number(text):
    try:
        return int(text)
    except:
        return None
"""
UNSURE = """\
class Timer:
    def __init__(self, limit=None):
        self.limit = limit
        self.time = 0

    def reset(self):
        self.time =
"""
TIMER = """\
class Timer:
    def __init__(self, limit=None):
        self.limit = limit
        self.time = 0

    def is_over(self):
        if self.limit
            return self.time > self.limit
        return False
"""


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


def doubt(terminal: Terminal) -> list[Cells]:
    """A suggestion, its unsure part once it is accepted, and that part edited."""
    terminal.type("GA ")
    terminal.watch(4.0)
    screens = [terminal.cells()]
    terminal.type("\t")
    terminal.watch(0.7)
    terminal.type("\x1b")
    terminal.watch(1.5)
    return [*screens, terminal.cells()]


def choose(terminal: Terminal) -> list[Cells]:
    """The suggestion, the list of alternatives for a word of it, and the chosen one."""
    terminal.type("/except/e\r:nohlsearch\ra ")
    terminal.until_shown("except ImportError")
    terminal.watch(1.0)
    screens = [terminal.cells()]
    terminal.type("\t")
    terminal.watch(0.7)
    terminal.type("\x1b")
    terminal.watch(1.0)
    terminal.type("\\w")
    terminal.until_shown("Instead of")
    terminal.watch(2.0)
    screens.append(terminal.cells())
    terminal.type("2\r")
    terminal.watch(1.5)
    return [*screens, terminal.cells()]


def keep(terminal: Terminal) -> list[Cells]:
    """The suggestion, the accepted text with another word in it, what is written around that
    word, and that accepted."""
    terminal.type("/if self.limit\r:nohlsearch\rA ")
    terminal.until_shown("limit < 0:")
    terminal.watch(1.0)
    screens = [terminal.cells()]
    terminal.type("\t")
    terminal.watch(0.7)
    terminal.type("\x1b")
    terminal.watch(0.5)
    for key in "F<cwis not":
        terminal.type(key)
        terminal.watch(0.1)
    terminal.type("\x1b")
    terminal.watch(1.0)
    screens.append(terminal.cells())
    terminal.type("\\k")
    terminal.until_shown("is not None")
    terminal.until_gone("writing,")
    terminal.watch(1.5)
    screens.append(terminal.cells())
    terminal.type("\r")
    terminal.watch(1.5)
    return [*screens, terminal.cells()]


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
        ("undo.py", HOLES),
    ),
    Scene(
        "neovim-next-edit",
        "dg-lsp: next edits in Neovim, which need no model",
        (68, 11),
        rename,
        ("cart.py", CALLS),
    ),
    Scene(
        "neovim-alternatives",
        "dg-lsp: another word from a list in Neovim, by the bundled model on a CPU",
        (60, 16),
        choose,
        ("number.py", NUMBER),
    ),
    Scene(
        "neovim-doubt",
        "dg-lsp: what the model is unsure of is underlined in Neovim",
        (60, 9),
        doubt,
        ("timer.py", UNSURE),
    ),
    Scene(
        "neovim-keep",
        "dg-lsp: a word of a suggestion stays in Neovim, by the bundled model on a CPU",
        (60, 14),
        keep,
        ("timer.py", TIMER),
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


def main() -> None:
    neovim = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / ".venv/neovim/nvim")
    for scene in SCENES:
        if len(sys.argv) > 2 and scene.name not in sys.argv[2:]:
            continue
        events, screens = record(neovim, scene)
        (ROOT / f"docs/{scene.name}.cast").write_text(cast(scene.title, scene.size, events))
        (ROOT / f"docs/{scene.name}.svg").write_text(svg(scene.size, screens))
        print(f"{scene.name}: {len(events)} writes in {events[-1][0]:.1f} s")


if __name__ == "__main__":
    main()
