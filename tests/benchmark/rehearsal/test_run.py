"""The rehearsal refuses what does not fit before it writes, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple

import pytest
import torch

from dg_lsp.benchmark.rehearsal import checkpoint, run
from dg_lsp.benchmark.rehearsal.checkpoint import PREFIX, describe, fill, temporary_directory
from dg_lsp.benchmark.rehearsal.memory_watch import Held, MemoryWatch
from dg_lsp.benchmark.rehearsal.run import Plan, as_text, rehearse
from dg_lsp.models.gemma.shapes import real_shape
from dg_lsp.models.loading import load
from dg_lsp.models.nf4.manifest import Integrity, integrity, read_manifest
from dg_lsp.models.nf4.planning import packed_bytes
from dg_lsp.reason import CodedError, ReasonCode

SMALL = {"layers": 1, "experts": 8, "vocabulary": 8192}


def small(directory) -> Plan:
    return Plan(**SMALL, prompt_tokens=5, canvas_tokens=3, directory=directory)


def refused(plan: Plan) -> CodedError:
    with pytest.raises(CodedError) as raised:
        rehearse(plan, lambda what: None)
    assert "\n" not in str(raised.value)
    assert os.listdir(plan.directory) == []
    return raised.value


def test_a_full_disk_is_named_before_anything_is_written(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 1000, 1000))
    monkeypatch.setattr(run, "fill", lambda *_: pytest.fail("something was written"))
    error = refused(small(tmp_path))

    assert error.code is ReasonCode.DISK_FULL
    for part in (str(tmp_path), "0.0 MB free", "--directory"):
        assert part in str(error)


def test_too_little_memory_is_named_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "default_budget", lambda device: 200_000_000)
    monkeypatch.setattr(run, "fill", lambda *_: pytest.fail("something was written"))
    error = refused(small(tmp_path))

    assert error.code is ReasonCode.DOES_NOT_FIT
    for part in ("0.2 GB", "close other programs"):
        assert part in str(error)


def test_a_result_that_is_not_finite_is_a_failure(tmp_path, monkeypatch):
    original = run._run

    def spoilt(*given):
        return original(*given) | {"entropies": torch.tensor([1.0, torch.nan])}

    monkeypatch.setattr(run, "_run", spoilt)
    error = refused(small(tmp_path))

    assert error.code is ReasonCode.DEFECT
    assert "entropies" in str(error)
    assert "likelihoods" not in str(error)


def test_an_interruption_deletes_the_files(tmp_path):
    made = []

    def interrupt(what: str) -> None:
        made.extend(tmp_path.glob(f"{PREFIX}*/*.safetensors"))
        if made:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rehearse(small(tmp_path), interrupt)
    assert made
    assert os.listdir(tmp_path) == []


def test_what_a_killed_rehearsal_left_is_deleted_by_the_next(tmp_path, monkeypatch):
    of_a_dead, of_a_living = tmp_path / f"{PREFIX}41-x", tmp_path / f"{PREFIX}42-x"
    of_another = tmp_path / f"{PREFIX}notes-x"
    for directory in (of_a_dead, of_a_living, of_another):
        directory.mkdir()
        (directory / "layer-00.safetensors").write_bytes(b"x")
    monkeypatch.setattr(checkpoint.psutil, "pid_exists", lambda pid: pid == 42)

    with temporary_directory(tmp_path):
        assert not of_a_dead.exists()
    assert sorted(tmp_path.iterdir()) == sorted([of_a_living, of_another])


def test_the_checkpoint_is_complete_and_the_same_each_time(tmp_path):
    sums = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made = describe(tmp_path / name, real_shape(**SMALL))
        stored = fill(made, lambda share: None)
        manifest = read_manifest(made.directory)
        assert integrity(made.directory, manifest) is Integrity.GOOD
        assert stored == manifest.weight_bytes
        assert stored == pytest.approx(packed_bytes(made.tensors), rel=0.02)
        sums.append(manifest.files)
    assert sums[0] == sums[1]
    assert load(str(tmp_path / "one"), "cpu").info.name == "one"


def test_the_most_memory_of_each_stage_is_kept():
    with MemoryWatch() as watch:
        before = watch.restart()
        values = torch.ones(25_000_000)
        del values
        with_values = watch.restart()
        after = watch.restart()

    # 100 MB, of which some may go where other memory was freed.
    assert with_values.private - before.private > 50e6
    assert with_values.private - after.private > 50e6
    assert Held(1, 5).most(Held(3, 2)) == Held(3, 5)
    assert Held(3, 5).resident == 8


def test_the_printout_has_the_plan_beside_what_was_used():
    report = {
        "parameters": 25.25e9, "layers": 30, "experts": 128, "prompt_tokens": 60,
        "canvas_tokens": 32, "machine": "CPU (x, 2 threads)", "load_average": None,
        "versions": {"torch": "2.13"}, "file_bytes": 14.3e9, "wall_s": 300.0, "cpu_s": 500.0,
        "plan": {"weights": 14.3e9, "workspace": 1.5e9, "cache": 2e9, "budget": 20e9},
        "most": {"private": 4e9, "mapped": 13e9}, "finite": ["entropies"],
        "stages": [{"name": "read", "wall_s": 10.04, "cpu_s": 19.0,
                    "most": {"private": 4e9, "mapped": 13e9}}],
    }  # fmt: skip
    shown = as_text(report).splitlines()

    assert "| read a prompt of 60 tokens | 10.0 | 19.0 | 4.0 GB | 13.0 GB |" in shown
    assert any("14.3 GB weights" in line and "20.0 GB free" in line for line in shown)
    assert any("4.0 GB private" in line and "13.0 GB" in line for line in shown)
