"""`dg-lsp infill` through an engine that runs already, in processes of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there are no Unix sockets")

ENGINE = '''
"""Writes its process id, after two drafts."""
import os, sys
from dg_lsp.cli import compose, main
from dg_lsp.fed_job import FedJob
from dg_lsp.job import Candidate, Draft, Infill, ModelInfo, OpenedModel
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.reason import ReasonCode

class Scripted:
    def submit(self, job):
        handle = FedJob(job)
        text = f"pid{os.getpid()}"
        for step in (1, 2):
            handle.publish(Draft(text[:step], (0.5,) * step, step, 2))
        infill = Infill((Candidate(text, 0.9, -0.1, (0.9,) * len(text)),), 2, model="mine")
        handle.finish(infill)
        return handle
    async def close(self): pass

def open_scripted(model, device, *more):
    if model == "broken":
        raise CheckpointError("it is broken", ReasonCode.NO_MODEL)
    return OpenedModel(Scripted(), ModelInfo("mine", "cpu", 3000, 1000), len)

compose.open_infiller = open_scripted
main()
'''
INFILL = '''
"""The command as it is, but for the model that would be loaded here."""
import sys
from dg_lsp.cli import compose, run
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.reason import ReasonCode

def refuse(model, device, vram=None):
    raise CheckpointError("loaded here", ReasonCode.NO_MODEL)

compose.open_infiller = refuse
status = run(["infill", *sys.argv[1:]])
assert "torch" not in sys.modules and "transformers" not in sys.modules
sys.exit(status)
'''

StartEngine = Callable[..., int]


@pytest.fixture
def start_engine(monkeypatch) -> Iterator[StartEngine]:
    directory = Path(tempfile.mkdtemp(prefix="dgl"))
    monkeypatch.setenv("DG_LSP_RUNTIME_DIR", str(directory))
    monkeypatch.setenv("DG_LSP_LOG_DIR", str(directory / "log"))
    running: list[subprocess.Popen[str]] = []

    def start(*options: str) -> int:
        process = subprocess.Popen(
            [sys.executable, "-c", ENGINE, "engine", "run", *options],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert process.stderr.readline().startswith("dg-lsp: listening at ")
        running.append(process)
        return process.pid

    yield start
    for process in running:
        process.send_signal(signal.SIGTERM)
        process.communicate()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def infill(tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    source = tmp_path / "a.py"
    source.write_text("x = \n")

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", INFILL, f"{source}:1:5", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    return run


def test_the_running_engine_is_used_and_no_tensor_library_is_loaded(start_engine, infill):
    pid = start_engine()
    ended = infill("--json")

    assert (ended.returncode, ended.stderr) == (0, "")
    report = json.loads(ended.stdout)
    assert (report["text"], report["model"]) == (f"pid{pid}", "mine")
    # By its name too, though the engine was not started for it.
    assert infill("--model", "mine").stdout == f"pid{pid}\n"


@pytest.mark.parametrize(
    "options",
    [
        ["--engine", "never"],
        ["--vram", "16GB"],
        ["--model", "another"],
        ["--model", "mine", "--device", "cuda"],
    ],
)
def test_an_engine_that_is_not_what_is_asked_for_is_left_alone(start_engine, infill, options):
    start_engine()
    ended = infill(*options)

    assert (ended.returncode, ended.stderr) == (2, "dg-lsp: loaded here\n")


def test_without_an_engine_or_with_a_broken_one_the_model_is_loaded_here(start_engine, infill):
    assert infill().stderr == "dg-lsp: loaded here\n"
    start_engine("--model", "broken")
    assert infill("--model", "broken").stderr == "dg-lsp: loaded here\n"
    # None was started for that.
    assert infill().stderr == "dg-lsp: loaded here\n"


def test_the_engine_of_the_model_comes_before_others(start_engine, infill):
    start_engine("--model", "first")
    pid = start_engine("--model", "mine")

    assert infill("--model", "mine").stdout == f"pid{pid}\n"


def test_drafts_of_the_engine_are_drawn(start_engine, tmp_path, python_on_a_terminal):
    pid = start_engine()
    (tmp_path / "a.py").write_text("x = \n")
    status, drawn, said = python_on_a_terminal("-c", INFILL, f"{tmp_path}/a.py:1:5")

    assert (status, said) == (0, b"")
    assert b"step " in drawn
    assert f"x = pid{pid}".encode() in re.sub(rb"\x1b\[[0-9;]*m", b"", drawn)
