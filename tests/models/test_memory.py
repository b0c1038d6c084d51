"""How a budget of memory is divided, and what is said when it is too small."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import psutil
import pytest
import torch

from dg_lsp.config import PromptSettings
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.gemma.family import FAMILY
from dg_lsp.models.gemma.footprint import cache_bytes, working_bytes
from dg_lsp.models.gemma.shapes import real_shape
from dg_lsp.models.loading import load
from dg_lsp.models.memory import (
    LEAST_CONTEXT_TOKENS,
    budget_of,
    default_budget,
    fit_prompt,
    int8_saving,
    parse_bytes,
    plan_memory,
    prompt_tokens,
)
from dg_lsp.models.nf4.manifest import read_manifest
from dg_lsp.models.nf4.planning import packed_bytes
from dg_lsp.models.registry import Checkpoint, open_checkpoint
from dg_lsp.models.w4a16.format import stored_bytes
from dg_lsp.reason import ReasonCode

GB = 10**9


@pytest.fixture(scope="module")
def real():
    return real_shape()


def plan(real, budget: int, wanted: int = 8192):
    checkpoint = Checkpoint(Path(), FAMILY, real)
    weights = packed_bytes(checkpoint.tensors)
    return plan_memory("the real one", checkpoint, weights, budget, wanted, on_gpu=True)


def test_the_real_shape_has_the_published_size(real):
    assert FAMILY.tensors(real).parameters == pytest.approx(25.25e9, rel=0.002)
    # 204.8 kB per token in the windows, 20.5 kB in the five global layers.
    assert cache_bytes(real, 100) == 100 * (204_800 + 20_480)
    assert cache_bytes(real, 8192) == 2048 * 204_800 + 8192 * 20_480


def test_the_real_model_lives_in_18_gb_with_8k_of_context(real):
    found = plan(real, 18 * GB)

    assert found.context_tokens == 8192
    assert found.weights + found.workspace + found.cache <= 18 * GB
    # Several documents, so that switching between them costs nothing.
    assert found.cache >= 2 * cache_bytes(real, 8192)


@pytest.mark.parametrize(("packs_attention", "weights"), [(True, 16.1), (False, 17.7)])
def test_in_int4_the_real_model_needs_20_gb(real, packs_attention, weights):
    checkpoint = Checkpoint(Path(), FAMILY, real)
    needed = sum(
        stored_bytes(shape, 32)
        if ".experts." in name or (packs_attention and ".self_attn." in name and "proj" in name)
        else 2 * torch.Size(shape).numel()
        for name, shape in checkpoint.tensors.shapes.items()
    )
    found = plan_memory("int4", checkpoint, needed, 20 * GB, 8192, on_gpu=True)

    assert needed == pytest.approx(weights * GB, rel=0.005)
    assert found.context_tokens >= (8192 if packs_attention else 3000)


def on_a_card(real, budget: int):
    checkpoint = Checkpoint(Path(), FAMILY, real)
    weights = packed_bytes(checkpoint.tensors)
    return plan_memory("26B", checkpoint, weights, budget, 8192, on_gpu=True, may_quantize=True)


@pytest.mark.parametrize(
    ("free_gb", "is_quantized", "at_least"),
    # 5 % is left to others. A card of 16 GB has up to 17.1 GB free, with a desktop less.
    # The 16-bit embedding would leave 1024 to 3700 tokens from 17.0 to 17.5 GB.
    [
        (19, False, 8192),
        (17.6, False, 4096),
        (17.5, True, 8192),
        (17.1, True, 8192),
        (16.9, True, 7000),
        (16.3, True, 1024),
    ],
)
def test_what_a_card_gets(real, free_gb, is_quantized, at_least):
    found = on_a_card(real, budget_of(int(free_gb * GB), is_gpu=True))

    assert found.int8_embedding is is_quantized
    assert found.context_tokens >= at_least
    assert found.weights + found.workspace + found.cache <= found.budget


def test_the_least_that_the_real_model_needs(real):
    """0.74 GB less than with the embedding in 16 bits."""
    assert int8_saving(Checkpoint(Path(), FAMILY, real), torch.bfloat16) == pytest.approx(
        0.737 * GB, rel=0.001
    )
    assert on_a_card(real, int(15.5 * GB)).context_tokens == 1260
    # Without a byte for other programs, 15.5 GB are enough; with 5 % left to them, 16.2.
    with pytest.raises(CheckpointError) as raised:
        on_a_card(real, budget_of(int(15.5 * GB), is_gpu=True))
    assert raised.value.code is ReasonCode.DOES_NOT_FIT
    assert "15.4 GB" in str(raised.value)


def test_less_memory_means_less_context_and_then_a_refusal(real):
    contexts = [plan(real, budget).context_tokens for budget in (18 * GB, int(16.5 * GB))]
    assert contexts[0] == 8192
    assert LEAST_CONTEXT_TOKENS <= contexts[1] < 8192

    with pytest.raises(CheckpointError) as raised:
        plan(real, 12 * GB)
    assert raised.value.code is ReasonCode.DOES_NOT_FIT
    assert re.search(r"the real one\b.* 16\.\d GB\b.* 12\.0 GB\b.*--vram\b", str(raised.value))


def test_a_prompt_is_cut_to_the_context_in_all_its_parts():
    prompt = PromptSettings(prefix_tokens=3000, suffix_tokens=1000, snippet_tokens=2000)
    wanted = prompt_tokens(prompt, 256)
    assert fit_prompt(prompt, wanted, 256) is prompt

    cut = fit_prompt(prompt, 256 + 128 + 3000, 256)
    assert (cut.prefix_tokens, cut.suffix_tokens, cut.snippet_tokens) == (1500, 500, 1000)
    assert cut.right_anchor_tokens == prompt.right_anchor_tokens


@pytest.mark.parametrize(
    ("text", "expect"),
    [
        ("16GB", 16 * GB),
        ("16 gb", 16 * GB),
        ("15.5", 15_500_000_000),
        ("15500MB", 15_500_000_000),
        ("16GiB", 16 * 2**30),
        ("8g", 8 * GB),
        ("512 MiB", 512 * 2**20),
    ],
)
def test_amounts_of_memory(text, expect):
    assert parse_bytes(text) == expect


@pytest.mark.parametrize(
    "text", ["", "GB", "-1GB", "0", "16TB", "16 gigs", "1e30", "nan", "inf"]
)
def test_what_is_no_amount_of_memory(text):
    with pytest.raises(CheckpointError) as raised:
        parse_bytes(text)

    assert raised.value.code is ReasonCode.INVALID_ARGUMENT
    assert repr(text) in str(raised.value)


def test_more_than_is_free_is_refused_before_loading(tiny_checkpoint):
    with pytest.raises(CheckpointError) as raised:
        load(str(tiny_checkpoint), "cpu", vram=10**14)

    assert raised.value.code is ReasonCode.DOES_NOT_FIT
    for name in ("--vram", "100000.0 GB", "cpu"):
        assert name in str(raised.value)


def test_too_little_is_refused_before_loading(tiny_checkpoint):
    with pytest.raises(CheckpointError, match=r"\d+\.\d MB.* 0\.0 MB\b.*--vram") as raised:
        load(str(tiny_checkpoint), "cpu", vram=1000)

    assert raised.value.code is ReasonCode.DOES_NOT_FIT


def test_little_memory_shortens_the_prompt(packed_checkpoint, tmp_path):
    directory = shutil.copytree(packed_checkpoint, tmp_path / "long")
    raw = json.loads((directory / "config.json").read_text())
    raw["text_config"]["max_position_embeddings"] = 10_000
    (directory / "config.json").write_text(json.dumps(raw))
    free = load(str(directory), "cpu")
    config = free.denoiser.model.config
    room = 2 * cache_bytes(config, 4200) + working_bytes(config)
    tight = load(str(directory), "cpu", vram=free.memory.weights + room)

    assert tight.memory.context_tokens <= 4200 < free.memory.context_tokens
    assert tight.settings.prompt.prefix_tokens < free.settings.prompt.prefix_tokens


def test_unpacked_weights_are_twice_as_large_on_a_cpu(packed_checkpoint):
    """They are stored in bfloat16 and loaded as float32."""
    loaded = load(str(packed_checkpoint), "cpu")
    stored = read_manifest(packed_checkpoint).weight_bytes
    layout = FAMILY.tensors(loaded.denoiser.model.config)
    plain = sum(
        torch.Size(shape).numel()
        for name, shape in layout.shapes.items()
        if not layout.is_packed(name, shape)
    )

    assert loaded.memory.weights == stored + 2 * plain
    assert plain > 320 * 64


def test_a_margin_is_left_on_a_gpu_only(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (20 * GB, 24 * GB))
    available = psutil.virtual_memory().available

    assert default_budget(torch.device("cuda:0")) == 19 * GB
    assert default_budget(torch.device("cpu")) == pytest.approx(available, rel=0.2)


def test_a_family_whose_embedding_stays_as_it_is_gets_no_int8(masked_checkpoint):
    """It is refused below what it needs, although the plan may quantize."""
    checkpoint = open_checkpoint(masked_checkpoint)
    whole = plan_memory("masked", checkpoint, 10**6, GB, 512, on_gpu=False, may_quantize=True)
    assert not whole.int8_embedding
    least = 2 * checkpoint.family.cache_bytes(checkpoint.config, LEAST_CONTEXT_TOKENS)
    budget = 10**6 + checkpoint.family.working_bytes(checkpoint.config) + least
    tight = plan_memory(
        "masked", checkpoint, 10**6, budget, 512, on_gpu=False, may_quantize=True
    )

    assert not tight.int8_embedding
    with pytest.raises(CheckpointError):
        plan_memory(
            "masked", checkpoint, 10**6, budget - 1, 512, on_gpu=False, may_quantize=True
        )
