"""Python, packages, torch and memory, and what broken ones look like."""

from __future__ import annotations

import dataclasses
import importlib.metadata
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
    torch_facts,
)
from dg_lsp.hardware import Gpu, Machine
from dg_lsp.reason import ReasonCode

GPU = Gpu("RTX 5090", (12, 0), 32 * 10**9, 30 * 10**9)
OLD = Gpu("Tesla T4", (7, 5), 16 * 10**9, 15 * 10**9)
HERE = Machine(
    "Linux", torch="2.13.0", cuda_build="13.0", has_triton=True, has_compiler=True,
    has_headers=True,
)  # fmt: skip


def probe(script: str, patience_s: float = 60.0):
    return TorchProbe((sys.executable, "-c", script)).finding(patience_s)


def torch_with(*gpus: Gpu, **changes):
    found = dataclasses.replace(HERE, gpus=gpus, torch_finds_gpu=bool(gpus), **changes)
    return ok("torch", "", **torch_facts(found))


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
        ([], "cuda", 1e7, Level.PROBLEM, "no GPU"),
        ([GPU, OLD], "cuda:1", 1e7, Level.PROBLEM, "Tesla T4"),
        ([OLD], None, 1e7, Level.WARNING, "the CPU: Tesla T4"),
        ([GPU], None, 1e10, Level.OK, "RTX 5090, 30.0 GB of 32.0 GB free"),
        ([GPU], "cuda:9", 1e10, Level.PROBLEM, "cuda:9"),
        ([GPU], None, 5e10, Level.WARNING, "the checkpoint has 50.0 GB"),
        ([GPU], "cpu", 1e7, Level.OK, "the CPU"),
    ],
)
def test_where_the_model_would_run(devices, asked, model_bytes, level, expect):
    [finding] = check_device(torch_with(*devices), asked, model_bytes)

    assert (finding.level, expect in finding.said) == (level, True), finding.said


@pytest.mark.parametrize(
    ("has_mps", "asked", "level", "expect"),
    [
        (True, None, Level.OK, "mps"),
        (True, "mps", Level.OK, "mps"),
        (True, "cpu", Level.OK, "the CPU"),
        (True, "cuda", Level.PROBLEM, "cuda"),
        (False, "mps", Level.PROBLEM, "mps"),
    ],
)
def test_on_a_mac(has_mps, asked, level, expect):
    mac = torch_with(system="Darwin", has_mps=has_mps)
    [finding] = check_device(mac, asked, 1e7)

    assert (finding.level, expect in finding.said) == (level, True), finding.said


def test_a_gpu_whose_kernels_cannot_be_compiled():
    lacking = torch_with(GPU, has_compiler=False)
    device, kernels = check_device(lacking, None, 1e7)

    assert (device.level, kernels.level) == (Level.OK, Level.WARNING)
    assert kernels.facts["code"] == ReasonCode.NO_COMPILER.value


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


def test_without_importing_torch_its_files_and_the_driver_are_asked(monkeypatch):
    found = dataclasses.replace(HERE, gpus=(GPU,))
    monkeypatch.setattr(machine, "look", lambda: found)
    finding = machine.look_at_torch()

    assert finding.facts["version"] == "2.13.0"
    assert [one["name"] for one in finding.facts["devices"]] == ["RTX 5090"]
    monkeypatch.setattr(machine, "look", lambda: dataclasses.replace(HERE, torch=""))
    assert machine.look_at_torch().level is Level.PROBLEM
