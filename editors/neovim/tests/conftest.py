"""A real Neovim, driven with real keys over its own protocol, and servers for it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import psutil
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PLUGIN = HERE.parent
PATIENCE_S = 30.0
POLL_S = 0.02

GHOST, DRAFT, REWRITE = "nvim.lsp.inline_completion", "dg_lsp.draft", "dg_lsp.rewrite"
BUNDLED = [sys.executable, "-m", "dg_lsp", "serve", "--device", "cpu"]
"""The real server with the bundled model."""
UNSURE = {"minConfidence": 0}
"""What the bundled model writes is shown, however sure it is of it."""
WITHOUT_PLUGIN = """
vim.lsp.config('dg_lsp', { cmd = CMD, init_options = SETTINGS })
vim.lsp.enable('dg_lsp')
vim.lsp.inline_completion.enable()
vim.keymap.set('i', '<Tab>', function()
  return vim.lsp.inline_completion.get() and '' or '<Tab>'
end, { expr = true })
"""
WITH_PLUGIN = """
vim.opt.runtimepath:prepend(PLUGIN)
vim.cmd.runtime('plugin/dg_lsp.lua')
local options = vim.tbl_extend('force', { cmd = CMD, settings = SETTINGS }, OPTIONS)
require('dg_lsp').setup(options)
"""


def neovim(variable: str = "NVIM", directory: str = "neovim") -> str:
    found = os.environ.get(variable) or str(ROOT / ".venv" / directory / "nvim")
    if not Path(found).is_file():
        pytest.exit(f"there is no {found}; `make test-neovim` fetches it", 2)
    return found


def scripted(**options: Any) -> list[str]:
    """The command of a server whose engine follows a script."""
    return [sys.executable, str(ROOT / "tests/e2e/serve_scripted.py"), json.dumps(options)]


class NeovimError(Exception):
    """What Neovim answered to a call that failed."""


class Neovim:
    """A Neovim process, spoken to over its pipes: calls and no more.

    Not pynvim: its greenlets leave CPython 3.11 with a wrong depth of recursion, and pytest
    dies of that.
    """

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **environment},
        )
        self._ids = itertools.count()
        self._answers: queue.Queue[list[Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def call(self, method: str, *arguments: Any) -> Any:
        pipe, number = self._process.stdin, next(self._ids)
        assert pipe is not None
        pipe.write(msgpack.packb([0, number, method, list(arguments)]))
        pipe.flush()
        answer = self._answers.get(timeout=PATIENCE_S)
        if answer is None:
            raise NeovimError("Neovim has ended")
        assert answer[1] == number
        if answer[2] is not None:
            raise NeovimError(answer[2][1])
        return answer[3]

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self._process.pid).children(recursive=True)

    def close(self) -> None:
        with contextlib.suppress(NeovimError, OSError):
            self.call("nvim_command", "qall!")
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        unpacker = msgpack.Unpacker(unicode_errors="surrogateescape")
        while piece := os.read(pipe.fileno(), 1 << 16):
            unpacker.feed(piece)
            for message in unpacker:
                # All else are notifications of what is drawn.
                if message[0] == 1:
                    self._answers.put(message)
        self._answers.put(None)


class Editor:
    """One Neovim; everything is said and asked over its API."""

    def __init__(
        self,
        directory: Path,
        program: str,
        environment: dict[str, str],
        init: str | None = None,
        packages: dict[str, Path] | None = None,
    ) -> None:
        self.directory = directory
        for name in ("config", "data", "state", "cache"):
            folder = directory / f".{name}"
            environment.setdefault(f"XDG_{name.upper()}_HOME", str(folder))
        self._configure(Path(environment["XDG_CONFIG_HOME"]), init)
        self._link(Path(environment["XDG_DATA_HOME"]), packages or {})
        arguments = ["--embed", "--headless", "-n", *(["--clean"] if init is None else [])]
        self.nvim = Neovim([program, *arguments], environment)
        # Without a screen nothing is drawn, and nothing can be looked at.
        self.nvim.call("nvim_ui_attach", 80, 24, {"rgb": True, "ext_linegrid": True})
        # Messages are asked for and must not wait for a key.
        self.lua("pcall(vim.cmd.set, 'messagesopt=wait:0,history:500')")
        self.command(f"cd {directory}")

    @staticmethod
    def _configure(config: Path, init: str | None) -> None:
        if init is not None:
            (config / "nvim").mkdir(parents=True, exist_ok=True)
            (config / "nvim/init.lua").write_text(init)

    @staticmethod
    def _link(data: Path, packages: dict[str, Path]) -> None:
        for name, package in packages.items():
            link = data / "nvim/site/pack/test/opt" / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(package)

    def lua(self, code: str, *arguments: Any) -> Any:
        return self.nvim.call("nvim_exec_lua", code, list(arguments))

    def command(self, command: str) -> None:
        self.nvim.call("nvim_command", command)

    def configure(
        self,
        configuration: str,
        cmd: list[str],
        settings: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        given = {
            "CMD": cmd,
            "SETTINGS": settings or {},
            "OPTIONS": options or {},
            "PLUGIN": str(PLUGIN),
        }
        names = ", ".join(given)
        self.lua(f"local {names} = ...\n{configuration}", *given.values())

    def open(self, text: str, name: str = "a.py") -> None:
        """Edit a file with this text and wait for the server."""
        (self.directory / name).write_bytes(text.encode())
        self.command(f"edit {name}")
        self.wait_for_server()

    def wait_for_server(self) -> None:
        """Wait until Neovim has made all of its client: the next key asks for ghost text."""
        self.until(
            lambda: self.lua(
                "local client = vim.lsp.get_clients({ bufnr = 0 })[1]\n"
                "local asking = '#nvim.lsp.inline_completion:' .. vim.fn.bufnr()\n"
                "return client and client.initialized\n"
                "  and (not vim.lsp.inline_completion or vim.fn.exists(asking) == 1)"
            )
        )

    def keys(self, keys: str) -> None:
        self.nvim.call("nvim_input", keys)

    def until(self, is_so: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
        """Wait until something is so, and return what it was."""
        end = time.monotonic() + patience_s
        while not (found := is_so()):
            if time.monotonic() > end:
                raise AssertionError("\n".join(["this never came to be:", *self.screen()]))
            time.sleep(POLL_S)
        return found

    def settle(self) -> None:
        """Let everything happen that is on its way: keys, and Neovim's pause before it asks."""
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            self.lua("return 0")
            time.sleep(POLL_S)

    def text(self) -> list[str]:
        return self.lua("return vim.api.nvim_buf_get_lines(0, 0, -1, false)")

    def cursor(self) -> list[int]:
        return self.lua("return vim.api.nvim_win_get_cursor(0)")

    def mode(self) -> str:
        return self.lua("return vim.api.nvim_get_mode().mode")

    def marks(self, namespace: str) -> list[Any]:
        return self.lua(
            "local namespace = vim.api.nvim_get_namespaces()[...]\n"
            "if not namespace then return {} end\n"
            "return vim.api.nvim_buf_get_extmarks(0, namespace, 0, -1, { details = true })",
            namespace,
        )

    def virtual(self, namespace: str) -> str | None:
        """The virtual text of a namespace, line by line."""
        drawn = [mark[3] for mark in self.marks(namespace)]
        details = next((one for one in drawn if {"virt_text", "virt_lines"} & one.keys()), None)
        if details is None:
            return None
        lines = [details.get("virt_text") or [], *(details.get("virt_lines") or [])]
        return "\n".join("".join(chunk[0] for chunk in line) for line in lines)

    def ghost(self) -> str | None:
        return self.virtual(GHOST)

    def draft(self) -> str | None:
        return self.virtual(DRAFT)

    def preview(self) -> str | None:
        return self.virtual(REWRITE)

    def replaced_and_written(self) -> tuple[list[str], list[str]]:
        """What a preview marks in the buffer, and what it shades of the lines below it."""
        replaced, written = [], []
        lines = self.text()
        for _, row, column, details in self.marks(REWRITE):
            if details.get("hl_group") == "DgLspReplaced":
                # A part of one line, in all tests.
                assert details["end_row"] == row
                line = lines[row].encode()
                replaced.append(line[column : details["end_col"]].decode())
            for line in details.get("virt_lines") or []:
                written += [text for text, group in line if group.startswith("DgLspDraft")]
        return replaced, written

    def wait_for_ghost(self, text: str | None = None, patience_s: float = PATIENCE_S) -> str:
        """Wait for some ghost text, or for this one."""
        return self.until(
            lambda: self.ghost() if text is None else self.ghost() == text, patience_s
        )

    def wait_for_no_ghost(self) -> None:
        self.until(lambda: self.ghost() is None)

    def screen(self) -> list[str]:
        """What a user sees, without blank lines at the end."""
        self.command("redraw")
        lines = self.lua(
            "local lines = {}\n"
            "for row = 1, vim.o.lines - 2 do\n"
            "  local cells = {}\n"
            "  for col = 1, vim.o.columns do cells[col] = vim.fn.screenstring(row, col) end\n"
            "  lines[row] = vim.trim('|' .. table.concat(cells)):sub(2)\n"
            "end\n"
            "return lines"
        )
        return [line for line in lines if line not in ("", "~")]

    def messages(self) -> str:
        return self.lua("return vim.api.nvim_exec2('messages', { output = true }).output")

    def jobs(self) -> list[str]:
        """What became of the jobs of a scripted server, in order."""
        return self.lua(
            "local client = vim.lsp.get_clients()[1]\n"
            "return client:request_sync('test/jobs', vim.empty_dict(), 5000).result"
        )

    def release(self) -> None:
        """Let the jobs of a scripted server end that was told to hold them."""
        self.lua(
            "local client = vim.lsp.get_clients()[1]\n"
            "client:request_sync('test/release', vim.empty_dict(), 5000)"
        )

    @contextlib.contextmanager
    def server_stopped(self) -> Iterator[None]:
        """Stop the server's process: what happens meanwhile, Neovim does alone."""
        servers = self.nvim.children()
        for server in servers:
            server.suspend()
        try:
            yield
        finally:
            for server in servers:
                server.resume()

    def server_text(self) -> str:
        """The document as a scripted server has it."""
        return self.lua(
            "local client = vim.lsp.get_clients()[1]\n"
            "local params = { uri = vim.uri_from_bufnr(0) }\n"
            "return client:request_sync('test/text', params, 5000).result"
        )

    def events(self, *names: str) -> None:
        """Note `User` events from now on; `noted` returns them."""
        self.lua(
            "_G.noted = {}\n"
            "vim.api.nvim_create_autocmd('User', { pattern = ..., callback = function(event)\n"
            "  table.insert(_G.noted, { event.match, event.data })\n"
            "end })",
            list(names),
        )

    def noted(self) -> list[Any]:
        return self.lua("return _G.noted")

    def close(self) -> None:
        self.nvim.close()


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of an engine with the bundled model; it ends with the tests."""
    runtime = tmp_path_factory.mktemp("run")
    runtime.chmod(0o700)
    environment = {
        "DG_LSP_RUNTIME_DIR": str(runtime),
        "DG_LSP_LOG_DIR": str(runtime / "log"),
        "OMP_NUM_THREADS": "1",
    }
    yield environment
    subprocess.run(
        [sys.executable, "-m", "dg_lsp", "engine", "stop"],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        timeout=PATIENCE_S,
    )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Editor]]:
    """Start editors that end with the test."""
    editors: list[Editor] = []

    def begin(
        program: str | None = None,
        init: str | None = None,
        packages: dict[str, Path] | None = None,
        **environment: str,
    ) -> Editor:
        directory = tmp_path / f"editor-{len(editors)}"
        directory.mkdir()
        (directory / ".git").mkdir()
        editors.append(Editor(directory, program or neovim(), environment, init, packages))
        return editors[-1]

    yield begin
    for editor in editors:
        editor.close()


@pytest.fixture
def old(start: Callable[..., Editor]) -> Editor:
    """A Neovim that is too old for the plugin."""
    return start(neovim("NVIM_OLD", "neovim-old"))


@pytest.fixture
def plain(start: Callable[..., Editor]) -> Callable[..., Editor]:
    """A Neovim with no plugin and a scripted server."""

    def begin(settings: dict[str, Any] | None = None, **script: Any) -> Editor:
        editor = start()
        editor.configure(WITHOUT_PLUGIN, scripted(**script), settings)
        return editor

    return begin


@pytest.fixture
def plain_with_model(start: Callable[..., Editor], engine: dict[str, str]) -> Editor:
    """A Neovim with no plugin and the bundled model."""
    editor = start(**engine)
    editor.configure(WITHOUT_PLUGIN, BUNDLED, UNSURE)
    return editor


@pytest.fixture
def plugged(start: Callable[..., Editor]) -> Callable[..., Editor]:
    """A Neovim with the plugin and a scripted server, or another command."""

    def begin(
        settings: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        **script: Any,
    ) -> Editor:
        editor = start()
        editor.configure(WITH_PLUGIN, scripted(**script), settings, options)
        return editor

    return begin


@pytest.fixture
def plugged_with(start: Callable[..., Editor]) -> Callable[..., Editor]:
    """A Neovim with the plugin and the server that a command starts."""

    def begin(
        cmd: list[str], settings: dict[str, Any] | None = None, **environment: str
    ) -> Editor:
        editor = start(**environment)
        editor.configure(WITH_PLUGIN, cmd, settings)
        return editor

    return begin


@pytest.fixture
def plugged_with_model(start: Callable[..., Editor], engine: dict[str, str]) -> Editor:
    """A Neovim with the plugin and the bundled model."""
    editor = start(**engine)
    editor.configure(WITH_PLUGIN, BUNDLED, UNSURE)
    return editor


@pytest.fixture
def two_alike() -> str:
    """Two similar functions; the model can finish line 10, in the second, from the first."""
    return """\
items, reserved = {}, {}


def add(name, count=1):
    items[name] = items.get(name, 0) + count
    return items[name]


def reserve(name, count=1):
    reserved[name] =
    return reserved[name]
"""
