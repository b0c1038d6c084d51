"""Checkpoint directories: one that works, and every way in which one can be wrong."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, models
from transformers.models.diffusion_gemma.generation_diffusion_gemma import (
    DiffusionGemmaGenerationConfig,
    EntropyBoundSamplerConfig,
)

from dg_lsp.config import MaskedSettings, Order, PromptStyle
from dg_lsp.engine.engine import Engine
from dg_lsp.hardware import Gpu, Machine
from dg_lsp.job import InfillJob
from dg_lsp.models import loading
from dg_lsp.models.gemma import family as gemma_family
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.loading import CheckpointError, load
from dg_lsp.models.memory import weight_dtype
from dg_lsp.models.nf4.manifest import read_manifest
from dg_lsp.models.nf4.packing import pack
from dg_lsp.models.nf4.planning import plan_packing
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.training.tokenizer import CONTROL, train_tokenizer

WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
INDEX = "model.safetensors.index.json"


@pytest.fixture
def checkpoint(tiny_checkpoint, tmp_path) -> Path:
    """A copy of the tiny checkpoint that a test may spoil."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "tiny-gemma"))


def refusal(name: str | Path, device: str | None = "cpu") -> Reason:
    """The code and the one line with which a checkpoint is refused."""
    with pytest.raises(CheckpointError) as raised:
        load(str(name), device)
    reason = raised.value.reason
    assert reason.message
    assert "\n" not in reason.message
    return reason


async def test_a_checkpoint_infills(tiny_checkpoint):
    loaded = load(str(tiny_checkpoint), "cpu")
    settings = dataclasses.replace(
        loaded.settings,
        sampler=dataclasses.replace(loaded.settings.sampler, max_denoising_steps=2),
    )
    engine = Engine(
        loaded.denoiser, loaded.codec, loaded.family(settings), settings, loaded.info.name
    )
    job = InfillJob("def area(", "):\n", span_tokens=3)
    try:
        infills = [
            (await engine.submit(dataclasses.replace(job, seed=seed)).result()).infill
            for seed in range(30)
        ]
    finally:
        await engine.close()

    # Random weights often write bytes that form no text, but not always.
    assert any(infill.candidates for infill in infills)
    for infill in infills:
        assert infill.candidates or infill.reason
        assert (infill.steps, infill.model) == (2, tiny_checkpoint.name)
    assert (loaded.info.name, loaded.info.device) == (tiny_checkpoint.name, "cpu")
    assert loaded.info.follows_instructions
    assert loaded.info.sees_other_files
    # The prompt's style is what `dg_lsp.json` says, the rest stays at its default.
    assert loaded.settings.prompt.style is PromptStyle.BARE
    assert loaded.settings.prompt.right_anchor_tokens == 16


def test_weights_are_those_of_the_file(tiny_checkpoint, tiny_model):
    model = load(str(tiny_checkpoint), "cpu").denoiser.model

    theirs = dict(tiny_model.named_parameters())
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, theirs[name]), name
        assert parameter.dtype == torch.float32
    assert not model.training


def test_settings_of_the_checkpoint_override_the_defaults(checkpoint):
    DiffusionGemmaGenerationConfig(
        max_denoising_steps=24,
        t_max=0.7,
        t_min=None,
        sampler_config=EntropyBoundSamplerConfig(entropy_bound=0.5),
    ).save_pretrained(checkpoint)
    write(
        checkpoint / loading.METADATA,
        {
            "prompt": {"style": "bare", "right_anchor_tokens": 7, "snippet_tokens": 0},
            "length": {"lengths": [1, 2], "keep_after": [[2, 1]]},
            "engine": {
                "block_tokens": 9,
                "min_confidence": 0.25,
                "alternatives_temperature": 2.5,
            },
            "follows_instructions": False,
        },
    )
    loaded = load(str(checkpoint), "cpu")

    sampler = loaded.settings.sampler
    assert (sampler.max_denoising_steps, sampler.t_max, sampler.t_min) == (24, 0.7, 0.4)
    assert sampler.entropy_bound == 0.5
    assert loaded.settings.prompt.style is PromptStyle.BARE
    assert loaded.settings.prompt.right_anchor_tokens == 7
    assert loaded.settings.length.lengths == (1, 2)
    assert loaded.settings.length.keep_after == ((2, 1),)
    assert (loaded.settings.block_tokens, loaded.settings.min_confidence) == (9, 0.25)
    assert loaded.settings.alternatives_temperature == 2.5
    assert not loaded.info.follows_instructions
    assert not loaded.info.sees_other_files


