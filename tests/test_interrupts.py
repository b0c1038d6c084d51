"""Ctrl-C ends the command line without a word, wherever it comes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    os.name == "nt", reason="SIGINT cannot be sent to one process there"
)

INTERRUPTING = """
import os, signal, sys

# Tests that run in the background of a shell inherit that it is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
"""
AT_IMPORT = f"""{INTERRUPTING}
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPTED"]:
            interrupt()

sys.meta_path.insert(0, Finder())
"""
SCRIPT = "from dg_lsp.__main__ import main\nmain()"
MODULE = "import runpy\nrunpy.run_module('dg_lsp', run_name='__main__', alter_sys=True)"
FILL = ("infill", f"{__file__}:1:1", "--engine", "never")


def python(script: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
    ended = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize("way", [SCRIPT, MODULE])
@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("dg_lsp.interrupts", ["--version"]),
        ("dg_lsp.cli", ["--version"]),
        ("dg_lsp.cli.streams", ["--version"]),
        ("dg_lsp.cli.quick_infill", FILL),
        ("typer", ["--help"]),
        ("rich.console", ["--help"]),
        ("dg_lsp.cli.models", ["models"]),
        ("dg_lsp.cli.language_server", ["serve"]),
        ("pygls.server", ["serve"]),
    ],
)
def test_while_modules_are_imported(way: str, module: str, arguments: list[str]) -> None:
    status, out, err = python(AT_IMPORT + way, *arguments, INTERRUPTED=module)

    assert (status, out, err) == (130, "", "")


@pytest.mark.parametrize("module", ["torch", "torch._tensor", "transformers"])
def test_while_the_model_s_libraries_are_imported(module: str) -> None:
    status, out, err = python(AT_IMPORT + SCRIPT, *FILL, INTERRUPTED=module)

    assert (status, out, err) == (130, "", "")


def test_an_import_that_is_interrupted_leaves_the_cursor_visible(python_on_a_terminal) -> None:
    status, drawn, said = python_on_a_terminal(
        "-c", AT_IMPORT + SCRIPT, *FILL, INTERRUPTED="torch"
    )

    assert (status, said) == (130, b"")
    assert b"\x1b[?25l" in drawn
    assert drawn.endswith(b"\x1b[?25h")


def test_a_drawing_that_is_interrupted_while_it_begins_leaves_the_cursor_visible(
    python_on_a_terminal,
) -> None:
    beginning = """
from rich.live import Live

start = Live.start

def begin(self, refresh=False):
    start(self, refresh)
    interrupt()

Live.start = begin
"""
    status, drawn, said = python_on_a_terminal("-c", INTERRUPTING + beginning + SCRIPT, *FILL)

    assert (status, said) == (130, b"")
    assert b"\x1b[?25l" in drawn
    assert drawn.endswith(b"\x1b[?25h")


def test_where_python_would_print_and_forget_it() -> None:
    finalizer = """
from dg_lsp import interrupts
interrupts.handle()

class Finalized:
    def __del__(self):
        interrupt()
        self.is_done = True

Finalized()
print("went on")
"""
    assert python(INTERRUPTING + finalizer) == (130, "", "")


def test_while_the_interpreter_ends() -> None:
    late = "import atexit\natexit.register(interrupt)\n"
    status, out, err = python(INTERRUPTING + late + SCRIPT, "--version")

    assert (status, err) == (130, "")
    # All was printed before.
    assert out.startswith("dg-lsp ")


def test_what_runs_in_asyncio_is_cancelled() -> None:
    waiting = """
import asyncio
from dg_lsp import interrupts
interrupts.handle()

async def wait():
    asyncio.get_running_loop().call_later(0.01, interrupt)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        print("cancelled")
        await asyncio.sleep(0)
        print("cleaned up")
        raise

try:
    asyncio.run(wait())
except KeyboardInterrupt:
    print("interrupted")
"""
    assert python(INTERRUPTING + waiting) == (0, "cancelled\ncleaned up\ninterrupted\n", "")


def test_in_the_background_of_a_shell_it_stays_ignored() -> None:
    ignoring = "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    script = AT_IMPORT + ignoring + SCRIPT
    status, out, err = python(script, "--version", INTERRUPTED="dg_lsp.cli")

    assert (status, err) == (0, "")
    assert out.startswith("dg-lsp ")
