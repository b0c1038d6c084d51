"""Packed checkpoints on disk, and every way in which one can be wrong."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.loading import load
from dg_lsp.models.nf4.manifest import (
    MANIFEST,
    Integrity,
    hash_file,
    integrity,
    read_manifest,
    verify,
)
from dg_lsp.reason import ReasonCode

LAYER = "layer-01.safetensors"


@pytest.fixture
def packed(packed_checkpoint, tmp_path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(packed_checkpoint, tmp_path / "tiny-nf4"))


def check_refused(directory: Path, *names: object) -> None:
    """Refused in one line that names these."""
    with pytest.raises(CheckpointError) as raised:
        load(str(directory), "cpu")
    assert raised.value.code is ReasonCode.BAD_CHECKPOINT
    assert "\n" not in str(raised.value)
    for name in names:
        assert str(name) in str(raised.value)


def test_loads_by_its_directory(packed_checkpoint):
    loaded = load(str(packed_checkpoint), "cpu")

    assert (loaded.info.name, loaded.info.device) == ("tiny-nf4", "cpu")
    assert loaded.settings.prompt.style.value == "bare"
    # Weights that are not packed are float32 on a CPU, and bfloat16 in the files.
    assert loaded.memory.weights > read_manifest(packed_checkpoint).weight_bytes


def test_weights_are_mapped_and_not_copied(packed):
    loaded = load(str(packed), "cpu")
    experts = loaded.denoiser.model.model.decoder.layers[1].experts.gate_up_proj.packed
    before = experts.clone()
    # Windows does not let a mapped file go, which shows the same.
    maps = Path("/proc/self/maps")
    if maps.is_file():
        assert str(packed / LAYER) in maps.read_text()
    assert torch.equal(experts, before)


def test_files_are_hashed_once(packed, monkeypatch):
    hashed = []
    original = hash_file
    monkeypatch.setattr(
        "dg_lsp.models.nf4.manifest.hash_file",
        lambda path: hashed.append(path.name) or original(path),
    )
    manifest = read_manifest(packed)
    for name in manifest.files:
        os.utime(packed / name, (1, 1))
    assert integrity(packed, manifest) is Integrity.UNCHECKED
    verify(packed, manifest)
    assert sorted(hashed) == sorted(manifest.files)
    assert integrity(packed, manifest) is Integrity.GOOD

    hashed.clear()
    verify(packed, manifest)
    assert hashed == []
    (packed / LAYER).touch()
    verify(packed, manifest)
    assert hashed == [LAYER]
    verify(packed, manifest, anew=True)
    assert len(hashed) == 1 + len(manifest.files)


def flip_a_bit(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def test_a_wrong_checksum_is_refused(packed):
    flip_a_bit(packed / LAYER)

    check_refused(packed, packed / LAYER, "checksum", "dg-lsp pull")


def test_a_cut_off_file_is_refused(packed):
    (packed / LAYER).write_bytes((packed / LAYER).read_bytes()[:1000])

    check_refused(packed, packed / LAYER, "1000 bytes", "dg-lsp pull")
    assert integrity(packed, read_manifest(packed)) is Integrity.DAMAGED


def test_a_missing_file_is_refused(packed):
    (packed / LAYER).unlink()

    check_refused(packed, packed / LAYER, " missing", "dg-lsp pull")


@pytest.mark.parametrize("damage", ["drop", "rename", "add", "reshape"])
def test_tensors_that_do_not_fit_the_configuration_are_refused(packed, damage):
    tensors = load_file(packed / LAYER)
    name = "model.decoder.layers.1.input_layernorm.weight"
    if damage == "drop":
        del tensors[name]
    elif damage == "rename":
        tensors[f"{name}s"] = tensors.pop(name)
    elif damage == "add":
        tensors["model.decoder.layers.1.surplus"] = torch.zeros(1)
    else:
        tensors[name] = torch.ones(3)
    save_file(tensors, packed / LAYER)
    manifest = read_manifest(packed)
    whole = (packed / LAYER).stat().st_size, hash_file(packed / LAYER)
    dataclasses.replace(manifest, files={**manifest.files, LAYER: whole}).write(packed)

    check_refused(packed, packed, "config.json", "surplus" if damage == "add" else name)


@pytest.mark.parametrize(
    ("manifest", "names"),
    [
        ({"format": 99}, ["format 99", "dg-lsp pull"]),
        ({"format": 1}, ["'files'", "dg-lsp pull"]),
        ({"format": 1, "files": 3}, ["not valid", "dg-lsp pull"]),
        ([], ["JSON object"]),
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused(packed, manifest, names):
    (packed / MANIFEST).write_text(json.dumps(manifest))

    check_refused(packed, packed / MANIFEST, *names)
