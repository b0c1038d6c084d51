"""Which models can be had, and what is said of them on machines that are made up."""

from __future__ import annotations

import dataclasses

import pytest

from dg_lsp.diagnosis import available
from dg_lsp.diagnosis.available import (
    best,
    check_available,
    form_on,
    list_available,
    obstacles,
)
from dg_lsp.diagnosis.catalogue import AVAILABLE, repository_of
from dg_lsp.diagnosis.findings import Level
from dg_lsp.hardware import Gpu, Machine
from dg_lsp.models.formats import READY_MADE
from dg_lsp.models.hub import DIFFUSION_GEMMA

INT4, MODEL, DREAMON, *_, SMALL = AVAILABLE
BIG = Gpu("NVIDIA H200", (9, 0), 140_000_000_000)
OLD = Gpu("NVIDIA T4", (7, 5), 16_000_000_000)
PLENTY = 10**12


def machine(*gpus: Gpu, **changes) -> Machine:
    facts = {
        "torch": "2.15.0",
        "cuda_build": "12.8",
        "has_bitsandbytes": True,
        "has_triton": True,
        "has_compiler": True,
        "has_headers": True,
    }
    return Machine("Linux", gpus, **(facts | changes))


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("DG_LSP_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setattr(available, "look", lambda: machine(BIG))
    return tmp_path / "models"


def test_diffusion_gemma_has_two_formats():
    assert (INT4.repository, MODEL.repository) == (READY_MADE, DIFFUSION_GEMMA)


@pytest.mark.parametrize("model", AVAILABLE)
def test_a_model_has_the_name_that_pull_gives_it(model):
    assert repository_of(model.short_name) == model.repository
    assert repository_of(model.repository) == model.repository
    assert model.name == model.repository.rpartition("/")[2].lower()


def test_a_machine_that_it_fits():
    _, row, *_ = list_available()
    assert (row["name"], row["is_here"], row["is_begun"]) == (MODEL.name, False, False)
    assert not any("GPU" in one for one in row["obstacles"])
    assert obstacles(MODEL, machine(BIG), PLENTY) == []
    assert obstacles(MODEL, machine(OLD, BIG), PLENTY) == []


@pytest.mark.parametrize(("found", "free", "words"), [
    (machine(), PLENTY, ["NVIDIA GPU with 18.0 GB", "nvidia-smi"]),
    (machine(OLD), PLENTY, ["NVIDIA T4", "7.5", "8.0"]),
    (machine(dataclasses.replace(BIG, total_bytes=8 * 10**9)), PLENTY,
     ["NVIDIA H200 with 8.0 GB", "18.0 GB"]),
    (machine(BIG, cuda_build=""), PLENTY, ["CUDA build of torch"]),
    (machine(BIG, has_triton=False), PLENTY, ["triton"]),
    (machine(BIG, has_compiler=False), PLENTY, ["gcc"]),
    (machine(BIG, has_bitsandbytes=False), PLENTY, ["bitsandbytes"]),
    (machine(BIG), 24_000_000_000, ["25.0 GB of disk", "24.0 GB are free"]),
])  # fmt: skip
def test_what_it_lacks_is_said_with_the_numbers(found, free, words):
    [said] = obstacles(MODEL, found, free)
    assert all(word in said for word in words)


@pytest.mark.parametrize(("found", "free", "words"), [
    (dataclasses.replace(BIG, total_bytes=19 * 10**9), PLENTY, ["19.0 GB", "20.0 GB"]),
    (BIG, 17_500_000_000, ["18.0 GB of disk", "17.5 GB are free"]),
])  # fmt: skip
def test_ready_made_int4_needs_a_larger_gpu_and_less_disk(found, free, words):
    [said] = obstacles(INT4, machine(found), free)
    assert all(word in said for word in words)


def test_ready_made_int4_needs_nothing_that_packs():
    assert obstacles(INT4, machine(BIG, has_bitsandbytes=False), PLENTY) == []


def test_one_that_is_begun_or_here_needs_no_more_room(models, monkeypatch):
    monkeypatch.setattr(available, "_free", lambda directory: 1)
    (models / ".downloads" / MODEL.name).mkdir(parents=True)
    _, row, *_ = list_available()
    assert (row["is_begun"], row["is_here"]) == (True, False)
    assert not any("disk" in one for one in row["obstacles"])
    (models / MODEL.name).mkdir()
    (models / MODEL.name / "packed.json").write_text("{}")
    _, row, *_ = list_available()
    assert (row["is_begun"], row["is_here"]) == (False, True)


@pytest.mark.parametrize(("size", "model"), [
    (24 * 10**9, INT4), (19 * 10**9, MODEL), (12 * 10**9, DREAMON), (4 * 10**9, SMALL),
    (1 * 10**9, None),
])  # fmt: skip
def test_the_most_capable_model_that_fits_is_chosen(size, model, monkeypatch):
    monkeypatch.setattr(available, "_free", lambda directory: PLENTY)
    assert best(machine(dataclasses.replace(BIG, total_bytes=size))) == model


@pytest.mark.parametrize(("ram", "model"), [(8 * 10**9, SMALL), (10**9, None)])
def test_without_a_gpu_the_small_model_is_chosen_if_memory_suffices(ram, model, monkeypatch):
    monkeypatch.setattr(available, "_free", lambda directory: PLENTY)
    monkeypatch.setattr(available, "_ram", lambda: ram)
    assert best(machine()) == model


@pytest.mark.parametrize("found", [
    machine(has_bitsandbytes=False, has_triton=False), machine(OLD),
    Machine("Darwin", has_mps=True),
])  # fmt: skip
def test_without_a_gpu_a_small_model_is_not_packed(found):
    assert form_on(found, SMALL) is SMALL.plain
    assert obstacles(SMALL, found, SMALL.plain.disk_bytes, SMALL.plain.memory_bytes) == []
    assert len(obstacles(SMALL, found, SMALL.plain.disk_bytes - 1, 0)) == 2


def test_a_gpu_gets_a_packed_model():
    assert form_on(machine(BIG), SMALL) is SMALL.gpu
    [said] = obstacles(SMALL, machine(BIG, has_bitsandbytes=False), PLENTY)
    assert "bitsandbytes" in said


def test_a_large_masked_model_needs_a_gpu_of_some_kind():
    apple = Machine("Darwin", has_mps=True)
    assert obstacles(DREAMON, apple, PLENTY, DREAMON.plain.memory_bytes) == []
    assert len(obstacles(DREAMON, apple, PLENTY, DREAMON.plain.memory_bytes - 1)) == 1
    [said] = obstacles(DREAMON, machine(), PLENTY, PLENTY)
    assert "NVIDIA GPU with 8.0 GB" in said


@pytest.mark.parametrize(("found", "model"), [
    (machine(dataclasses.replace(BIG, total_bytes=9 * 10**9)), DREAMON), (machine(), None),
])  # fmt: skip
def test_the_best_one_is_marked_and_told(found, model, monkeypatch):
    monkeypatch.setattr(available, "look", lambda: found)
    monkeypatch.setattr(available, "_free", lambda directory: PLENTY)
    monkeypatch.setattr(available, "_ram", lambda: 0)
    best_names = [row["name"] for row in list_available() if row["is_best"]]
    [finding] = check_available()

    assert best_names == ([model.name] if model else [])
    assert finding.facts["best"] == (model and model.name)
    assert finding.level is Level.OK


def test_a_row_says_what_is_needed_here(monkeypatch):
    row = list_available()[-1]
    assert (row["kept_bytes"], row["is_packed"]) == (SMALL.gpu.kept_bytes, True)
    monkeypatch.setattr(available, "look", machine)
    row = list_available()[-1]
    assert (row["kept_bytes"], row["is_packed"]) == (SMALL.plain.kept_bytes, False)
