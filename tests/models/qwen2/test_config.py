"""What is read from the files of a checkpoint, and what is refused."""

from __future__ import annotations

import json

import pytest

from dg_lsp.engine.masked import MaskTokens
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.loading import load
from dg_lsp.models.qwen2 import weights
from dg_lsp.models.registry import open_checkpoint
from dg_lsp.reason import ReasonCode


def change(directory, **fields) -> None:
    """Change `config.json`; a field that becomes `None` is removed."""
    path = directory / "config.json"
    config = json.loads(path.read_text()) | fields
    kept = {name: value for name, value in config.items() if value is not None}
    path.write_text(json.dumps(kept))


def without_token(directory, content: str) -> None:
    path = directory / "tokenizer.json"
    path.write_text(path.read_text().replace(json.dumps(content), '"<|other|>"'))


@pytest.fixture
def checkpoint(save_masked_checkpoint, tmp_path):
    return save_masked_checkpoint(tmp_path / "model")


@pytest.mark.parametrize("model_type", ["Dream", "dream", "qwen2"])
def test_recognizes_its_model_types(checkpoint, model_type):
    change(checkpoint, model_type=model_type)

    found = open_checkpoint(checkpoint)

    assert found.family.name == "masked Qwen2"
    # As in DreamOn, the end of a document deletes.
    assert found.config.tokens == MaskTokens(mask=3, delete=1, expand=4)
    assert (found.config.opening, found.config.closing) == ((2,), (1,))
    assert found.dimensions.context_tokens == 512
    assert found.dimensions.canvas_tokens == 128


def test_an_ordinary_language_model_is_named_as_such(checkpoint):
    change(checkpoint, model_type="qwen2", mask_token_id=None, expand_token_id=None)
    without_token(checkpoint, "<|mask|>")

    with pytest.raises(CheckpointError) as raised:
        open_checkpoint(checkpoint)

    assert raised.value.code is ReasonCode.UNKNOWN_FAMILY
    assert "language model" in str(raised.value)
    assert str(checkpoint) in str(raised.value)


def test_the_mask_may_be_named_by_the_tokenizer_alone(checkpoint):
    change(checkpoint, model_type="qwen2", mask_token_id=None, expand_token_id=None)
    without_token(checkpoint, "<|expand|>")
    named = {"mask_token": {"content": "<|mask|>"}, "bos_token": None}
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(named))

    found = open_checkpoint(checkpoint).config

    # Without a token that expands, no token deletes.
    assert found.tokens == MaskTokens(mask=3)
    assert found.opening == ()


def test_a_beginning_that_is_the_end_is_none(checkpoint):
    change(checkpoint, bos_token_id=1)

    assert open_checkpoint(checkpoint).config.opening == ()


def test_the_tokenizer_knows_the_beginning_better(checkpoint):
    change(checkpoint, bos_token_id=1)
    named = {"bos_token": "<|beginoftext|>"}
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(named))

    assert open_checkpoint(checkpoint).config.opening == (2,)


def test_ids_may_be_in_the_generation_config(checkpoint):
    change(checkpoint, mask_token_id=None)
    without_token(checkpoint, "<|mask|>")
    (checkpoint / "generation_config.json").write_text('{"mask_token_id": 3}')

    assert open_checkpoint(checkpoint).config.tokens.mask == 3


def test_length_tokens_limit_the_context_to_what_was_trained(checkpoint):
    change(checkpoint, max_position_embeddings=131072)

    assert open_checkpoint(checkpoint).dimensions.context_tokens == 2048


def test_remote_code_is_neither_run_nor_asked_for(checkpoint, monkeypatch):
    (checkpoint / "modeling_dream.py").write_text("raise AssertionError('was run')")
    (checkpoint / "configuration_dream.py").write_text("raise AssertionError('was run')")
    change(
        checkpoint,
        auto_map={
            "AutoConfig": "configuration_dream.DreamConfig",
            "AutoModel": "modeling_dream.DreamModel",
        },
        attn_implementation="flash_attention_9",
        _attn_implementation="flash_attention_9",
        use_sliding_window=True,
        sliding_window=4,
    )

    loaded = load(str(checkpoint), "cpu")

    config = loaded.denoiser.model.config
    assert config._attn_implementation == "sdpa"
    assert set(config.layer_types) == {"full_attention"}
    assert not hasattr(config, "auto_map")


@pytest.mark.parametrize("name", ["mask_token_id", "expand_token_id"])
def test_an_id_beyond_the_vocabulary_is_refused(checkpoint, name):
    change(checkpoint, **{name: 151666})

    with pytest.raises(CheckpointError) as raised:
        open_checkpoint(checkpoint)

    assert raised.value.code is ReasonCode.BAD_CHECKPOINT
    assert "151666" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_hidden_layers", 10**6),
        ("num_hidden_layers", "2"),
        ("num_hidden_layers", 2.0),
        ("vocab_size", 2**40),
        ("vocab_size", -1),
        ("hidden_size", 2**62),
        ("intermediate_size", 0),
        ("num_attention_heads", 3),
        ("num_key_value_heads", 7),
        ("hidden_act", "os.system"),
        ("max_position_embeddings", 10**30),
        ("rms_norm_eps", float("nan")),
        ("rope_theta", "1e6"),
        ("rope_scaling", {"rope_type": "evil"}),
        ("rope_scaling", "yarn"),
        ("tie_word_embeddings", 1),
        ("pad_token_id", -1),
        ("bos_token_id", 10**6),
    ],
)
def test_a_number_that_no_network_has_is_refused_by_name(checkpoint, monkeypatch, name, value):
    monkeypatch.setattr(weights, "skeleton", None)
    change(checkpoint, **{name: value})
    with pytest.raises(CheckpointError) as raised:
        load(str(checkpoint), "cpu")

    assert raised.value.code is ReasonCode.BAD_CHECKPOINT
    said = str(raised.value)
    assert name.removesuffix("_token_id") in said or "num_attention_heads" in said
    assert str(checkpoint) in said


@pytest.mark.parametrize(
    ("name", "value"), [("num_hidden_layers", 200), ("intermediate_size", 2**17)]
)
def test_a_config_that_the_weights_do_not_fit_is_refused_before_any_is_read(
    checkpoint, monkeypatch, name, value
):
    monkeypatch.setattr(weights, "assemble", None)
    change(checkpoint, **{name: value})
    with pytest.raises(CheckpointError) as raised:
        load(str(checkpoint), "cpu")

    assert "do not belong together" in str(raised.value)


@pytest.mark.parametrize(
    "fields", [{"hidden_size": "large"}, {"num_attention_heads": 0}, {"vocab_size": None}]
)
def test_a_damaged_config_is_a_fault_of_the_checkpoint(checkpoint, fields):
    change(checkpoint, **fields)

    with pytest.raises(CheckpointError):
        load(str(checkpoint), "cpu")


def test_weights_in_int4_are_refused_before_any_is_read(checkpoint):
    weights = {"type": "int", "num_bits": 4, "strategy": "group", "group_size": 32}
    declared = {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "config_groups": {"group_0": {"weights": weights | {"symmetric": True}}},
    }
    change(checkpoint, quantization_config=declared)

    with pytest.raises(CheckpointError) as raised:
        load(str(checkpoint), "cpu")

    assert raised.value.code is ReasonCode.UNKNOWN_FORMAT