def test_a_masked_checkpoint_says_how_it_fills_spans(save_masked_checkpoint, tmp_path):
    directory = save_masked_checkpoint(tmp_path / "model")
    said = {
        "order": "p2",
        "start_masks": [8, 32],
        "race_masks": [3],
        "keep_after": [[1, 3], [2, 1]],
        "expand_budget": 7,
        "empty_nats": -1.5,
    }
    write(directory / loading.METADATA, {"masked": said, "cache": {"refresh_steps": 2}})
    loaded = load(str(directory), "cpu")

    assert loaded.settings.masked == MaskedSettings(
        order=Order.P2,
        start_masks=(8, 32),
        race_masks=(3,),
        keep_after=((1, 3), (2, 1)),
        expand_budget=7,
        empty_nats=-1.5,
    )
    assert loaded.denoiser.refresh_steps == 2


@pytest.mark.parametrize(
    "masked",
    [
        {"order": "best"},
        {"start_masks": []},
        {"race_masks": 4},
        {"keep_after": [[1]]},
        {"sure_probability": 2},
        {"expand_budget": -1},
        {"no_such_setting": 1},
        [],
    ],
)
def test_wrong_settings_of_a_masked_checkpoint_are_refused(
    save_masked_checkpoint, tmp_path, masked
):
    directory = save_masked_checkpoint(tmp_path / "model")
    write(directory / loading.METADATA, {"masked": masked})

    reason = refusal(directory)
    assert reason.code is ReasonCode.BAD_CHECKPOINT
    assert loading.METADATA in reason.message


def write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def change_json(name: str, **changes: object) -> Callable[[Path], None]:
    def spoil(directory: Path) -> None:
        raw = json.loads((directory / name).read_text(encoding="utf-8"))
        write(directory / name, raw | changes)

    return spoil


def put(name: str, content: str | bytes) -> Callable[[Path], None]:
    raw = content.encode() if isinstance(content, str) else content
    return lambda directory: (directory / name).write_bytes(raw) and None


def remove(name: str) -> Callable[[Path], None]:
    return lambda directory: (directory / name).unlink()


def both(*spoils: Callable[[Path], None]) -> Callable[[Path], None]:
    def spoil(directory: Path) -> None:
        for each in spoils:
            each(directory)

    return spoil


def cut_off(name: str, share: float) -> Callable[[Path], None]:
    def spoil(directory: Path) -> None:
        raw = (directory / name).read_bytes()
        (directory / name).write_bytes(raw[: int(len(raw) * share)])

    return spoil


def change_tensors(change: Callable[[dict[str, torch.Tensor], str], object]):
    """Spoil the tensors, given with the name of one of them."""

    def spoil(directory: Path) -> None:
        tensors = load_file(directory / WEIGHTS)
        name = next(name for name in sorted(tensors) if name.endswith("q_proj.weight"))
        change(tensors, name)
        save_file(tensors, directory / WEIGHTS, metadata={"format": "pt"})

    return spoil


def put_index(weight_map: object) -> Callable[[Path], None]:
    """An index of shards in place of the one file."""

    def spoil(directory: Path) -> None:
        (directory / WEIGHTS).unlink()
        write(directory / INDEX, {"weight_map": weight_map})

    return spoil


def grow_the_tokenizer(directory: Path) -> None:
    text = "".join(chr(97 + a) + chr(97 + b) + " " for a in range(26) for b in range(26))
    train_tokenizer([text * 2], vocab_size=600).save(str(directory / TOKENIZER))


def save_another_family(directory: Path) -> None:
    words = {word: number for number, word in enumerate([*CONTROL, "▁def"])}
    tokenizer = Tokenizer(models.WordLevel(words))
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in CONTROL])
    tokenizer.save(str(directory / TOKENIZER))


METADATA, GENERATION = loading.METADATA, "generation_config.json"

