"""A model's files: whole, cut off, missing, of another kind, not what was published."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dg_lsp.diagnosis.checkpoint import (
    BUNDLED,
    BUNDLED_DIRECTORY,
    MODEL_TYPES,
    check_models,
    examine_checkpoint,
    models_directory,
)
from dg_lsp.diagnosis.findings import Level


@pytest.fixture
def copied(tmp_path) -> Path:
    """A copy of the bundled model."""
    return Path(shutil.copytree(BUNDLED_DIRECTORY, tmp_path / "copy"))


def test_the_bundled_model_is_as_it_was_published():
    finding = examine_checkpoint(BUNDLED)

    assert (finding.level, finding.advice) == (Level.OK, "")
    assert finding.facts["compared"] == ["model.safetensors", "tokenizer.json"]
    weights = BUNDLED_DIRECTORY / "model.safetensors"
    assert finding.facts["size_bytes"] == weights.stat().st_size


def test_a_checkpoint_without_checksums_is_looked_at_all_the_same(copied):
    (copied / "SHA256SUMS").unlink()
    finding = examine_checkpoint(str(copied))

    assert finding.level is Level.OK
    assert finding.said.endswith("12.6 MB in 1 file, complete")


def test_a_checkpoint_in_shards(copied):
    shutil.copy(copied / "model.safetensors", copied / "two.safetensors")
    (copied / "model.safetensors").rename(copied / "one.safetensors")
    (copied / "SHA256SUMS").unlink()
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (copied / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "in 2 files" in examine_checkpoint(str(copied)).said

    (copied / "two.safetensors").unlink()
    finding = examine_checkpoint(str(copied))
    assert finding.level is Level.PROBLEM
    assert "two.safetensors is missing" in finding.said


def cut_off(directory: Path) -> None:
    with (directory / "model.safetensors").open("rb+") as file:
        file.truncate(1_000_000)


def change_a_byte(directory: Path) -> None:
    with (directory / "model.safetensors").open("rb+") as file:
        file.seek(-100, 2)
        file.write(b"\x01\x02\x03")


def overwrite(name: str, data: bytes):
    def damage(directory: Path) -> None:
        (directory / name).write_bytes(data)

    return damage


@pytest.mark.parametrize(
    ("damage", "expect"),
    [
        (cut_off, "has 1000000 bytes instead of"),
        (change_a_byte, "is not the file that SHA256SUMS lists"),
        (shutil.rmtree, "is not a directory"),
        (lambda directory: (directory / "tokenizer.json").unlink(), "is missing"),
        (overwrite("model.safetensors", b""), "is not a safetensors file"),
        (
            overwrite("model.safetensors", b"<html>no such page</html>"),
            "not a safetensors file",
        ),
        (overwrite("model.safetensors", b"\x04" + bytes(7) + b"null"), "cannot be read"),
        (overwrite("model.safetensors", b"\x07" + bytes(7) + b'{"a":1}'), "cannot be read"),
        (overwrite("config.json", b"{"), "is not JSON"),
        (overwrite("config.json", b"[]"), "does not contain a JSON object"),
        (overwrite("config.json", b'{"model_type": "llama"}'), "holds a 'llama' model"),
        (overwrite("SHA256SUMS", b"0  absent\n"), "absent"),
        (overwrite("SHA256SUMS", b"\xff"), "SHA256SUMS"),
    ],
)
def test_what_is_wrong_is_a_problem_with_the_way_out(copied, damage, expect):
    damage(copied)
    finding = examine_checkpoint(str(copied))

    assert finding.level is Level.PROBLEM
    assert expect in finding.said
    assert finding.facts["reason_code"] == "bad-checkpoint"
    assert finding.advice


def test_every_family_is_known():
    from dg_lsp.models.registry import FAMILIES

    assert {*MODEL_TYPES} == {*FAMILIES}


@pytest.mark.parametrize("missing", [None, "vocab.json", "merges.txt"])
def test_a_masked_model_may_have_its_tokenizer_in_parts(masked_checkpoint, tmp_path, missing):
    directory = Path(shutil.copytree(masked_checkpoint, tmp_path / "masked"))
    assert examine_checkpoint(str(directory)).level is Level.OK
    (directory / "tokenizer.json").unlink()
    for name in ("vocab.json", "merges.txt"):
        if name != missing:
            (directory / name).write_text("{}")

    level = Level.PROBLEM if missing else Level.OK
    assert examine_checkpoint(str(directory)).level is level


@pytest.fixture
def packed(tmp_path, monkeypatch) -> Path:
    """A packed model named "small" in a store of its own."""
    monkeypatch.setenv("DG_LSP_MODELS_DIR", str(tmp_path))
    directory = tmp_path / "small"
    directory.mkdir()
    (directory / "tokenizer.json").write_text("{}")
    (directory / "layer-0.safetensors").write_bytes(b"x" * 2000)
    listed = {"layer-0.safetensors": {"bytes": 2000, "sha256": "0"}}
    (directory / "packed.json").write_text(json.dumps({"format": 1, "files": listed}))
    return directory


def test_without_a_wish_every_model_that_may_be_chosen_is_looked_at(packed):
    bundled, small = check_models(None)

    assert (bundled.facts["name"], small.level) == ("bundled", Level.OK)
    assert (small.facts["name"], small.facts["size_bytes"]) == ("small", 2000)
    assert [*check_models("small")] == [small]
    assert examine_checkpoint(str(packed)).level is Level.OK


@pytest.mark.parametrize(
    ("name", "data", "expect"),
    [
        ("layer-0.safetensors", b"x", "has 1 bytes instead of 2000"),
        ("layer-0.safetensors", None, "is missing"),
        ("tokenizer.json", None, "is missing"),
        ("packed.json", b"{}", "lists no files"),
        ("packed.json", b'{"files": {"layer-0.safetensors": 7}}', "instead of None"),
    ],
)
def test_a_packed_model_that_is_not_whole(packed, name, data, expect):
    (packed / name).unlink()
    if data is not None:
        (packed / name).write_bytes(data)
    finding = examine_checkpoint("small")

    assert (finding.level, expect in finding.said) == (Level.PROBLEM, True), finding.said
    assert "dg-lsp pull" in finding.advice


def test_the_store_is_where_the_models_are(monkeypatch):
    from dg_lsp.models import store

    monkeypatch.delenv("DG_LSP_MODELS_DIR", raising=False)
    assert models_directory() == store.models_directory()


def test_a_directory_of_the_project_is_not_the_model_of_its_name(copied, monkeypatch):
    monkeypatch.chdir(copied.parent)

    assert examine_checkpoint(copied.name).level is Level.PROBLEM
    assert examine_checkpoint(f"./{copied.name}").level is Level.OK
