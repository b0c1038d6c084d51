"""Packing a checkpoint: from shards, in little memory, resumed, by one process at a time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file

from dg_lsp.models.checkpoint import WEIGHTS, CheckpointError
from dg_lsp.models.loading import load
from dg_lsp.models.nf4 import format as nf4
from dg_lsp.models.nf4 import packing
from dg_lsp.models.nf4.manifest import MANIFEST, Integrity, integrity, is_packed_checkpoint
from dg_lsp.models.nf4.packing import PROGRESS, pack
from dg_lsp.models.nf4.planning import plan_packing
from dg_lsp.models.registry import open_checkpoint
from dg_lsp.reason import ReasonCode
from tests.full_disk import disk_to_fill

CPU = torch.device("cpu")


@pytest.fixture
def checkpoint(tiny_checkpoint, tmp_path) -> Path:
    """A copy of the tiny checkpoint that a test may spoil."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "tiny-gemma"))


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "models" / "tiny"


def run(checkpoint: Path, target: Path, told=lambda done, total: None):
    plan = plan_packing(checkpoint)
    return pack(checkpoint, target, plan, device=CPU, source_name="tiny", told=told)


def check_refused(checkpoint: Path, target: Path, code: ReasonCode, *names: object) -> None:
    """Refused in one line that names these, and nothing is left there."""
    with pytest.raises(CheckpointError) as raised:
        run(checkpoint, target)
    assert raised.value.code is code
    assert "\n" not in str(raised.value)
    for name in names:
        assert str(name) in str(raised.value)
    assert not is_packed_checkpoint(target)


def test_is_whole_and_reports_its_way(checkpoint, target):
    steps = []
    manifest = run(checkpoint, target, lambda done, total: steps.append((done, total)))

    assert integrity(target, manifest) is Integrity.GOOD
    assert sorted(manifest.files) == [*(f"layer-0{n}.safetensors" for n in range(3)),
                                      "shared.safetensors"]  # fmt: skip
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert steps[-1][0] == steps[-1][1] == 2 * manifest.parameters
    assert load(str(target), "cpu").info.name == "tiny"


def test_shards_and_one_file_give_the_same(
    checkpoint, packed_checkpoint, split_into_shards, target
):
    split_into_shards(checkpoint, 3)
    run(checkpoint, target)

    for file in sorted(packed_checkpoint.glob("*.safetensors")):
        ours, theirs = load_file(target / file.name), load_file(file)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_encoders_names_and_a_vision_tower_are_understood(checkpoint, target):
    tensors = load_file(checkpoint / WEIGHTS)
    name = "model.decoder.layers.0.experts.down_proj"
    tensors[name.replace("decoder", "encoder.language_model")] = tensors.pop(name)
    tensors["model.encoder.vision_tower.patch.weight"] = torch.zeros(3)
    tensors["lm_head.weight"] = tensors["model.decoder.embed_tokens.weight"].clone()
    save_file(tensors, checkpoint / WEIGHTS)
    run(checkpoint, target)

    names = set().union(*(load_file(file) for file in target.glob("*.safetensors")))
    assert name in names
    assert not any("vision" in name or "encoder.language_model.embed" in name for name in names)
    load(str(target), "cpu")