# What is wrong: how it is spoiled, the file that the line names, and what else it names.
SPOILED = {
    "no config": (remove(CONFIG), "", "config.json"),
    "config is not JSON": (put(CONFIG, "{"), CONFIG, "JSON"),
    "config is not text": (put(CONFIG, b"\xff\xfe"), CONFIG, "JSON"),
    "config is a list": (put(CONFIG, "[]"), CONFIG, "JSON object"),
    "config is of another model": (
        change_json(CONFIG, model_type="llama"),
        "",
        "'llama'",
    ),
    "config has no model type": (put(CONFIG, "{}"), "", "None"),
    "config is not valid": (change_json(CONFIG, text_config="no"), ""),
    "no weights": (remove(WEIGHTS), WEIGHTS, "missing"),
    "weights are empty": (put(WEIGHTS, b""), WEIGHTS, "corrupt"),
    "weights are cut off": (cut_off(WEIGHTS, 0.5), WEIGHTS, "corrupt"),
    "header is cut off": (cut_off(WEIGHTS, 0.001), WEIGHTS, "corrupt"),
    "header is too long": (put(WEIGHTS, b"\xff" * 4096), WEIGHTS, "corrupt"),
    "header is not JSON": (
        put(WEIGHTS, b"\x10" + b"\0" * 7 + b"{" * 16),
        WEIGHTS,
        "corrupt",
    ),
    "weights are a pointer": (
        put(WEIGHTS, "version https://git-lfs.github.com/spec/v1\n"),
        WEIGHTS,
        "corrupt",
    ),
    "a shard is missing": (put_index({"a": "b.safetensors"}), "b.safetensors", "missing"),
    "index lists nothing": (put_index({}), ""),
    "index is not valid": (put_index([]), INDEX),
    "index is not JSON": (
        both(remove(WEIGHTS), put(INDEX, "{")),
        INDEX,
        "JSON",
    ),
    "a tensor is missing": (
        change_tensors(lambda tensors, name: tensors.pop(name)),
        "",
        "missing",
        "q_proj.weight",
    ),
    "a tensor is too many": (
        change_tensors(lambda tensors, _: tensors.update({"model.surplus": torch.zeros(3)})),
        "",
        "unexpected",
        "model.surplus",
    ),
    "a tensor is too small": (
        change_tensors(lambda tensors, name: tensors.update({name: torch.zeros(3, 3)})),
        "",
        "q_proj.weight",
    ),
    "no tokenizer": (
        remove(TOKENIZER),
        "",
        "no tokenizer.json",
    ),
    "tokenizer is empty": (put(TOKENIZER, ""), TOKENIZER, "tokenizer file"),
    "tokenizer is an empty object": (
        put(TOKENIZER, "{}"),
        TOKENIZER,
        "tokenizer file",
    ),
    "tokenizer is not text": (put(TOKENIZER, b"\xff"), TOKENIZER, "tokenizer file"),
    "tokenizer is cut off": (cut_off(TOKENIZER, 0.5), TOKENIZER, "tokenizer file"),
    "tokenizer has no control tokens": (
        change_json(TOKENIZER, added_tokens=[]),
        "",
        "<bos>",
        "<pad>",
        "<|turn>",
        "<turn|>",
    ),
    "tokenizer of another family": (save_another_family, ""),
    "tokenizer is too large": (
        grow_the_tokenizer,
        "",
        "302",
    ),
    "metadata is not JSON": (put(METADATA, "{"), METADATA, "JSON"),
    "metadata is a list": (put(METADATA, "[]"), METADATA, "JSON object"),
    "prompt is a word": (put(METADATA, '{"prompt": "bare"}'), METADATA, "'prompt'", "'bare'"),
    "style is unknown": (put(METADATA, '{"prompt": {"style": "x"}}'), METADATA, "'x'"),
    "setting is unknown": (put(METADATA, '{"prompt": {"x": 1}}'), METADATA, "'x'"),
    "lengths are a number": (
        put(METADATA, '{"length": {"lengths": 3}}'),
        METADATA,
        "valid",
    ),
    "length is a number": (put(METADATA, '{"length": 3}'), METADATA, "'length'", "3"),
    "engine is a number": (put(METADATA, '{"engine": 3}'), METADATA, "'engine'", "3"),
    "generation is not JSON": (put(GENERATION, "{"), GENERATION, "JSON"),
    "temperatures rise": (put(GENERATION, '{"t_min": 9}'), GENERATION, "t_min", "9"),
    "temperature is a word": (put(GENERATION, '{"t_min": "x"}'), ""),
    "sampler is a number": (put(GENERATION, '{"sampler_config": 3}'), "", "sampler_config"),
}


