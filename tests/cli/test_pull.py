"""`dg-lsp pull` against a hub on this machine, and from a directory."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from safetensors.torch import load_file, save_file

from dg_lsp import cli
from dg_lsp.diagnosis import available
from dg_lsp.diagnosis.catalogue import AVAILABLE
from dg_lsp.hardware import Gpu, Machine
from dg_lsp.models import device as devices
from dg_lsp.models.checkpoint import WEIGHTS
from dg_lsp.models.hub import RemoteShards
from dg_lsp.models.loading import load
from dg_lsp.models.nf4 import packing
from dg_lsp.models.nf4.manifest import read_manifest
from dg_lsp.reason import ReasonCode
from tests.w4a16 import write_int4


def pull(*arguments: str) -> int:
    return cli.run(["pull", "--device", "cpu", *arguments])


@pytest.fixture
def checkpoint(tiny_checkpoint, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "tiny-gemma"))


def test_a_checkpoint_on_disk_gets_a_name(checkpoint, store, capsys):
    status = pull("--from", str(checkpoint), "--name", "mine")

    assert status == 0
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("dg-lsp: mine: 0.25 million parameters in 0.2 MB; ")
    assert said[-1].endswith("use it with --model mine")
    loaded = load("mine", "cpu")
    assert loaded.info.name == "mine"
    assert read_manifest(store / "mine").source == str(checkpoint)
    assert (checkpoint / WEIGHTS).is_file()


def test_it_is_used_without_being_named_afterwards(checkpoint, store, monkeypatch, caplog):
    caplog.set_level("INFO", "dg_lsp.models.loading")
    assert load(None, "cpu").info.name == "bundled"
    assert "the bundled model is used" in caplog.text
    pull("--from", str(checkpoint))

    assert load(None, "cpu").info.name == "tiny-gemma"
    assert "tiny-gemma is the best installed model that fits" in caplog.text


def test_infill_knows_it_by_its_name(checkpoint, store, tmp_path, capsysbinary):
    pull("--from", str(checkpoint), "--name", "mine")
    source = tmp_path / "a.py"
    source.write_text("def area(r):\n    return \n")
    status = cli.run(["infill", f"{source}:2:12", "--model", "mine", "--device", "cpu",
                      "--max-tokens", "4", "--json"])  # fmt: skip

    assert status in (0, 1)
    assert json.loads(capsysbinary.readouterr().out)["model"] == "mine"


@pytest.mark.skipif(os.name == "nt", reason="modes are those of Unix")
def test_what_is_pulled_is_for_the_user_alone(checkpoint, store, monkeypatch):
    words = ["dg-lsp", "pull", "--device", "cpu", "--from", str(checkpoint), "--name", "mine"]
    monkeypatch.setattr("sys.argv", words)
    # As in a shell whose umask keeps nothing back.
    before = os.umask(0)
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        os.umask(before)
    assert not ended.value.code
    made = [store, *store.rglob("*")]
    assert any(one.suffix == ".safetensors" for one in made)
    assert [f"{one.stat().st_mode:o} {one}" for one in made if one.stat().st_mode & 0o077] == []


def test_the_source_is_deleted_on_request(checkpoint, store):
    assert pull("--from", str(checkpoint), "--delete-source") == 0

    assert not (checkpoint / WEIGHTS).exists()
    assert (checkpoint / "config.json").is_file()


def test_a_repository_of_the_hub(hub, store, capsys):
    assert pull("someone/gemma") == 0

    said = capsys.readouterr().err
    assert "someone/gemma: licence apache-2.0, 1." in said
    assert "downloading: " in said
    assert "packing: " in said
    assert load("gemma", "cpu").info.name == "gemma"
    manifest = read_manifest(store / "gemma")
    assert manifest.source.startswith("someone/gemma@0123456789")
    # The full weights are given back.
    assert not (store / ".downloads" / "gemma").exists()


def test_a_program_follows_it_line_by_line(hub, store, capsys):
    assert pull("someone/gemma", "--json") == 0

    output = capsys.readouterr()
    events = [json.loads(line) for line in output.out.splitlines()]
    assert output.err == ""
    assert (events[0]["event"], events[0]["licence"], events[0]["needs_consent"]) == (
        "found", "apache-2.0", False,
    )  # fmt: skip
    assert events[0]["missing_bytes"] == events[0]["bytes"] > 0
    last = {one["what"]: one for one in events if one["event"] == "progress"}
    assert last["downloading"]["done"] == last["downloading"]["total"] > 0
    assert last["packing"]["done"] == last["packing"]["total"] > 0
    [done] = [one for one in events if one["event"] == "done"]
    assert done["name"] == "gemma"


def test_a_look_downloads_nothing(hub, store, capsys):
    hub.licence = "gemma"
    assert pull("someone/gemma", "--json", "--look") == 0

    [found] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (found["event"], found["licence"], found["needs_consent"]) == (
        "found",
        "gemma",
        True,
    )
    assert not any(name.endswith(".safetensors") for name in hub.sent)
    assert not (store / ".downloads").exists()


def test_the_download_is_kept_on_request(hub, store):
    assert pull("someone/gemma", "--name", "mine", "--keep-source") == 0

    assert (store / "mine").is_dir()
    ours = load_file(store / ".downloads" / "mine" / WEIGHTS)
    assert ours.keys() == load_file(hub.directory / WEIGHTS).keys()


def files_of(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.glob("*.safetensors")}


def size_of(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


@pytest.mark.parametrize("in_order", [True, False])
def test_the_disk_holds_the_packed_model_and_at_most_two_shards(
    hub, store, split_into_shards, monkeypatch, in_order
):
    shards = split_into_shards(hub.directory, 4, in_order=in_order)
    largest = max((hub.directory / shard).stat().st_size for shard in shards)
    peak = 0

    def watched(original):
        def watching(*arguments, **more):
            nonlocal peak
            peak = max(peak, size_of(store))
            result = original(*arguments, **more)
            peak = max(peak, size_of(store))
            return result

        return watching

    monkeypatch.setattr(packing.os, "fsync", watched(packing.os.fsync))
    monkeypatch.setattr(packing, "write_json", watched(packing.write_json))
    for name in ("get", "give_back"):
        monkeypatch.setattr(RemoteShards, name, watched(getattr(RemoteShards, name)))
    assert pull("someone/gemma") == 0

    packed = size_of(store / "gemma")
    small = sum((hub.directory / name).stat().st_size for name in ("config.json",
                "tokenizer.json", "model.safetensors.index.json"))  # fmt: skip
    bookkeeping = 20_000
    assert largest < peak - small < packed + 2 * largest + bookkeeping
    # All shards together would be more, so something was given back in the meantime.
    assert packed + 2 * largest + bookkeeping < packed + sum(
        (hub.directory / shard).stat().st_size for shard in shards
    )


MOMENTS = {
    "download": lambda: (RemoteShards, "get"),
    "flush": lambda: (packing.os, "fsync"),
    "rename": lambda: (packing.os, "replace"),
    "record": lambda: (packing, "write_json"),
    "giving back": lambda: (RemoteShards, "give_back"),
    "joining": lambda: (packing, "load_file"),
}


@pytest.mark.parametrize("place", MOMENTS.values(), ids=MOMENTS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_interrupted_anywhere_it_goes_on_and_ends_the_same(
    hub, store, split_into_shards, packed_checkpoint, monkeypatch, place, after
):
    split_into_shards(hub.directory, 3)
    where, name = place()
    original = getattr(where, name)
    runs = calls = 0

    def interrupted(*arguments, **more):
        nonlocal calls
        calls += 1
        # Each run comes one call further.
        if calls == runs and not after:
            raise KeyboardInterrupt
        result = original(*arguments, **more)
        if calls == runs and after:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(where, name, interrupted)
    while not (store / "gemma").exists():
        runs, calls = runs + 1, 0
        assert runs < 60
        pull("someone/gemma", "--json")
    monkeypatch.setattr(where, name, original)

    assert runs > 1
    assert files_of(store / "gemma") == files_of(packed_checkpoint)
    assert load("gemma", "cpu").info.name == "gemma"


def test_packed_shards_are_not_downloaded_again(
    hub, store, split_into_shards, monkeypatch, capsys
):
    shards = split_into_shards(hub.directory, 3, in_order=True)
    original = RemoteShards.get

    def interrupted(self, shard):
        if shard == shards[2]:
            raise KeyboardInterrupt
        return original(self, shard)

    monkeypatch.setattr(RemoteShards, "get", interrupted)
    assert pull("someone/gemma") != 0
    assert [*store.rglob("model-*.safetensors")] == []
    monkeypatch.setattr(RemoteShards, "get", original)
    hub.sent.clear()
    capsys.readouterr()
    assert pull("someone/gemma", "--json") == 0

    assert [name for name in hub.sent if name in shards] == [shards[2]]
    found = json.loads(capsys.readouterr().out.splitlines()[0])
    assert found["missing_bytes"] == (hub.directory / shards[2]).stat().st_size


def test_two_pulls_at_once_do_not_get_in_each_others_way(hub, store, failure):
    store.mkdir(exist_ok=True)
    with FileLock(store / ".gemma.lock"):
        reason = failure("pull", "--device", "cpu", "someone/gemma")

    assert reason.code is ReasonCode.NAME_TAKEN
    assert "another process" in reason.message
    assert WEIGHTS not in hub.sent


GPU = Gpu("NVIDIA L4", (8, 9), 24 * 10**9)
MACHINE = Machine(
    "Linux", (GPU,), "580.95", "2.15.0", "13.0", torch_finds_gpu=True, has_bitsandbytes=True,
    has_triton=True, has_compiler=True, has_headers=True,
)  # fmt: skip
LACKING = [
    ({"system": "Darwin", "gpus": (), "torch_finds_gpu": False}, ReasonCode.NO_GPU),
    ({"gpus": (), "torch_finds_gpu": False}, ReasonCode.NO_GPU),
    ({"is_rocm": True, "gpus": (), "torch_finds_gpu": False}, ReasonCode.NO_GPU),
    ({"gpus": (Gpu("Tesla T4", (7, 5), 16 * 10**9),)}, ReasonCode.OLD_GPU),
    ({"torch_finds_gpu": False, "driver": "560.1"}, ReasonCode.OLD_DRIVER),
    ({"torch_finds_gpu": False, "cuda_build": ""}, ReasonCode.NO_CUDA),
    ({"has_triton": False}, ReasonCode.MISSING_PACKAGE),
    ({"has_triton": False, "system": "Windows"}, ReasonCode.MISSING_PACKAGE),
    ({"has_compiler": False}, ReasonCode.NO_COMPILER),
    ({"has_headers": False}, ReasonCode.NO_COMPILER),
    ({"gpus": (Gpu("NVIDIA L4", (8, 9), 10**8),)}, ReasonCode.DOES_NOT_FIT),
    ({"has_bitsandbytes": False}, ReasonCode.MISSING_PACKAGE),
]


@pytest.fixture
def at(monkeypatch):
    """Another machine, on which a model of this size needs a GPU."""
    monkeypatch.setattr("dg_lsp.models.store.MOST_PARAMETERS_ON_A_CPU", 0)

    def put(**changes) -> None:
        found = dataclasses.replace(MACHINE, **changes)
        monkeypatch.setattr(devices, "look", lambda: found)

    return put


@pytest.mark.parametrize(("changes", "code"), LACKING)
def test_a_machine_that_cannot_run_it_costs_no_download(hub, store, failure, at, changes, code):
    at(**changes)
    reason = failure("pull", "someone/gemma")

    assert reason.code is code
    assert WEIGHTS not in hub.sent
    assert not (store / "gemma").exists()


@pytest.mark.parametrize(("changes", "code"), [(None, None), *LACKING[:-1]])
def test_a_look_tells_the_verdict(hub, store, at, capsys, changes, code):
    at(**(changes or {}))
    assert cli.run(["pull", "someone/gemma", "--json", "--look"]) == 0

    [found] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["code"] for one in found["obstacles"]] == ([code.value] if code else [])
    assert WEIGHTS not in hub.sent


@pytest.mark.parametrize("way", ["--force", "--device=cpu"])
def test_it_is_packed_for_another_machine_on_request(hub, store, at, way):
    at(gpus=(), torch_finds_gpu=False)

    assert cli.run(["pull", "someone/gemma", way]) == 0
    assert (store / "gemma").is_dir()


def test_a_checkpoint_on_disk_is_judged_too(checkpoint, store, at, failure):
    at(gpus=(), torch_finds_gpu=False)

    assert failure("pull", "--from", str(checkpoint)).code is ReasonCode.NO_GPU
    assert cli.run(["pull", "--from", str(checkpoint), "--force"]) == 0


def test_a_small_model_needs_no_gpu(hub, store, at, monkeypatch):
    at(gpus=(), torch_finds_gpu=False)
    monkeypatch.setattr("dg_lsp.models.store.MOST_PARAMETERS_ON_A_CPU", 10**9)

    assert cli.run(["pull", "someone/gemma"]) == 0


def test_a_gpu_that_is_asked_for_must_be_there(hub, store, at, failure):
    at()

    assert failure("pull", "someone/gemma", "--device", "cuda:1").code is ReasonCode.NO_DEVICE
    assert hub.sent.keys() <= {"config.json", "tokenizer.json", "dg_lsp.json",
                               "generation_config.json"}  # fmt: skip


def test_a_broken_download_goes_on_where_it_stopped(hub, store, split_into_shards, failure):
    first, second = split_into_shards(hub.directory, 2)
    hub.breaks[second] = 1000
    reason = failure("pull", "someone/gemma")

    assert reason.code is ReasonCode.DOWNLOAD_FAILED
    assert f"someone/gemma/{second}" in reason.message
    assert not (store / "gemma").exists()
    hub.breaks.clear()
    hub.sent.clear()
    assert pull("someone/gemma") == 0
    assert first not in hub.sent
    assert hub.sent[second] == (hub.directory / second).stat().st_size


def test_a_damaged_download_is_removed(hub, store, failure):
    hub.damaged.add(WEIGHTS)
    assert failure("pull", "someone/gemma").code is ReasonCode.DOWNLOAD_FAILED
    assert not (store / ".downloads" / "gemma" / WEIGHTS).exists()
    assert not (store / "gemma").exists()
    hub.damaged.clear()
    assert pull("someone/gemma") == 0


@pytest.mark.parametrize("licence", ["gemma", "apple-amlr", "other", None])
def test_another_licence_must_be_accepted_by_name(hub, store, failure, licence):
    hub.licence = licence
    reason = failure("pull", "someone/gemma")
    assert reason.code is ReasonCode.LICENCE
    assert repr(licence or "unknown") in reason.message
    assert "--accept-licence" in reason.message
    assert hub.sent == {}

    assert pull("someone/gemma", "--accept-licence") == 0


@pytest.mark.parametrize("licence", ["apache-2.0", "mit", "bsd-3-clause"])
def test_a_free_licence_is_not_asked_for(hub, store, capsys, licence):
    hub.licence = licence
    assert pull("someone/gemma", "--json", "--look") == 0
    assert json.loads(capsys.readouterr().out)["needs_consent"] is False
    assert pull("someone/gemma") == 0


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("n", cli.EXIT_REFUSED)])
def test_on_a_terminal_the_licence_is_asked_for(hub, store, monkeypatch, answer, status):
    hub.licence = "apple-amlr"
    monkeypatch.setattr("sys.stdin", Keyboard(f"{answer}\n"))

    assert pull("someone/gemma") == status
    assert (WEIGHTS in hub.sent) is (status == 0)


class Keyboard(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_gated_repository_says_what_to_do(hub, store, failure):
    hub.gated = True
    assert failure("pull", "someone/gemma").code is ReasonCode.LICENCE


def test_a_repository_that_is_not_there(hub, store, failure):
    reason = failure("pull", "someone/else")

    assert reason.code is ReasonCode.NO_REPOSITORY
    assert hub.address in reason.message


def test_no_hub_at_all(store, monkeypatch, failure):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert failure("pull", "someone/gemma").code is ReasonCode.DOWNLOAD_FAILED


def test_another_architecture_costs_no_download(hub, store, failure):
    config = json.loads((hub.directory / "config.json").read_text())
    (hub.directory / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    reason = failure("pull", "someone/gemma")

    assert reason.code is ReasonCode.UNKNOWN_FAMILY
    assert "'llama'" in reason.message
    assert WEIGHTS not in hub.sent


def test_a_missing_tokenizer_costs_no_download(hub, store, failure):
    (hub.directory / "tokenizer.json").unlink()
    reason = failure("pull", "someone/gemma")

    assert reason.code is ReasonCode.BAD_CHECKPOINT
    assert "tokenizer.json" in reason.message
    assert WEIGHTS not in hub.sent


def test_a_full_disk_costs_no_download(hub, store, monkeypatch, failure):
    usage = shutil.disk_usage(hub.directory)._replace(free=200_000)
    monkeypatch.setattr(packing.shutil, "disk_usage", lambda path: usage)
    reason = failure("pull", "someone/gemma")

    assert reason.code is ReasonCode.DISK_FULL
    assert "0.2 MB" in reason.message
    assert WEIGHTS not in hub.sent


@pytest.mark.parametrize("name", ["a/b", "..", "-x", "bundled", "scripted", "ä"])
def test_a_name_that_would_not_work_is_refused(checkpoint, store, failure, name):
    reason = failure("pull", "--from", str(checkpoint), f"--name={name}")

    assert reason.code is ReasonCode.INVALID_ARGUMENT
    assert repr(name) in reason.message


def test_a_name_that_is_taken_is_refused(checkpoint, store, failure):
    assert pull("--from", str(checkpoint), "--name", "mine") == 0
    reason = failure("pull", "--from", str(checkpoint), "--name", "mine")

    assert reason.code is ReasonCode.NAME_TAKEN
    assert "--name" in reason.message


def test_one_source_only(checkpoint, store, failure):
    reason = failure("pull", "someone/gemma", "--from", str(checkpoint))

    assert reason.code is ReasonCode.INVALID_ARGUMENT
    assert "--from" in reason.message


def test_a_bar_is_drawn_on_a_terminal(checkpoint, store, python_on_a_terminal):
    # The bar goes to stderr, which the pipe of this fixture is not; see that it is plain there.
    status, drawn, said = python_on_a_terminal(
        "-m", "dg_lsp", "pull", "--device", "cpu", "--from", str(checkpoint), "--name", "mine",
        DG_LSP_MODELS_DIR=str(store),
    )  # fmt: skip

    assert (status, drawn) == (0, b"")
    assert b"packing: 0.5 MB of 0.5 MB" in said


@pytest.fixture
def int4_hub(hub, tiny_checkpoint):
    """The repository has ready-made int4 weights."""
    shutil.rmtree(hub.directory)
    write_int4(tiny_checkpoint, hub.directory)
    return hub


def test_ready_made_int4_is_kept_as_it_is(int4_hub, store, at, capsys):
    # Nothing is packed, so bitsandbytes is not needed.
    at(has_bitsandbytes=False)
    assert cli.run(["pull", "someone/gemma", "--force", "--json"]) == 0

    assert read_manifest(store / "gemma").precision == "int4"
    published = (int4_hub.directory / WEIGHTS).read_bytes()
    assert (store / "gemma" / WEIGHTS).read_bytes() == published
    assert not (store / ".downloads" / "gemma").exists()
    assert load("gemma", "cpu").info.name == "gemma"


def test_ready_made_int4_on_disk_stays_there(store, tiny_checkpoint, tmp_path):
    source = write_int4(tiny_checkpoint, tmp_path / "int4")

    assert pull("--from", str(source), "--name", "mine") == 0
    assert (source / WEIGHTS).is_file()
    assert read_manifest(store / "mine").precision == "int4"


@pytest.fixture
def two_formats(int4_hub, monkeypatch):
    """Without a repository, pull chooses among these; only the first is on the hub."""
    ours = zip(AVAILABLE, ("gemma", "full", "dreamon"), strict=False)
    models = tuple(
        dataclasses.replace(model, name=name, repository=f"someone/{name}")
        for model, name in ours
    )
    monkeypatch.setattr(available, "AVAILABLE", models)
    monkeypatch.setattr(available, "_free", lambda directory: 10**12)
    return int4_hub


def test_without_a_repository_int4_is_taken_where_it_fits(two_formats, store, at, capsys):
    at()
    assert cli.run(["pull", "--look"]) == 0

    assert "someone/gemma is taken" in capsys.readouterr().err


def test_without_a_repository_full_weights_are_taken_where_int4_does_not_fit(
    two_formats, store, at, failure
):
    at(gpus=(dataclasses.replace(GPU, total_bytes=19 * 10**9),))
    reason = failure("pull", "--look")

    assert reason.code is ReasonCode.NO_REPOSITORY
    assert "someone/full" in reason.message


def test_without_a_repository_nothing_is_taken_where_nothing_fits(
    two_formats, store, at, failure
):
    at(gpus=(dataclasses.replace(GPU, total_bytes=10**8),))

    assert failure("pull", "--look").code is ReasonCode.DOES_NOT_FIT
    assert two_formats.sent == {}


def test_a_short_name_stands_for_a_repository(hub, store, failure):
    assert "Dream-org/DreamOn-v0-7B" in failure("pull", "dreamon", "--look").message


def test_without_a_repository_what_has_begun_goes_on(two_formats, store, at, failure):
    at()
    (store / ".downloads" / "full").mkdir(parents=True)

    assert "someone/full" in failure("pull", "--look").message


def test_two_downloads_at_once_are_refused(hub, store, failure):
    (store / ".downloads").mkdir(parents=True)
    with FileLock(store / ".downloads" / "gemma.lock"):
        reason = failure("pull", "--device", "cpu", "someone/gemma")

    assert reason.code is ReasonCode.NAME_TAKEN
    assert WEIGHTS not in hub.sent


TOKENIZER_FILES = ("vocab.json", "merges.txt", "tokenizer_config.json", "added_tokens.json")


@pytest.fixture
def masked_hub(hub, save_masked_checkpoint):
    """The repository has a masked model in 16 bits with the tokenizer as Qwen2 has it."""
    directory = hub.directory
    shutil.rmtree(directory)
    save_masked_checkpoint(directory)
    tensors = load_file(directory / WEIGHTS)
    save_file(
        {name: tensor.bfloat16() for name, tensor in tensors.items()}, directory / WEIGHTS
    )
    tokenizer = json.loads((directory / "tokenizer.json").read_text())
    (directory / "tokenizer.json").unlink()
    vocabulary, added = tokenizer["model"]["vocab"], tokenizer["added_tokens"]
    (directory / "vocab.json").write_text(json.dumps(vocabulary))
    merges = [" ".join(pair) for pair in tokenizer["model"]["merges"]]
    (directory / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    names = {token["content"]: token["id"] for token in added}
    (directory / "added_tokens.json").write_text(json.dumps(names))
    by_id = {str(token["id"]): token for token in added}
    (directory / "tokenizer_config.json").write_text(
        json.dumps({"added_tokens_decoder": by_id, "mask_token": "<|mask|>"})
    )
    return hub


CPU_ONLY = {
    "gpus": (), "torch_finds_gpu": False, "has_bitsandbytes": False, "has_triton": False,
}  # fmt: skip


def test_a_masked_model_for_a_cpu_is_kept_as_it_is(masked_hub, store, at, monkeypatch, capsys):
    at(**CPU_ONLY)
    monkeypatch.setattr("dg_lsp.models.store.MOST_PARAMETERS_ON_A_CPU", 10**9)
    published = (masked_hub.directory / WEIGHTS).read_bytes()

    assert cli.run(["pull", "someone/gemma"]) == 0
    assert masked_hub.sent.keys() >= {*TOKENIZER_FILES, WEIGHTS}
    assert read_manifest(store / "gemma").precision == "bfloat16"
    assert (store / "gemma" / WEIGHTS).read_bytes() == published
    assert not (store / ".downloads" / "gemma").exists()
    # It is the best model here now.
    assert load(None, "cpu").info.name == "gemma"


def test_a_look_finds_the_mask_wherever_it_is_named(hub, save_masked_checkpoint, store, capsys):
    shutil.rmtree(hub.directory)
    save_masked_checkpoint(hub.directory)
    path = hub.directory / "config.json"
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in raw.items() if not k.endswith("_token_id")}))
    (hub.directory / "tokenizer_config.json").unlink(missing_ok=True)

    assert pull("someone/gemma", "--json", "--look") == 0
    [found] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert found["event"] == "found"
    assert "tokenizer.json" in hub.sent
    assert WEIGHTS not in hub.sent


def test_a_masked_model_that_is_too_large_for_a_cpu_is_packed(masked_hub, store, at):
    at()
    assert pull("someone/gemma") == 0

    assert masked_hub.sent.keys() >= {*TOKENIZER_FILES, WEIGHTS}
    assert read_manifest(store / "gemma").precision == "nf4"
    assert load("gemma", "cpu").info.name == "gemma"


@pytest.mark.parametrize("file", ["merges.txt", "vocab.json"])
def test_a_masked_model_without_half_of_its_tokenizer_costs_no_download(
    masked_hub, store, failure, file
):
    (masked_hub.directory / file).unlink()
    reason = failure("pull", "someone/gemma", "--device", "cpu")

    assert reason.code is ReasonCode.BAD_CHECKPOINT
    assert file in reason.message
    assert WEIGHTS not in masked_hub.sent


def test_a_masked_model_on_disk_is_kept_too(masked_checkpoint, store, at, monkeypatch):
    at(**CPU_ONLY)
    monkeypatch.setattr("dg_lsp.models.store.MOST_PARAMETERS_ON_A_CPU", 10**9)

    assert cli.run(["pull", "--from", str(masked_checkpoint), "--name", "mine"]) == 0
    assert read_manifest(store / "mine").precision == "float32"


@pytest.mark.parametrize("device", ["cpu", None])
def test_what_is_proposed_for_a_cpu_is_the_small_model(
    hub, store, at, monkeypatch, failure, device
):
    at(**({"has_bitsandbytes": False} if device else CPU_ONLY))
    monkeypatch.setattr(available, "_free", lambda directory: 10**12)
    monkeypatch.setattr(available, "_ram", lambda: 10**10)
    asked = ["--device", device] if device else []

    assert AVAILABLE[-1].repository in failure("pull", "--look", *asked).message


def test_a_revision_needs_a_repository(hub, store, failure):
    assert failure("pull", "--revision", "main").code is ReasonCode.INVALID_ARGUMENT
    assert hub.sent == {}


@pytest.mark.parametrize("what", ["NVFP4", "GGUF"])
def test_a_format_that_is_not_read_is_named_before_the_weights_come(
    what, int4_hub, store, failure
):
    directory = int4_hub.directory
    if what == "GGUF":
        (directory / WEIGHTS).rename(directory / "model.gguf")
    else:
        config = json.loads((directory / "config.json").read_text())
        config["quantization_config"] = {"quant_method": "modelopt", "quant_algo": what}
        (directory / "config.json").write_text(json.dumps(config))
    reason = failure("pull", "someone/gemma", "--device", "cpu")

    assert reason.code is ReasonCode.UNKNOWN_FORMAT
    assert what in reason.message
    assert not {WEIGHTS, "model.gguf"} & int4_hub.sent.keys()


def test_on_a_mac_a_masked_model_is_kept_for_its_gpu(masked_hub, store, at, capsys):
    # It is too large for a CPU.
    at(system="Darwin", gpus=(), torch_finds_gpu=False, has_mps=True, has_bitsandbytes=False)

    assert cli.run(["pull", "someone/gemma"]) == 0
    assert read_manifest(store / "gemma").precision == "bfloat16"


def test_on_a_mac_diffusion_gemma_does_not_fit(hub, store, at, failure):
    at(system="Darwin", gpus=(), torch_finds_gpu=False, has_mps=True)

    assert failure("pull", "someone/gemma").code is ReasonCode.NO_GPU
    assert failure("pull", "someone/gemma", "--device", "mps").code is ReasonCode.NO_DEVICE