WITHIN_MEMORY = """
import sys, threading, time
from pathlib import Path
import torch
from dg_lsp.models.nf4 import format as nf4
from dg_lsp.models.nf4 import packing
from dg_lsp.models.nf4.planning import plan_packing
from dg_lsp.models.registry import open_checkpoint
from dg_lsp.models.gemma.weights import load_packed

def held():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))

nf4.bitsandbytes()
source, target = Path(sys.argv[1]), Path(sys.argv[2])
plan = plan_packing(source)
# One list of readings for each phase, so that a late reading counts for its own phase only.
readings = [[held()]]
running = True

def watch():
    while running:
        phase = readings[-1]
        phase.append(held())
        time.sleep(0.002)

watcher = threading.Thread(target=watch)
watcher.start()
packing.pack(source, target, plan, device=torch.device("cpu"), source_name="x")
readings.append([held()])
model = load_packed(target, open_checkpoint(target).config, torch.device("cpu"), torch.bfloat16)
running = False
watcher.join()
print(*(max(phase) - phase[0] for phase in readings))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_full_copy_is_never_in_memory(checkpoint, larger_config, target):
    """Packed and loaded in a process that is watched."""
    source = checkpoint
    larger_config.save_pretrained(source)
    shapes = open_checkpoint(source).tensors.shapes
    torch.manual_seed(0)
    save_file(
        {name: (torch.rand(shape) - 0.5).to(torch.bfloat16) for name, shape in shapes.items()},
        source / WEIGHTS,
    )
    assert (source / WEIGHTS).stat().st_size > 200e6
    ended = subprocess.run(
        [sys.executable, "-c", WITHIN_MEMORY, str(source), str(target)],
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert ended.returncode == 0, ended.stderr
    packed, loaded = map(int, ended.stdout.split())
    # A packed layer of 20 MB and what quantizing a part takes, not the 200 MB of a copy.
    assert packed < 120e6
    assert loaded < 30e6


@pytest.mark.parametrize("spoil_the_note", [False, True])
def test_an_interrupted_run_is_taken_up(checkpoint, target, spoil_the_note, monkeypatch):
    written = []
    original = packing.save_file

    def interrupted(tensors, path):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path.name)
        return original(tensors, path)

    monkeypatch.setattr(packing, "save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint, target)
    draft = target.with_name(".tiny.partial")
    assert not target.exists()
    (draft / "layer-02.writing").write_bytes(b"half a layer")
    if spoil_the_note:
        (draft / PROGRESS).write_text("{")
    monkeypatch.setattr(
        packing,
        "save_file",
        lambda tensors, path: written.append(path.name) or original(tensors, path),
    )
    run(checkpoint, target)

    assert len(written) == (6 if spoil_the_note else 4)
    assert not draft.exists()
    assert not list(target.glob("*.writing"))
    assert not (target / PROGRESS).exists()
    load(str(target), "cpu")


def test_what_another_source_left_is_not_taken_up(checkpoint, target):
    draft = target.with_name(".tiny.partial")
    draft.mkdir(parents=True)
    (draft / "layer-00.safetensors").write_bytes(b"of another model")
    note = {"fingerprint": "x", "files": {"layer-00.safetensors": [16, "y"]}}
    (draft / PROGRESS).write_text(json.dumps(note))
    manifest = run(checkpoint, target)

    assert integrity(target, manifest) is Integrity.GOOD


def test_two_processes_do_not_pack_at_once(checkpoint, target):
    target.parent.mkdir()
    with FileLock(target.with_name(".tiny.lock")):
        check_refused(checkpoint, target, ReasonCode.NAME_TAKEN, "tiny", "process")


def test_what_is_there_is_not_overwritten(checkpoint, packed_checkpoint, tmp_path):
    target = Path(shutil.copytree(packed_checkpoint, tmp_path / "there"))
    with pytest.raises(CheckpointError) as raised:
        run(checkpoint, target)

    assert raised.value.code is ReasonCode.NAME_TAKEN
    assert str(target) in str(raised.value)
    assert "--name" in str(raised.value)


def test_a_full_disk_is_said_before_starting(checkpoint, target, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 10**9 - 10**4, 10**4)
    monkeypatch.setattr(packing.shutil, "disk_usage", lambda path: usage)
    names = ("0.0 MB", "0.2 MB", "DG_LSP_MODELS_DIR")

    check_refused(checkpoint, target, ReasonCode.DISK_FULL, *names)
    assert not list(target.parent.rglob("*.safetensors"))


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_a_disk_that_others_fill_meanwhile_is_a_reason_and_the_run_goes_on_later(
    checkpoint, tmp_path, monkeypatch
):
    with disk_to_fill(tmp_path) as (disk, fill, free):
        target, calls = disk / "models" / "tiny", []
        target.parent.mkdir()
        monkeypatch.setattr(packing, "check_disk", lambda directory, needed: None)

        def told(done: int, total: int) -> None:
            # After the first file.
            calls.append(done)
            if len(calls) == 1:
                fill()

        with pytest.raises(CheckpointError) as raised:
            run(checkpoint, target, told)
        assert raised.value.code is ReasonCode.DISK_FULL
        assert "\n" not in str(raised.value)
        kept = [*packing.draft_of(target).glob("*.safetensors")]
        assert kept
        times = [path.stat().st_mtime_ns for path in kept]
        free()
        run(checkpoint, target)
        assert is_packed_checkpoint(target)
        assert [(target / path.name).stat().st_mtime_ns for path in kept] == times


def test_too_little_memory_is_said_before_starting(checkpoint, target, monkeypatch):
    host = namedtuple("host", "available total")(10**6, 10**9)
    monkeypatch.setattr("psutil.virtual_memory", lambda: host)

    check_refused(checkpoint, target, ReasonCode.DOES_NOT_FIT, "packing", "cpu", "1.0 MB")
    assert not list(target.parent.rglob("*.safetensors"))


def change(checkpoint: Path, what) -> None:
    tensors = load_file(checkpoint / WEIGHTS)
    name = next(name for name in sorted(tensors) if name.endswith("gate_up_proj"))
    what(tensors, name)
    save_file(tensors, checkpoint / WEIGHTS)


SPOILED = {
    "missing": (lambda t, n: t.pop(n), "1 missing", "gate_up_proj"),
    "extra": (lambda t, n: t.update(x=torch.zeros(1)), "1 unexpected", " x;"),
    "misnamed": (lambda t, n: t.update({n + "s": t.pop(n)}), "1 missing", "gate_up_proj"),
    "misshapen": (
        lambda t, n: t.update({n: torch.zeros(4, 64, 64)}),
        "gate_up_proj",
        "[4, 64, 64]",
        "[4, 128, 64]",
    ),
    "not finite": (lambda t, n: t[n].fill_(torch.nan), "gate_up_proj", "finite"),
}


@pytest.mark.parametrize("wrong", SPOILED)
def test_a_checkpoint_that_is_not_whole_is_refused(checkpoint, target, wrong):
    what, *names = SPOILED[wrong]
    change(checkpoint, what)

    check_refused(checkpoint, target, ReasonCode.BAD_CHECKPOINT, checkpoint, *names)


def test_another_architecture_is_refused(checkpoint, target):
    raw = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(raw | {"model_type": "llama"}))

    check_refused(checkpoint, target, ReasonCode.UNKNOWN_FAMILY, "'llama'")


def test_a_checkpoint_without_a_tokenizer_is_refused(checkpoint, target):
    (checkpoint / "tokenizer.json").unlink()

    check_refused(
        checkpoint, target, ReasonCode.BAD_CHECKPOINT, checkpoint, "no tokenizer.json"
    )


def test_a_cut_off_shard_is_refused(checkpoint, target):
    whole = (checkpoint / WEIGHTS).read_bytes()
    (checkpoint / WEIGHTS).write_bytes(whole[: len(whole) // 2])

    check_refused(
        checkpoint, target, ReasonCode.BAD_CHECKPOINT, checkpoint / WEIGHTS, "corrupt"
    )


def test_experts_that_no_block_fits_are_refused(checkpoint, target):
    raw = json.loads((checkpoint / "config.json").read_text())
    raw["text_config"]["moe_intermediate_size"] = 32
    (checkpoint / "config.json").write_text(json.dumps(raw))
    change(
        checkpoint,
        lambda tensors, _: tensors.update(
            {
                n: torch.ones(4, 64, 64 if "gate" in n else 32)
                for n in tensors
                if "experts." in n
            }
        ),
    )

    check_refused(
        checkpoint, target, ReasonCode.BAD_CHECKPOINT, "[4, 64, 32]", "multiple of 64"
    )


def test_packing_without_bitsandbytes_says_what_to_install(checkpoint, target, monkeypatch):
    nf4.bitsandbytes.cache_clear()
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    try:
        check_refused(
            checkpoint, target, ReasonCode.MISSING_PACKAGE, "pip install bitsandbytes"
        )
    finally:
        nf4.bitsandbytes.cache_clear()


def test_a_packed_checkpoint_is_not_packed_again(packed_checkpoint, target):
    check_refused(
        packed_checkpoint, target, ReasonCode.BAD_CHECKPOINT, packed_checkpoint, "bfloat16"
    )
    assert (packed_checkpoint / MANIFEST).is_file()