OTHER_CODES = {
    "no config": ReasonCode.NO_MODEL,
    "config is of another model": ReasonCode.UNKNOWN_FAMILY,
    "config has no model type": ReasonCode.UNKNOWN_FAMILY,
}


@pytest.mark.parametrize("wrong", SPOILED)
def test_a_spoiled_checkpoint_is_refused_in_one_line(checkpoint, wrong):
    spoil, file, *names = SPOILED[wrong]
    spoil(checkpoint)
    reason = refusal(checkpoint)

    assert reason.code is OTHER_CODES.get(wrong, ReasonCode.BAD_CHECKPOINT)
    assert str(checkpoint / file) in reason.message
    for name in names:
        assert name in reason.message.replace(str(checkpoint / file), "")


def test_what_is_no_checkpoint_directory_is_refused(tmp_path):
    a_file = tmp_path / "weights.bin"
    a_file.write_bytes(b"\0")

    for path, way_out in (
        (tmp_path / "absent", "'bundled'"),
        (a_file, "config.json"),
        (tmp_path, "config.json"),
    ):
        reason = refusal(path)
        assert reason.code is ReasonCode.NO_MODEL
        assert str(path) in reason.message
        assert way_out in reason.message


def test_a_home_directory_that_is_not_there_is_refused():
    reason = refusal("~nobody-of-that-name/gemma")

    assert reason.code is ReasonCode.NO_MODEL
    assert "~nobody-of-that-name/gemma" in reason.message


def test_loading_reports_how_far_it_is(tiny_checkpoint):
    shares = []
    load(str(tiny_checkpoint), "cpu", shares.append)
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert len(shares) > 10


def test_loading_says_nothing_on_the_terminal(tiny_checkpoint, capfd):
    load(str(tiny_checkpoint), "cpu")

    assert capfd.readouterr() == ("", "")


def test_a_directory_of_the_project_is_not_the_model_of_its_name(
    tiny_checkpoint, tmp_path, monkeypatch, store
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "packed1").symlink_to(tiny_checkpoint)
    reason = refusal("packed1")

    assert reason.code is ReasonCode.NO_MODEL
    for name in ("'packed1'", "dg-lsp models", "./packed1"):
        assert name in reason.message

    assert load("./packed1", "cpu").info.name == "packed1"


