"""Which formats of weights are read, and what is said of those that are not."""

from __future__ import annotations

import pytest

from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.formats import (
    ORIGINAL,
    READY_MADE,
    FormatError,
    WeightFormat,
    published,
    weight_format,
)
from dg_lsp.models.registry import open_checkpoint
from dg_lsp.reason import ReasonCode
from tests.w4a16 import declared

SHARDS = {"model-1.safetensors": 9_000, "model-2.safetensors": 8_000, "config.json": 3}


def compressed(layout: str, **weights: object) -> dict[str, object]:
    found = declared()
    found["format"] = layout
    found["config_groups"]["group_0"]["weights"] |= weights  # type: ignore[index]
    return {"quantization_config": found}


def with_group(**changes: object) -> dict[str, object]:
    found = declared()
    found["config_groups"]["group_0"] |= changes  # type: ignore[index]
    return {"quantization_config": found}


def mixed(*groups: int) -> dict[str, object]:
    found = declared()
    found["config_groups"] = {
        f"group_{number}": declared(group)["config_groups"]["group_0"]  # type: ignore[index]
        for number, group in enumerate(groups)
    }
    return {"quantization_config": found}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, WeightFormat("bfloat16")),
        ({"dtype": "bfloat16", "quantization_config": None}, WeightFormat("bfloat16")),
        ({"quantization_config": declared(32)}, WeightFormat("int4", (32,))),
        ({"quantization_config": declared(128)}, WeightFormat("int4", (128,))),
        # Ordered for quantizing, but stored in the order of the inputs.
        ({"quantization_config": declared(64, actorder="static")}, WeightFormat("int4", (64,))),
        ({"quantization_config": declared(64, actorder="weight")}, WeightFormat("int4", (64,))),
        (mixed(128, 32), WeightFormat("int4", (32, 128))),
        ({"compression_config": declared(32)}, WeightFormat("int4", (32,))),
    ],
)
def test_these_are_read(config, expected):
    assert weight_format(config, "here") == expected


UNREAD = {
    "NVFP4 of ModelOpt": (
        {"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}},
        "ModelOpt (NVFP4)",
    ),
    "NVFP4": (compressed("nvfp4-pack-quantized", type="float"), "NVFP4"),
    "FP8": (compressed("float-quantized", type="float", num_bits=8), "FP8"),
    "INT8": (compressed("int-quantized", num_bits=8), "INT8"),
    "MXFP4": (compressed("mxfp4-pack-quantized", type="float"), "MXFP4"),
    "another layout": (compressed("zipped"), "'zipped'"),
    "packed bytes": (compressed("pack-quantized", num_bits=8), "int8"),
    "packed floats": (compressed("pack-quantized", type="float"), "float4"),
    "zero points": (compressed("pack-quantized", symmetric=False), "asymmetric"),
    "a scale per row": (
        compressed("pack-quantized", strategy="channel", group_size=None),
        "per channel",
    ),
    "groups of 16": (compressed("pack-quantized", group_size=16), "groups of 16"),
    "no group size": (compressed("pack-quantized", group_size=None), "groups of None"),
    "activation order": (compressed("pack-quantized", actorder="group"), "activation order"),
    "quantized activations": (
        with_group(input_activations={"num_bits": 8}),
        "quantized activations",
    ),
    "a group in FP8": (with_group(format="float-quantized"), "FP8"),
    "sparse": (
        {"quantization_config": {**declared(), "sparsity_config": {"format": "sparse-24"}}},
        "sparse-24",
    ),
    "GPTQ": ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "GPTQ"),
    "AWQ": ({"quantization_config": {"quant_method": "awq", "bits": 4}}, "AWQ"),
    "bitsandbytes": (
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
        "bitsandbytes",
    ),
    "FP8 of fbgemm": ({"quantization_config": {"quant_method": "fbgemm_fp8"}}, "FP8"),
    "an unknown method": ({"quantization_config": {"quant_method": "zip"}}, "'zip'"),
    "MLX": ({"quantization": {"bits": 4, "group_size": 64}}, "MLX"),
}


@pytest.mark.parametrize(("config", "named"), UNREAD.values(), ids=UNREAD)
def test_others_are_named_with_what_to_pull_instead(config, named):
    with pytest.raises(FormatError) as raised:
        weight_format(config, "owner/model")
    reason = raised.value.reason

    assert reason.code is ReasonCode.UNKNOWN_FORMAT
    for part in (named, "owner/model", READY_MADE, ORIGINAL):
        assert part in reason.message
    assert "\n" not in reason.message


@pytest.mark.parametrize(
    "declared_as",
    [
        "int4",
        {"quant_method": "compressed-tensors", "format": "pack-quantized"},
        {"quant_method": "compressed-tensors", "config_groups": []},
        {"quant_method": "compressed-tensors", "config_groups": {"group_0": None}},
        {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": 4}}},
    ],
)
def test_a_malformed_declaration_is_a_bad_checkpoint(declared_as):
    with pytest.raises(CheckpointError) as raised:
        weight_format({"quantization_config": declared_as}, "here")

    assert raised.value.code is ReasonCode.BAD_CHECKPOINT


def test_what_a_repository_takes():
    whole = published(SHARDS, {}, "a/b")
    int4 = published(SHARDS, {"quantization_config": declared()}, "a/b")

    assert (whole.format, whole.download_bytes, whole.needs_packing) == (
        "bfloat16",
        17_000,
        True,
    )
    assert (int4.format, int4.download_bytes, int4.needs_packing) == ("int4", 17_000, False)
    assert whole.reason is None
    assert int4.reason is None


@pytest.mark.parametrize(
    ("files", "config", "named"),
    [
        ({"model-Q4_K_M.gguf": 16, "config.json": 1}, {}, "GGUF"),
        ({"pytorch_model.bin": 16}, {}, "PyTorch pickles"),
        ({"model.safetensors": 16, "hf_quant_config.json": 1}, {}, "NVIDIA ModelOpt"),
        ({"model.safetensors": 16}, UNREAD["NVFP4"][0], "NVFP4"),
        ({"README.md": 1}, {}, "no .safetensors"),
    ],
)
def test_what_a_repository_takes_that_is_not_read(files, config, named):
    found = published(files, config, "a/b")

    assert found.reason is not None
    assert found.reason.code is ReasonCode.UNKNOWN_FORMAT
    assert named in found.reason.message
    assert found.download_bytes in (0, 16)


def test_a_folder_with_gguf_is_named(tmp_path):
    (tmp_path / "model-Q4_K_M.gguf").write_bytes(b"GGUF")
    with pytest.raises(CheckpointError) as raised:
        open_checkpoint(tmp_path)

    assert raised.value.code is ReasonCode.UNKNOWN_FORMAT
    assert "GGUF" in str(raised.value)
