"""What other users of the machine can do with what dg-lsp stores: nothing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes are those of Unix")

# As in a shell whose umask keeps nothing back.
OPEN = "import os, sys; os.umask(0); from dg_lsp.cli import main; main()"
NOBODY = 65534
TEXT = "import os\n\nfor name in os.listdir(path):\n    print(\n"


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home that others may enter, below directories that they may enter."""
    directory = Path(tempfile.mkdtemp(prefix="dgl"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def command(*words: str, environment: dict[str, str]) -> None:
    run = [sys.executable, "-c", OPEN, *words]
    nowhere = subprocess.DEVNULL
    subprocess.run(run, env={**os.environ, **environment}, stdout=nowhere, check=True)


@pytest.fixture(scope="module")
def lived_in(home, start_server) -> Iterator[Path]:
    """After a session with everything that dg-lsp stores, while the engine is running."""
    moved = ("DG_LSP_", "XDG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(moved)}
    environment = {name: "" for name in os.environ if name not in kept}
    environment |= {
        "HOME": str(home),
        "DG_LSP_RUNTIME_DIR": str(home / "run"),
        "OMP_NUM_THREADS": "1",
    }
    command("record", "--on", environment=environment)
    editor = start_server(
        *("-c", OPEN, "serve", "--device", "cpu", "--model", "bundled"), environment=environment
    )
    editor.begin({"experimental": {"dgLsp": {"status": True}}})
    editor.open(TEXT)
    for column in range(10, 24):
        editor.insert(3, column, "a")
    assert "result" in editor.answer(editor.send_inline(3, 24, kind=1))
    editor.finish()
    assert editor.wait()[0] == 0
    yield home
    command("engine", "stop", environment=environment)


def stored(home: Path) -> list[Path]:
    return [found for found in home.rglob("*")]


def test_everything_is_for_the_user_alone(lived_in):
    found = stored(lived_in)
    open_to_others = [
        f"{stat.filemode(path.lstat().st_mode)} {path}"
        for path in found
        if path.lstat().st_mode & 0o077
    ]
    assert open_to_others == []
    names = {path.suffix or path.name for path in found}
    # The socket, its lock, the log, traces, the last client and a recording are among them.
    assert {".sock", ".lock", ".log", ".jsonl", ".json", "on"} <= names


def as_nobody(actions: dict[str, Callable[[], object]]) -> dict[str, str]:
    """What comes of each action for another user."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        said = {}
        for name, action in actions.items():
            try:
                action()
                said[name] = "done"
            except OSError as error:
                said[name] = type(error).__name__
        os.write(writing, json.dumps(said).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = json.loads(pipe.read())
    os.waitpid(child, 0)
    return said


def connect(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(path))


def actions_on(path: Path) -> dict[str, Callable[[], object]]:
    if path.is_socket():
        return {f"connect to {path}": lambda: connect(path)}
    if path.is_dir():
        return {
            f"list {path}": lambda: os.listdir(path),
            f"write into {path}": lambda: os.mkdir(path / "mine"),
        }
    return {
        f"read {path}": lambda: os.open(path, os.O_RDONLY),
        f"write {path}": lambda: os.open(path, os.O_WRONLY),
        f"remove {path}": lambda: os.unlink(path),
    }


@pytest.mark.parametrize("reached", ["from outside", "through open directories"])
def test_another_user_is_refused_everywhere(lived_in, reached):
    if os.getuid() != 0 or sys.platform != "linux":
        # Only root can become another user; the modes above say the same.
        return
    found = stored(lived_in)
    if reached == "through open directories":
        # Even if the user opened all directories, each file refuses by itself.
        directories = [path for path in found if path.is_dir()]
        for path in directories:
            path.chmod(0o755)
        found = [path for path in found if not path.is_dir()]
    actions = {name: act for path in found for name, act in actions_on(path).items()}
    said = as_nobody(actions)
    if reached == "through open directories":
        for path in directories:
            path.chmod(0o700)
    allowed = {name: result for name, result in said.items() if result != "PermissionError"}
    assert allowed == {}
    assert len(said) == len(actions) > 10
