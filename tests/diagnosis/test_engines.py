"""Sockets, locks and engines as they are met: none, a living, a killed and a hanging one."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dg_lsp import __version__
from dg_lsp.diagnosis import engines
from dg_lsp.diagnosis.engines import check_engines
from dg_lsp.diagnosis.findings import Level
from dg_lsp.job import ModelInfo
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.service.process import losses
from dg_lsp.service.process.lock import note_holder, try_lock
from dg_lsp.service.schema import EngineStatus

SCRIPTED = """
from dg_lsp.cli import compose, main
from dg_lsp.job import ModelInfo, OpenedModel
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.reason import ReasonCode

class Scripted:
    async def close(self): pass

def open_infiller(model, *asked):
    if model == "absent":
        raise CheckpointError("no model named absent", ReasonCode.NO_MODEL)
    return OpenedModel(Scripted(), ModelInfo("m", "cpu", 9, 9), len)

compose.open_infiller = open_infiller
main()
"""


@pytest.fixture
def runtime(monkeypatch, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("r")
    directory.chmod(0o700)
    monkeypatch.setenv("DG_LSP_LOG_DIR", str(directory / "log"))
    return directory


@pytest.fixture
def start_engine(runtime):
    started = []

    def start(*options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SCRIPTED, "engine", "run", "--runtime-dir"]
        process = subprocess.Popen(
            [*command, str(runtime), *options], stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        assert "listening" in process.stderr.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def found(runtime: Path) -> dict[str, tuple[Level, str]]:
    """What was said by area; of several findings of one area the last."""
    return {one.area: (one.level, one.said) for one in check_engines(runtime)}


def test_no_engine_is_fine(runtime):
    assert found(runtime) == {
        "runtime": (Level.OK, f"{runtime}, yours alone"),
        "engine": (Level.OK, "none is running; the first request starts one"),
    }


def test_a_runtime_directory_that_is_open_to_others(monkeypatch, tmp_path):
    tmp_path.chmod(0o755)
    monkeypatch.setenv("DG_LSP_RUNTIME_DIR", str(tmp_path))
    [finding] = check_engines(None)

    assert finding.level is Level.PROBLEM
    assert "chmod 700" in finding.said


def test_a_living_engine(start_engine, runtime):
    process = start_engine()
    level, said = found(runtime)["engine"]

    assert (level, said.startswith(f"process {process.pid}, up ")) == (Level.OK, True), said


def test_an_engine_of_another_version(start_engine, runtime, monkeypatch):
    start_engine()
    monkeypatch.setattr(engines, "__version__", "99.0")
    level, said = found(runtime)["engine"]

    assert level is Level.WARNING
    assert "and this is 99.0" in said


def test_an_engine_whose_model_cannot_be_loaded(start_engine, runtime):
    start_engine("--model", "absent")
    deadline = time.monotonic() + 10
    while (said := found(runtime)["engine"])[0] is Level.OK and time.monotonic() < deadline:
        pass

    assert said[0] is Level.PROBLEM
    assert said[1].endswith("the model cannot be loaded: no model named absent")


def test_an_engine_that_was_killed_leaves_a_socket(start_engine, runtime):
    process = start_engine()
    process.kill()
    process.wait()
    told = found(runtime)

    assert told["socket"][0] is Level.WARNING
    assert "left from an engine that was killed" in told["socket"][1]
    assert "engine" not in told


def test_a_socket_that_others_may_open(start_engine, runtime):
    start_engine()
    path = runtime / "engine.sock"
    path.chmod(0o666)
    level, said = found(runtime)["socket"]

    assert (level, said) == (Level.PROBLEM, f"others may open {path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666


def test_an_engine_that_hangs(runtime, monkeypatch):
    monkeypatch.setattr("dg_lsp.service.client.connection.ANSWER_S", 0.1)
    lock = try_lock(runtime / "engine.lock")
    note_holder(runtime / "engine.lock")
    assert found(runtime)["engine"] == (
        Level.PROBLEM,
        f"process {os.getpid()} holds {runtime / 'engine.lock'} but has no socket",
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind(str(runtime / "engine.sock"))
        (runtime / "engine.sock").chmod(0o600)
        silent.listen()
        level, said = found(runtime)["engine"]
    lock.release()

    assert level is Level.PROBLEM
    assert "does not answer" in said


def test_an_engine_that_keeps_ending(runtime):
    (runtime / "engine.lock").touch()
    (runtime / "engine.starts").write_text(json.dumps([time.time()] * 3))
    level, said = found(runtime)["engine"]

    assert (level, said) == (Level.WARNING, "the engine was started 3 times in 2 minutes")
    for nonsense in ("{", "[null]", "7"):
        (runtime / "engine.starts").write_text(nonsense)
        assert found(runtime)["engine"][0] is Level.OK


def test_a_slower_way_of_computing_is_a_warning_with_its_code():
    note = Reason(ReasonCode.WRONG_NUMBERS, "steps in graphs instead of fused steps in graphs")
    model = ModelInfo("large", "cuda:0", 9, 9, notes=(note,), runs_as="steps in graphs")
    found = engines._told(EngineStatus(__version__, 7, "ready", model=model), "an address")

    assert found.level is Level.WARNING
    assert note.message in found.said
    assert "cuda:0 (steps in graphs)" in found.said
    assert "wrong-numbers" in found.advice


def test_a_lost_gpu_is_a_warning_with_its_code(tmp_path):
    losses.note(tmp_path, "engine", "steps in graphs")
    [found] = engines._crashes(tmp_path, "engine")

    assert found.level is Level.WARNING
    assert found.facts["reason_code"] == "gpu-lost"
    assert "steps in graphs" in found.said
