"""What of a `config.json` reaches transformers, and what is refused before that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dg_lsp.models.checkpoint import (
    GENERATION,
    METADATA,
    CheckpointError,
    list_shards,
    read_headers,
)
from dg_lsp.models.gemma import config as gemma_config
from dg_lsp.models.gemma import quantization
from dg_lsp.models.loading import load
from dg_lsp.models.registry import open_checkpoint
from dg_lsp.models.tensors import find_tensors
from dg_lsp.reason import ReasonCode

CONFIG = "config.json"


@pytest.fixture
def checkpoint(tiny_checkpoint, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "tiny-gemma"))


def change(directory: Path, path: str, value: object) -> None:
    """Set a field of `config.json`, given by names with dots between them."""
    raw = json.loads((directory / CONFIG).read_text())
    *parents, last = path.split(".")
    place = raw
    for name in parents:
        place = place[name]
    place[last] = value
    (directory / CONFIG).write_text(json.dumps(raw))


def refusal(directory: Path) -> str:
    with pytest.raises(CheckpointError) as raised:
        load(str(directory), "cpu")
    assert raised.value.code is ReasonCode.BAD_CHECKPOINT
    return str(raised.value)


@pytest.fixture
def no_network(monkeypatch):
    """A network that is built although it is refused fails the test."""

    def built(config):
        raise AssertionError("a network was built")

    monkeypatch.setattr(quantization, "skeleton", built)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text_config.num_hidden_layers", 10**6),
        ("text_config.num_hidden_layers", 0),
        ("text_config.num_hidden_layers", "three"),
        ("text_config.num_hidden_layers", 3.0),
        ("text_config.num_hidden_layers", True),
        ("text_config.num_hidden_layers", [3]),
        ("text_config.num_experts", -4),
        ("text_config.num_experts", 10**9),
        ("text_config.top_k_experts", 5),
        ("text_config.vocab_size", 2**40),
        ("text_config.vocab_size", "320"),
        ("text_config.hidden_size", -64),
        ("text_config.hidden_size", 2**62),
        ("text_config.intermediate_size", 10**12),
        ("text_config.moe_intermediate_size", 0),
        ("text_config.head_dim", 10**7),
        ("text_config.num_attention_heads", 0),
        ("text_config.num_key_value_heads", 3),
        ("text_config.sliding_window", 0),
        ("text_config.max_position_embeddings", 10**30),
        ("text_config.rms_norm_eps", "tiny"),
        ("text_config.rms_norm_eps", float("nan")),
        ("text_config.rms_norm_eps", float("inf")),
        ("text_config.hidden_activation", "os.system"),
        ("text_config.layer_types", ["full_attention"]),
        ("text_config.layer_types", ["sliding_attention", "mamba", "full_attention"]),
        ("text_config.pad_token_id", 10**6),
        ("text_config.pad_token_id", -1),
        ("text_config.use_bidirectional_attention", "none"),
        ("text_config.rope_parameters", "default"),
        ("text_config.rope_parameters.full_attention.rope_type", "evil"),
        ("text_config.rope_parameters.full_attention.rope_theta", 0),
        ("text_config.rope_parameters.sliding_attention.rope_theta", "1e4"),
        ("text_config.per_layer_config", {"7": {"head_dim": 32}}),
        ("text_config.per_layer_config", {"two": {"head_dim": 32}}),
        ("text_config.per_layer_config", {"2": {"head_dim": -32}}),
        ("canvas_length", 0),
        ("canvas_length", -1),
        ("canvas_length", 10**9),
        ("canvas_length", "48"),
        ("tie_word_embeddings", "yes"),
    ],
)
def test_a_number_that_no_network_has_is_refused_by_name(checkpoint, no_network, field, value):
    change(checkpoint, field, value)
    said = refusal(checkpoint)

    assert str(checkpoint / CONFIG) in said
    # Where two fields do not fit, either may be the wrong one.
    named = {"num_key_value_heads": "num_attention_heads"}
    name = field.removesuffix(".7").rpartition(".")[2]
    assert named.get(name, name) in said
    assert "download the checkpoint again" in said
    assert len(said) < 500


@pytest.mark.parametrize("name", ["vocab_size", "hidden_size", "num_hidden_layers"])
def test_what_a_network_cannot_do_without_must_be_declared(checkpoint, no_network, name):
    change(checkpoint, f"text_config.{name}", None)

    assert f"text_config.{name} is missing" in refusal(checkpoint)


def test_more_layers_than_weights_are_refused_before_a_network_is_built(checkpoint, no_network):
    change(checkpoint, "text_config.num_hidden_layers", 200)
    change(checkpoint, "text_config.layer_types", None)

    said = refusal(checkpoint)
    assert "num_hidden_layers 200" in said
    assert "3 layers" in said


@pytest.mark.parametrize(
    ("field", "value"),
    [("vocab_size", 2**20), ("hidden_size", 2**16), ("num_experts", 4096)],
)
def test_larger_sizes_than_the_weights_have_are_refused_before_any_is_read(
    checkpoint, monkeypatch, field, value
):
    monkeypatch.setattr("dg_lsp.models.gemma.family.load_weights", None)
    change(checkpoint, f"text_config.{field}", value)

    said = refusal(checkpoint)
    assert "config.json wants" in said
    assert "model.safetensors" in said


def test_the_vision_part_is_not_even_looked_at(checkpoint):
    huge = {"num_hidden_layers": 10**6, "hidden_size": -1, "model_type": "none", "x": "y" * 9}
    for vision in (huge, "no", None, []):
        change(checkpoint, "vision_config", vision)
        config = open_checkpoint(checkpoint).config
        assert config.vision_config.num_hidden_layers == 1


FOREIGN = {
    "attn_implementation": "evil-org/evil-kernel",
    "_attn_implementation": "evil-org/evil-kernel",
    "_attn_implementation_internal": "evil-org/evil-kernel",
    "experts_implementation": "evil-org/evil-kernel",
    "_experts_implementation": "evil-org/evil-kernel",
    "kernel_config": {"RMSNorm": {"cuda": "evil-org/evil-kernel:RMSNorm"}},
    "use_kernels": True,
    "auto_map": {"AutoModel": "evil.Model"},
    "trust_remote_code": True,
    "custom_pipelines": {"infill": {"impl": "evil.Pipeline"}},
    "torch_dtype": "int8",
    "dtype": "int8",
    "base_model_tp_plan": {"layers.*": "colwise"},
    "device_map": "disk",
    "_name_or_path": "evil-org/evil",
}
"""Fields that transformers acts on, some of them by fetching and running code."""


def test_fields_that_fetch_or_run_code_are_not_passed_on(checkpoint, monkeypatch):
    from transformers.integrations import hub_kernels

    def fetched(*arguments, **more):
        raise AssertionError(f"a kernel was fetched: {arguments}")

    for name in ("lazy_load_kernel", "load_and_register_attn_kernel", "get_kernel"):
        monkeypatch.setattr(hub_kernels, name, fetched, raising=False)
    for name, value in FOREIGN.items():
        change(checkpoint, name, value)
        change(checkpoint, f"text_config.{name}", value)
    (checkpoint / "evil.py").write_text("raise AssertionError('was run')")
    (checkpoint / "custom_generate").mkdir()
    (checkpoint / "custom_generate" / "generate.py").write_text("raise AssertionError")
    loaded = load(str(checkpoint), "cpu")

    for config in (loaded.config, loaded.config.text_config, loaded.denoiser.model.config):
        said = repr(config.to_dict()) + repr(config.__dict__)
        assert "evil" not in said.replace(str(checkpoint), "")
    assert loaded.denoiser.model.config._attn_implementation == "sdpa"


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(
        [0, -1, 1, 2, 3, 2**20, 10**6, 2**63, 10**400, 1e308, 0.5, float("nan"), float("inf")]
    ),
    st.sampled_from(["", "2", "full_attention", "x" * 10_000, "\ud800"]),
    st.sampled_from([[], {}, [[]], [None], {"a": {}}, ["full_attention"] * 3]),
)
FIELDS = st.sampled_from(
    [
        *gemma_config.TOP,
        *(f"text_config.{name}" for name in gemma_config.TEXT),
        *("text_config", "vision_config", "text_config.rope_parameters"),
        "text_config.per_layer_config",
        "text_config.rope_parameters.full_attention",
    ]
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes=st.dictionaries(FIELDS, ODD, min_size=1, max_size=3))
def test_odd_values_are_used_or_refused_and_nothing_else(tiny_checkpoint, tmp_path, changes):
    raw = json.loads((tiny_checkpoint / CONFIG).read_text())
    # Whole objects last, so that their fields can still be set.
    for path, value in sorted(changes.items(), key=lambda item: -item[0].count(".")):
        *parents, last = path.split(".")
        place = raw
        for name in parents:
            place = place[name]
        place[last] = value
    directory = tmp_path / "fuzzed"
    directory.mkdir(exist_ok=True)
    (directory / CONFIG).write_text(json.dumps(raw))
    headers, said = read_headers(list_shards(tiny_checkpoint)), ""
    try:
        find_tensors(open_checkpoint(directory), headers)
    except CheckpointError as error:
        said = str(error)

    assert "\n" not in said
    assert len(said) < 1000


@pytest.mark.parametrize(
    "metadata",
    [
        {"engine": {"block_tokens": 0}},
        {"engine": {"block_tokens": 10**9}},
        {"engine": {"block_tokens": "48"}},
        {"engine": {"min_confidence": 2}},
        {"prompt": {"prefix_tokens": -1}},
        {"prompt": {"prefix_tokens": "all"}},
        {"length": {"lengths": []}},
        {"length": {"lengths": [0]}},
        {"length": {"lengths": [10**9]}},
        {"length": {"lengths": [1] * 1000}},
        {"length": {"keep_after": [[1, 10**9]]}},
        {"length": {"token_reward_nats": float("nan")}},
        {"seeds": {"lanes": 10**9}},
        {"seeds": {"prior_nats": "much"}},
        {"cache": {"prefix_bytes": -1}},
        {"cache": {"slack_tokens": 0.5}},
        {"masked": {"max_steps": 10**9}},
    ],
)
def test_settings_that_no_engine_can_have_are_refused_by_name(checkpoint, metadata):
    (checkpoint / METADATA).write_text(json.dumps(metadata))
    said = refusal(checkpoint)

    assert METADATA in said
    [[name]] = metadata.values()
    assert name in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_denoising_steps", 0),
        ("max_denoising_steps", 10**9),
        ("max_denoising_steps", "48"),
        ("max_denoising_steps", True),
        ("t_max", float("inf")),
        ("stability_threshold", -1),
        ("confidence_threshold", "low"),
    ],
)
def test_numbers_of_the_sampler_are_refused_by_name(checkpoint, name, value):
    (checkpoint / GENERATION).write_text(json.dumps({name: value}))
    said = refusal(checkpoint)

    assert GENERATION in said
    assert name in said
