"""A session, its engine and all that they store, on a disk without a free byte."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dg_lsp.diagnosis.journal import read_traces
from tests.full_disk import CAN_MOUNT, fill, small_disk

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there are no such limits")

TEXT = "import os\n\nfor name in os.listdir(path):\n    print(\n"
# Whatever is written into a file fails, as on a full disk.
LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
from dg_lsp.cli import main
main()
"""
PLAIN = "from dg_lsp.cli import main; main()"


def command(*words: str, environment: dict[str, str]) -> bytes:
    run = [sys.executable, "-m", "dg_lsp", *words]
    return subprocess.run(run, env={**os.environ, **environment}, stdout=subprocess.PIPE).stdout


@contextlib.contextmanager
def full(kind: str) -> Iterator[tuple[Path, str]]:
    """A directory where nothing can be written, and a script that runs dg-lsp there."""
    if kind == "limit":
        with tempfile.TemporaryDirectory(prefix="dgl") as directory:
            yield Path(directory), LIMITED
        return
    with small_disk() as disk:
        assert disk is not None
        yield disk, PLAIN


@pytest.mark.parametrize("kind", ["limit", *["mounted"] * CAN_MOUNT])
def test_a_full_disk_costs_records_and_nothing_else(start_server, kind):
    with full(kind) as (home, script):
        environment = {
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "DG_LSP_RUNTIME_DIR": str(home / "run"),
            "DG_LSP_STATE_DIR": str(home / "state" / "dg-lsp"),
            "DG_LSP_LOG_DIR": str(home / "log"),
            "OMP_NUM_THREADS": "1",
        }
        assert command("record", "--on", environment=environment).startswith(b"recording is on")
        ballast = fill(home) if kind == "mounted" else None

        def session(text: str) -> None:
            editor = start_server(
                "-c", script, "serve", "--device", "cpu", environment=environment
            )
            editor.begin({"experimental": {"dgLsp": {"status": True}}})
            editor.open(text)
            for column in range(10, 24):
                editor.insert(3, column, "a")
            answer = editor.answer(editor.send_inline(3, 24, kind=1))
            assert "result" in answer
            status = editor.ask("workspace/executeCommand", {"command": "dg-lsp.status"})
            # The engine process was started, and it works.
            assert (status["kind"], status["model"]) == ("Normal", "bundled"), status
            # Settings that arrive meanwhile change nothing about that.
            editor.notify(
                "workspace/didChangeConfiguration", {"settings": {"dgLsp": {"trace": "text"}}}
            )
            editor.finish()
            assert editor.wait()[0] == 0

        session(TEXT)
        assert read_traces(home / "state" / "dg-lsp", 9) == []
        if ballast is not None:
            # Once there is room, everything is stored again, without a restart of the engine.
            ballast.unlink()
            session(TEXT)
            assert len(read_traces(home / "state" / "dg-lsp", 9)) == 1
        assert command("engine", "stop", environment=environment) == b"stopped 1 engine\n"
