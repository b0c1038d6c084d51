"""`dg-lsp doctor` as a user runs it: on a good machine, and on ever worse ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPTED = """
from dg_lsp.cli import compose, main
from dg_lsp.job import Candidate, Infill, ModelInfo, OpenedModel
from dg_lsp.fed_job import FedJob

class Scripted:
    def submit(self, job):
        handle = FedJob(job)
        handle.finish(Infill((Candidate("values", 0.9, -0.1),), 3))
        return handle
    async def close(self): pass

compose.open_infiller = lambda *asked: OpenedModel(Scripted(), ModelInfo("m", "cpu", 9, 9), len)
main()
"""
AREAS = [
    "python",
    "packages",
    "torch",
    "model",
    "device",
    "memory",
    "catalogue",
    "runtime",
    "engine",
    "log",
    "state",
    "editor",
]


@pytest.fixture
def machine() -> Iterator[Path]:
    """A directory for everything that is written, with a path short enough for a socket."""
    found = Path(tempfile.mkdtemp(prefix="dgl"))
    yield found
    found.chmod(0o700)
    shutil.rmtree(found, ignore_errors=True)


def doctor(
    machine: Path, *options: str, script: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    command = ["-m", "dg_lsp"] if script is None else ["-c", script]
    places = {
        "DG_LSP_RUNTIME_DIR": str(machine / "run"),
        "DG_LSP_STATE_DIR": str(machine / "state"),
        "DG_LSP_LOG_DIR": str(machine / "log"),
    }
    return subprocess.run(
        [sys.executable, *command, "doctor", *options],
        env={**os.environ, **places, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_good_machine(machine):
    ended = doctor(machine, "--json", "--in-process", script=SCRIPTED)
    report = json.loads(ended.stdout)

    assert (ended.returncode, ended.stderr, report["level"]) == (0, "", "ok")
    assert [one["area"] for one in report["findings"]] == [*AREAS, "self-test"]
    assert report["findings"][-1]["facts"]["texts"] == ["values"]


def test_in_a_pipe_it_is_plain_text(machine):
    ended = doctor(machine, "--no-self-test")

    assert (ended.returncode, ended.stderr) == (0, "")
    *lines, _ = ended.stdout.splitlines()
    assert [line[8:19].strip() for line in lines] == AREAS
    assert {line[:8].strip() for line in lines} == {"ok"}
    assert "\x1b" not in ended.stdout


def test_as_a_page_and_as_an_anonymous_report(machine):
    page = doctor(machine, "--no-self-test", "--markdown")
    report = doctor(machine, "--no-self-test", "--anonymous")

    assert (page.returncode, page.stderr, report.stderr) == (0, "", "")
    assert page.stdout.startswith("# dg-lsp doctor\n")
    assert report.stdout.startswith("### Environment\n")
    assert sys.executable in page.stdout
    assert sys.executable not in report.stdout
    assert str(machine) not in report.stdout


def test_on_a_terminal_it_is_drawn(machine, python_on_a_terminal):
    status, drawn, said = python_on_a_terminal(
        *("-m", "dg_lsp", "doctor", "--no-self-test"),
        DG_LSP_RUNTIME_DIR=str(machine / "run"),
        COLUMNS="50",
    )

    assert (status, said) == (0, b"")
    assert "✓".encode() in drawn


def write_torch(machine: Path, source: str) -> str:
    """A directory with a torch of that source, for the search path."""
    (machine / "path" / "torch").mkdir(parents=True)
    (machine / "path" / "torch" / "__init__.py").write_text(source)
    return str(machine / "path")


@pytest.mark.parametrize(
    ("source", "expect"),
    [
        ("raise ImportError('libtorch.so: cannot open shared object file')", "libtorch.so"),
        ("raise ModuleNotFoundError(\"No module named 'torch'\")", "No module named 'torch'"),
        ("import os; os.abort()", "SIGABRT"),
    ],
)
def test_a_broken_torch_is_told_and_nothing_is_filled(machine, source, expect):
    ended = doctor(machine, "--json", PYTHONPATH=write_torch(machine, source))
    found = {one["area"]: one for one in json.loads(ended.stdout)["findings"]}

    assert (ended.returncode, ended.stderr) == (1, "")
    assert found["torch"]["level"] == "problem"
    assert expect in found["torch"]["said"]
    assert found["self-test"]["facts"] == {}, "it was not run"
    assert found["engine"]["level"] == "ok"


def test_a_model_that_is_not_there(machine):
    ended = doctor(machine, "--model", "/nowhere", "--no-self-test")

    assert ended.returncode == 1
    assert "problem model      /nowhere: /nowhere is not a directory\n" in ended.stdout
    assert "problem model      → download the checkpoint again\n" in ended.stdout
    assert ended.stdout.endswith("\n1 problem\n")


def test_where_nothing_can_be_written(machine):
    (machine / "file").touch()
    below = str(machine / "file" / "below")
    ended = doctor(
        machine,
        "--json",
        "--no-self-test",
        DG_LSP_RUNTIME_DIR=below,
        DG_LSP_STATE_DIR=below,
        DG_LSP_LOG_DIR=below,
    )
    levels = {one["area"]: one["level"] for one in json.loads(ended.stdout)["findings"]}

    assert (ended.returncode, ended.stderr) == (1, "")
    assert (levels["runtime"], levels["log"], levels["state"]) == ("problem", *["warning"] * 2)
    assert levels["torch"] == "ok"


def test_the_self_test_of_an_engine_that_does_not_start(machine):
    (machine / "run").mkdir(0o700)
    (machine / "run" / "engine.starting").mkdir()
    ended = doctor(machine, "--json")
    found = json.loads(ended.stdout)["findings"][-1]

    assert ended.returncode == 1
    assert (found["area"], found["level"]) == ("self-test", "problem")
    assert "the engine cannot be started" in found["said"]
