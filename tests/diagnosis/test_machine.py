"""Python, packages, torch and memory, and what broken ones look like."""

from __future__ import annotations

import importlib.metadata
import os
import sys

import pytest

from dg_lsp.diagnosis import machine
from dg_lsp.diagnosis.findings import Level, ok
from dg_lsp.diagnosis.machine import (
    TorchProbe,
    check_device,
    check_memory,
    check_packages,
    check_python,
)

GPU = {"name": "RTX 5090", "free_bytes": 30e9, "total_bytes": 32e9, "capability": "12.0"}


def probe(script: str, patience_s: float = 60.0):
    return TorchProbe((sys.executable, "-c", script)).finding(patience_s)


def torch_with(*devices, cuda_build=None):
    return ok("torch", "", version="2.13.0", cuda_build=cuda_build, devices=[*devices])


def test_the_python_and_the_packages_of_the_tests_are_fine():
    assert [finding.level for finding in check_python()] == [Level.OK]
    assert [finding.level for finding in check_packages()] == [Level.OK]


def test_an_old_python(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    [finding] = check_python()

    assert finding.level is Level.PROBLEM
    assert "3.11" in finding.advice


def test_a_package_that_is_gone(monkeypatch):
    def version(name: str) -> str:
        if name == "h11":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(machine.importlib.metadata, "version", version)
    [finding] = check_packages()

    assert (finding.level, finding.said) == (Level.PROBLEM, "h11 cannot be found")


def test_the_torch_of_the_tests_can_be_used():
    finding = TorchProbe().finding()

    assert finding.level is Level.OK
    assert finding.facts["version"] == importlib.metadata.version("torch")


@pytest.mark.parametrize(
    ("script", "patience_s", "expect"),
    [
        ("raise ImportError('libcudart.so.13: cannot open')", 60, "libcudart.so.13"),
        ("import torch_that_is_missing", 60, "No module named 'torch_that_is_missing'"),
        ("import os; os.abort()", 60, "ended the process with SIGABRT"),
        ("import sys; sys.exit(3)", 60, "no message"),
        ("print('hello')", 60, "did not answer"),
        ("", 60, "did not answer"),
        ("import time; time.sleep(60)", 0.1, "takes longer than"),
    ],
)
def test_a_torch_that_cannot_be_used_is_a_problem(script, patience_s, expect):
    finding = probe(script, patience_s)

    assert finding.level is Level.PROBLEM
    assert expect in finding.said
    assert finding.advice


@pytest.mark.parametrize(
    ("devices", "asked", "model_bytes", "level", "expect"),
    [
        ([], None, 1e7, Level.OK, "the CPU, because there is no GPU"),
        ([], "cpu", 5e10, Level.OK, "the CPU"),
        ([], None, 5e10, Level.WARNING, "slow on a CPU"),
        ([], "cuda", 1e7, Level.PROBLEM, "torch finds no GPU"),
        ([GPU], None, 1e10, Level.OK, "RTX 5090, 30.0 GB of 32.0 GB free"),
        ([GPU], "cuda:9", 1e10, Level.OK, "RTX 5090"),
        ([GPU], None, 5e10, Level.WARNING, "the checkpoint has 50.0 GB"),
        ([GPU], "cpu", 1e7, Level.OK, "the CPU"),
    ],
)
def test_where_the_model_would_run(devices, asked, model_bytes, level, expect):
    [finding] = check_device(torch_with(*devices), asked, model_bytes)

    assert (finding.level, expect in finding.said) == (level, True), finding.said


def test_without_torch_the_device_is_unknown():
    [finding] = check_device(probe("import sys; sys.exit(1)"), None, 1e7)

    assert finding.level is Level.WARNING


@pytest.mark.parametrize(
    ("memory", "level"),
    [((16_000_000_000, 32_000_000_000), Level.OK), ((10**8, 10**10), Level.WARNING)],
)
def test_memory(monkeypatch, memory, level):
    monkeypatch.setattr(machine, "_memory_bytes", lambda: memory)
    [finding] = check_memory(12_000_000)

    assert finding.level is level


def test_a_system_that_does_not_tell_its_memory(monkeypatch):
    monkeypatch.setattr(machine, "_memory_bytes", lambda: (0, 0))
    [finding] = check_memory(10**12)

    assert finding.level is Level.OK


@pytest.mark.parametrize(
    ("cuda", "environment", "expect"),
    [
        ("'12.8'", {}, ["NVIDIA H200, the first", "T4"]),
        ("None", {}, []),
        ("'12.8'", {"CUDA_VISIBLE_DEVICES": ""}, []),
        ("'12.8'", {"PATH": "/nowhere"}, []),
    ],
)
def test_gpus_are_seen_without_importing_torch(
    tmp_path, monkeypatch, cuda, environment, expect
):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise SystemExit")
    (tmp_path / "torch" / "version.py").write_text(
        f"__version__ = '2.15.0'\ncuda: Optional[str] = {cuda}\nhip: Optional[str] = None\n"
    )
    smi = tmp_path / "nvidia-smi"
    smi.write_text(
        "#!/bin/sh\necho '143771, 1000, 9.0, NVIDIA H200, the first'\necho odd\n"
        "echo '[N/A], 1, 7.5, X'\necho '15000, 14000, 7.5, T4'\n"
    )
    smi.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(tmp_path)

    gpus = machine.visible_gpus()
    assert [gpu["name"] for gpu in gpus] == expect
    assert not gpus or gpus[0]["free_bytes"] == 1000 * 2**20
    assert machine.look_at_torch().facts["version"] == "2.15.0"
