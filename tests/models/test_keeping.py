"""A checkpoint comes into the store as it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file

from dg_lsp.models import store
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.keeping import keep
from dg_lsp.models.loading import load
from dg_lsp.models.nf4.manifest import (
    Integrity,
    has_manifest,
    integrity,
    is_packed_checkpoint,
    read_manifest,
)
from dg_lsp.reason import ReasonCode
from tests.w4a16 import write_int4


@pytest.fixture(scope="module")
def made(tiny_checkpoint, tmp_path_factory):
    return write_int4(tiny_checkpoint, tmp_path_factory.mktemp("int4") / "tiny-int4")


@pytest.fixture
def source(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "download"))


@pytest.fixture
def target(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DG_LSP_MODELS_DIR", str(tmp_path / "models"))
    return tmp_path / "models" / "tiny"


@pytest.mark.parametrize("move", [False, True])
@pytest.mark.parametrize("shards", [1, 3])
def test_it_is_a_model_of_the_store(source, target, split_into_shards, move, shards):
    if shards > 1:
        split_into_shards(source, shards)
    told = []
    manifest = keep(
        source, target, source_name="a/b@1", move=move, told=lambda *a: told.append(a)
    )

    assert read_manifest(target) == manifest
    assert integrity(target, manifest) is Integrity.GOOD
    [model] = store.list_models()
    assert (model.name, model.manifest.precision) == ("tiny", "int4")
    assert (len(manifest.files), len(told)) == (shards, shards)
    assert told[-1][0] == told[-1][1] == manifest.weight_bytes
    assert any(source.glob("*.safetensors")) is not move
    assert load("tiny", "cpu").info.name == "tiny"


def test_a_changed_file_is_noticed(source, target):
    keep(source, target, source_name="a/b@1", move=True)
    path = target / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as raised:
        load("tiny", "cpu")

    assert raised.value.code is ReasonCode.BAD_CHECKPOINT
    assert "checksum" in str(raised.value)


def test_a_faulty_checkpoint_leaves_nothing(source, target):
    (source / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(CheckpointError) as raised:
        keep(source, target, source_name="a/b@1", move=True)

    assert raised.value.code is ReasonCode.BAD_CHECKPOINT
    assert not has_manifest(target)


def test_one_process_at_a_time_and_no_name_twice(source, target):
    target.parent.mkdir()
    with FileLock(target.with_name(".tiny.lock")), pytest.raises(CheckpointError) as raised:
        keep(source, target, source_name="a/b@1", move=False)
    assert raised.value.code is ReasonCode.NAME_TAKEN
    keep(source, target, source_name="a/b@1", move=False)
    with pytest.raises(CheckpointError) as raised:
        keep(source, target, source_name="a/b@1", move=False)

    assert raised.value.code is ReasonCode.NAME_TAKEN


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_masked_model_is_kept_in_its_own_precision(
    masked_checkpoint, target, tmp_path, dtype
):
    source = Path(shutil.copytree(masked_checkpoint, tmp_path / "masked"))
    weights = source / "model.safetensors"
    tensors = load_file(weights)
    save_file({name: tensor.to(dtype) for name, tensor in tensors.items()}, weights)
    manifest = keep(source, target, source_name="a/b@1", move=False)

    assert manifest.precision == str(dtype).removeprefix("torch.")
    assert not is_packed_checkpoint(target)
    [model] = store.list_models()
    assert model.integrity is Integrity.GOOD
    assert load("tiny", "cpu").info.name == "tiny"


def test_a_changed_masked_model_is_noticed(masked_checkpoint, target):
    keep(masked_checkpoint, target, source_name="a/b@1", move=False)
    path = target / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.unlink()  # It is the same file as the source.
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as raised:
        load("tiny", "cpu")

    assert raised.value.code is ReasonCode.BAD_CHECKPOINT
    assert "checksum" in str(raised.value)


@pytest.mark.parametrize("fault", ["missing", "shape", "bits"])
def test_faults_of_a_masked_model_are_named(masked_checkpoint, target, tmp_path, fault):
    source = Path(shutil.copytree(masked_checkpoint, tmp_path / "masked"))
    weights = source / "model.safetensors"
    tensors = load_file(weights)
    name = "model.layers.0.self_attn.q_proj.weight"
    if fault == "missing":
        del tensors[name]
    elif fault == "shape":
        tensors[name] = tensors[name][:-1]
    else:
        tensors[name] = tensors[name].to(torch.float8_e4m3fn)
    save_file(tensors, weights)
    with pytest.raises(CheckpointError) as raised:
        keep(source, target, source_name="a/b@1", move=False)

    code = ReasonCode.UNKNOWN_FORMAT if fault == "bits" else ReasonCode.BAD_CHECKPOINT
    assert raised.value.code is code
    assert name in str(raised.value)
    assert not target.exists()
