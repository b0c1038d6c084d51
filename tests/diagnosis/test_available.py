"""Which models can be had, and what is said of them on machines that are made up."""

from __future__ import annotations

import dataclasses
import importlib.metadata

import pytest

from dg_lsp.diagnosis import available
from dg_lsp.diagnosis.available import AVAILABLE, Gpu, list_available, obstacles
from dg_lsp.models.hub import DIFFUSION_GEMMA

MODEL = AVAILABLE[0]
BIG = Gpu("NVIDIA H200", 140_000_000_000, 9.0)
PLENTY = 10**12


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    monkeypatch.setenv("DG_LSP_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("PATH", str(tmp_path))
    versions = {"torch": "2.15.0", "triton": "3.9", "bitsandbytes": "0.50"}

    def version(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    return tmp_path, versions


def smi(directory, *lines: str) -> None:
    """An `nvidia-smi` that says these lines."""
    program = directory / "nvidia-smi"
    program.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    program.chmod(0o755)


def test_it_is_what_pull_gets_without_being_told():
    assert MODEL.repository == DIFFUSION_GEMMA
    assert MODEL.name == DIFFUSION_GEMMA.rpartition("/")[2].lower()


def test_a_machine_that_it_fits(machine):
    smi(machine[0], "NVIDIA H200, 143771, 9.0")
    [row] = list_available()
    assert (row["name"], row["is_here"], row["is_begun"]) == (MODEL.name, False, False)
    assert not any("GPU" in one for one in row["obstacles"])
    assert obstacles(MODEL, [BIG], PLENTY) == []


@pytest.mark.parametrize(("gpus", "free", "words"), [
    ([], PLENTY, ["this machine has none"]),
    ([Gpu("NVIDIA T4", 16_000_000_000, 7.5)], PLENTY, ["NVIDIA T4 with 16.0 GB", "7.5"]),
    ([dataclasses.replace(BIG, capability=7.0)], PLENTY, ["capability 8.0"]),
    ([BIG], 69_000_000_000, ["70.0 GB of disk", "69.0 GB are free"]),
])  # fmt: skip
def test_what_it_lacks_is_said_with_the_numbers(gpus, free, words):
    [said] = obstacles(MODEL, gpus, free)
    assert all(word in said for word in words)


def test_an_installation_for_the_cpu_is_told_of_where_there_is_a_gpu(machine):
    machine[1].update(torch="2.15.0+cpu")
    del machine[1]["triton"]
    [said] = obstacles(MODEL, [BIG], PLENTY)
    assert "PyTorch with CUDA" in said
    assert "triton" in said
    assert "bitsandbytes" not in said


def test_one_that_is_begun_or_here_needs_no_more_room(machine, monkeypatch):
    monkeypatch.setattr(available, "_free", lambda directory: 1)
    models = machine[0] / "models"
    (models / ".downloads" / MODEL.name).mkdir(parents=True)
    [row] = list_available()
    assert (row["is_begun"], row["is_here"]) == (True, False)
    assert not any("disk" in one for one in row["obstacles"])
    (models / MODEL.name).mkdir()
    (models / MODEL.name / "packed.json").write_text("{}")
    [row] = list_available()
    assert (row["is_begun"], row["is_here"]) == (False, True)


def test_a_driver_that_says_something_else_is_no_gpu(machine):
    smi(machine[0], "No devices were found", "x, y, z")
    assert available.find_gpus() == []