def test_a_directory_of_the_project_does_not_stand_in_for_one_of_the_store(
    tiny_checkpoint, packed_checkpoint, tmp_path, monkeypatch, store
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").symlink_to(tiny_checkpoint)
    store.mkdir()
    (store / "mine").symlink_to(packed_checkpoint)

    assert load("mine", "cpu").memory.weights == load(str(store / "mine"), "cpu").memory.weights
    assert load("mine", "cpu").memory.weights != load("./mine", "cpu").memory.weights


@pytest.fixture
def two_models(packed_checkpoint, store):
    """`large` comes before `small`."""
    for name, parameters in (("large", 2 * 10**9), ("small", 10**8)):
        directory = shutil.copytree(packed_checkpoint, store / name)
        manifest = dataclasses.replace(read_manifest(directory), parameters=parameters)
        manifest.write(directory)


@pytest.fixture
def large_does_not_fit(monkeypatch):
    planned = loading.plan_memory

    def plan(name, *rest, **more):
        if name == "large":
            raise CheckpointError("large needs 18 GB", ReasonCode.DOES_NOT_FIT)
        return planned(name, *rest, **more)

    monkeypatch.setattr(loading, "plan_memory", plan)


def test_a_model_that_does_not_fit_is_not_chosen(two_models, large_does_not_fit):
    planned, [note] = loading.choose_model(True, 10**10)

    assert planned.name == "small"
    assert note.code is ReasonCode.DOES_NOT_FIT
    assert "small" in note.message
    assert "large needs 18 GB" in note.message


@pytest.mark.parametrize("budget", [10**6, 3 * 10**6, 10**7, 10**8, 10**9])
def test_the_choice_and_the_plan_agree(packed_checkpoint, store, budget):
    shutil.copytree(packed_checkpoint, store / "tiny")

    def name_of(choose) -> str | None:
        try:
            return choose().name
        except CheckpointError:
            return None

    asked = name_of(lambda: load("tiny", "cpu", vram=budget).info)
    chosen = name_of(lambda: loading.choose_model(False, budget)[0])
    assert (chosen == "tiny") == (asked == "tiny")


def test_what_is_used_instead_is_told(two_models, large_does_not_fit, monkeypatch):
    monkeypatch.setattr("dg_lsp.models.store.MOST_PARAMETERS_ON_A_CPU", 10**10)
    loaded = load(None, "cpu")

    assert loaded.info.name == "small"
    assert [note.code for note in loaded.info.notes] == [ReasonCode.DOES_NOT_FIT]


def test_a_gpu_that_cannot_be_used_is_told(monkeypatch):
    old = Gpu("Tesla T4", (7, 5), 16 * 10**9)
    found = Machine("Linux", (old,), torch="2.15", cuda_build="12.8", torch_finds_gpu=True)
    monkeypatch.setattr(loading.devices, "look", lambda: found)
    info = load("bundled").info

    assert info.device == "cpu"
    assert [note.code for note in info.notes] == [ReasonCode.OLD_GPU]


@pytest.mark.parametrize("code", loading.GIVES_WAY)
def test_below_the_ladder_is_a_smaller_model(two_models, monkeypatch, code):
    monkeypatch.setattr("dg_lsp.models.store.MOST_PARAMETERS_ON_A_CPU", 10**10)
    best = loading.choose_model(False, 10**10)[0].name
    tried: list[str] = []
    read = gemma_family.load_packed

    def load_weights(directory, *arguments):
        tried.append(directory.name)
        return read(directory, *arguments)

    def settle(model, cache):
        if tried[-1] == best:
            raise CheckpointError("the model cannot be run on cuda:0: wrong", code)
        denoiser = GemmaDenoiser(model, cache)
        denoiser.notes = (Reason(code, "plain torch is used"),)
        return denoiser

    monkeypatch.setattr(gemma_family, "load_packed", load_weights)
    monkeypatch.setattr(gemma_family, "settle", settle)
    info = load(None, "cpu").info

    assert tried == [best, info.name]
    # The user is told both: why another model, and why it is not run as fast as it could be.
    assert [note.code for note in info.notes] == [code, code]
    # Asked for by name, nothing else is used in its place.
    with pytest.raises(CheckpointError) as raised:
        load(best, "cpu")
    assert raised.value.code is code


def test_memory_that_another_program_took_since_the_plan(tiny_checkpoint, monkeypatch):
    def load_weights(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(gemma_family, "load_weights", load_weights)
    reason = refusal(tiny_checkpoint)

    assert reason.code is ReasonCode.DOES_NOT_FIT
    assert "another program" in reason.message
    assert "--vram" in reason.message


MPS = torch.device("mps")


def test_a_masked_model_in_16_bits_runs_on_a_gpu_of_a_mac(masked_checkpoint):
    assert loading._device_for(str(masked_checkpoint), MPS, is_asked=False) == MPS
    assert weight_dtype(on_gpu=True) is torch.bfloat16


@pytest.mark.parametrize("which", ["bundled", "packed"])
def test_what_a_gpu_of_a_mac_cannot_run_goes_to_the_cpu_unless_it_was_asked_for(
    which, masked_checkpoint, tmp_path
):
    name = "bundled"
    if which == "packed":
        name = str(tmp_path / "packed")
        plan = plan_packing(masked_checkpoint)
        pack(masked_checkpoint, Path(name), plan, device=torch.device("cpu"), source_name="x")

    assert loading._device_for(name, MPS, is_asked=False).type == "cpu"
    with pytest.raises(CheckpointError) as raised:
        loading._device_for(name, MPS, is_asked=True)
    assert raised.value.code is ReasonCode.NO_DEVICE
    assert "--device cpu" in str(raised.value)


@pytest.mark.parametrize("name", ["bundled", None])
def test_on_a_mac_the_bundled_model_is_loaded_on_the_cpu(monkeypatch, name):
    monkeypatch.setattr(loading.devices, "look", lambda: Machine("Darwin", has_mps=True))

    assert load(name).info.device == "cpu"
