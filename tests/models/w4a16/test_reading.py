"""Checkpoints in int4: loaded into the real class, and every way in which one can be wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dg_lsp.models.gemma.weights import load_int4
from dg_lsp.models.loading import CheckpointError, load
from dg_lsp.models.packed_layers import PACKED_EXPERTS, PackedMatrix, PackedStack
from dg_lsp.models.registry import open_checkpoint
from dg_lsp.models.w4a16.format import Int4
from dg_lsp.models.w4a16.reading import plan_reading, read_int4
from dg_lsp.reason import ReasonCode
from tests.w4a16 import declared, pack_int4, write_int4

CPU = torch.device("cpu")
DECODER = "model.decoder.layers.0"
EXPERTS = f"{DECODER}.experts"


@pytest.fixture(scope="module")
def made(tiny_checkpoint, tmp_path_factory):
    """A checkpoint with experts as linears, in groups of 32."""
    return write_int4(tiny_checkpoint, tmp_path_factory.mktemp("int4") / "tiny-int4")


@pytest.fixture
def checkpoint(made, tmp_path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(made, tmp_path / "tiny-int4"))


def read_model(directory: Path):
    found = open_checkpoint(directory)
    return load_int4(directory, found.config, found.weights.groups, CPU, torch.float32)


def decoded_model(tiny_model, tiny_config, group: int, *, dense: bool):
    """The full model whose weights are those that int4 decodes to."""
    model = type(tiny_model)(tiny_config).eval()
    state = {}
    for name, tensor in tiny_model.state_dict().items():
        is_int4 = "experts." in name or (dense and "self_attn" in name and "proj" in name)
        state[name] = (
            pack_int4(tensor, group).decode(torch.float32)
            if is_int4
            else tensor.to(torch.bfloat16).float()
        )
    model.load_state_dict(state)
    return model


def spoil(checkpoint: Path, change) -> None:
    tensors = load_file(checkpoint / "model.safetensors")
    change(tensors)
    save_file(tensors, checkpoint / "model.safetensors")


def refusal(checkpoint: Path):
    """The reason with which it is refused, in one line."""
    with pytest.raises(CheckpointError) as raised:
        load(str(checkpoint), "cpu")
    assert "\n" not in str(raised.value)
    return raised.value.reason


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("group", [32, 64])
@torch.inference_mode()
def test_predicts_what_its_decoded_weights_predict(
    tiny_checkpoint, tiny_model, tiny_config, tmp_path, group, stacked, dense
):
    directory = write_int4(
        tiny_checkpoint, tmp_path / "int4", group, stacked=stacked, dense=dense
    )
    torch.manual_seed(1)
    prompt, canvas = torch.randint(5, 300, (1, 40)), torch.randint(5, 300, (1, 12))
    model = read_model(directory)
    ours = model(input_ids=prompt, decoder_input_ids=canvas).logits
    reference = decoded_model(tiny_model, tiny_config, group, dense=dense)
    theirs = reference(input_ids=prompt, decoder_input_ids=canvas).logits

    assert model.config.text_config._experts_implementation == PACKED_EXPERTS
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_shards_give_the_same_and_bits_are_kept(made, checkpoint, split_into_shards):
    split_into_shards(checkpoint, 3)
    whole, parts = (open_checkpoint(each) for each in (made, checkpoint))
    shares: list[float] = []
    theirs = read_int4(made, whole.tensors, (32,), CPU)
    ours = read_int4(checkpoint, parts.tensors, (32,), CPU, shares.append)
    stored = load_file(made / "model.safetensors")

    assert ours.keys() == theirs.keys() == whole.tensors.shapes.keys()
    for name, weight in ours.items():
        other = theirs[name]
        if isinstance(weight, Int4):
            assert all(map(torch.equal, weight.tensors(), other.tensors()))
        else:
            assert torch.equal(weight, other)
    words = ours[f"{EXPERTS}.gate_up_proj"].words[2]
    gate, up = (stored[f"{EXPERTS}.2.{n}_proj.weight_packed"] for n in ("gate", "up"))
    assert torch.equal(words, torch.cat([gate, up]))
    assert shares == pytest.approx([shares[0], shares[1], 1.0])


def test_the_real_path_loads_it_and_plans_its_memory(made):
    loaded = load(str(made), "cpu")
    model = loaded.denoiser.model
    held = sum(t.numel() * t.element_size() for t in {
        t.data_ptr(): t for t in (*model.parameters(), *model.state_dict().values())
    }.values())  # fmt: skip

    assert loaded.info.name == "tiny-int4"
    assert loaded.memory.weights == held
    stacks = [m for m in model.modules() if isinstance(m, PackedStack)]
    assert len(stacks) == 3 * 2


@torch.inference_mode()
def test_products_go_to_the_kernel_where_there_is_one(
    monkeypatch, tiny_checkpoint, tiny_model, tiny_config, tmp_path
):
    pytest.importorskip("triton")
    directory = write_int4(tiny_checkpoint, tmp_path / "int4", dense=True)
    model = read_model(directory)
    assert any(type(m) is PackedMatrix for m in model.modules())
    monkeypatch.setattr("dg_lsp.models.kernels.available_on", lambda device: True)
    torch.manual_seed(2)
    prompt, canvas = torch.randint(5, 300, (1, 9)), torch.randint(5, 300, (1, 6))
    ours = model(input_ids=prompt, decoder_input_ids=canvas).logits
    reference = decoded_model(tiny_model, tiny_config, 32, dense=True)
    theirs = reference(input_ids=prompt, decoder_input_ids=canvas).logits

    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_the_encoders_names_and_a_vision_tower_are_understood(checkpoint):
    def rename(tensors):
        for name in [n for n in tensors if n.startswith(EXPERTS)]:
            other = name.replace("model.decoder", "model.encoder.language_model")
            tensors[other] = tensors.pop(name)
        tensors["model.encoder.vision_tower.patch.weight_packed"] = torch.zeros(3)

    spoil(checkpoint, rename)

    load(str(checkpoint), "cpu")


def remove(name):
    return lambda tensors: tensors.pop(name)


def put(name, value):
    return lambda tensors: tensors.update({name: value})


DOWN = f"{EXPERTS}.1.down_proj.weight"
SPOILED = {
    "no words": (remove(f"{DOWN}_packed"), ReasonCode.BAD_CHECKPOINT, f"{DOWN}_packed"),
    "no scales": (remove(f"{DOWN}_scale"), ReasonCode.BAD_CHECKPOINT, f"{DOWN}_scale"),
    "an expert too many": (
        put(f"{EXPERTS}.4.down_proj.weight_packed", torch.zeros(64, 8, dtype=torch.int32)),
        ReasonCode.BAD_CHECKPOINT,
        f"{EXPERTS}.4.down_proj",
    ),
    "no router": (
        remove(f"{DECODER}.router.proj.weight"),
        ReasonCode.BAD_CHECKPOINT,
        "router.proj.weight",
    ),
    "a foreign tensor": (
        put("model.head.weight", torch.zeros(3)),
        ReasonCode.BAD_CHECKPOINT,
        "model.head.weight",
    ),
    "words of another shape": (
        put(f"{DOWN}_packed", torch.zeros(64, 4, dtype=torch.int32)),
        ReasonCode.BAD_CHECKPOINT,
        "[64, 4]",
    ),
    "scales of another group": (
        put(f"{DOWN}_scale", torch.ones(64, 1, dtype=torch.bfloat16)),
        ReasonCode.BAD_CHECKPOINT,
        f"{DOWN}_scale",
    ),
    "words of another type": (
        put(f"{DOWN}_packed", torch.zeros(64, 8)),
        ReasonCode.BAD_CHECKPOINT,
        "float32",
    ),
    "scales of another type": (
        put(f"{DOWN}_scale", torch.ones(64, 2, dtype=torch.float16)),
        ReasonCode.BAD_CHECKPOINT,
        "float16",
    ),
    "scales that are not finite": (
        put(f"{DOWN}_scale", torch.full((64, 2), torch.nan, dtype=torch.bfloat16)),
        ReasonCode.BAD_CHECKPOINT,
        f"{DOWN}_scale",
    ),
    "another shape than it says": (
        put(f"{DOWN}_shape", torch.tensor([64, 60])),
        ReasonCode.BAD_CHECKPOINT,
        "[64, 60]",
    ),
    "zero points": (
        put(f"{DOWN}_zero_point", torch.zeros(8, 2, dtype=torch.int32)),
        ReasonCode.UNKNOWN_FORMAT,
        "zero points",
    ),
    "activation order": (
        put(f"{DOWN}_g_idx", torch.zeros(64, dtype=torch.int32)),
        ReasonCode.UNKNOWN_FORMAT,
        "activation order",
    ),
    "experts that were not quantized": (
        lambda tensors: [
            tensors.pop(name) for name in list(tensors) if name.startswith(EXPERTS)
        ] and tensors.update({
            f"{EXPERTS}.gate_up_proj": torch.zeros(4, 128, 64, dtype=torch.bfloat16),
            f"{EXPERTS}.down_proj": torch.zeros(4, 64, 64, dtype=torch.bfloat16),
        }),
        ReasonCode.UNKNOWN_FORMAT,
        "not quantized",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "code", "named"), SPOILED.values(), ids=SPOILED)
def test_a_spoiled_checkpoint_is_refused(checkpoint, change, code, named):
    spoil(checkpoint, change)
    reason = refusal(checkpoint)

    assert reason.code is code
    assert named in reason.message


def test_a_corrupt_shard_is_refused(checkpoint):
    path = checkpoint / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    reason = refusal(checkpoint)

    assert reason.code is ReasonCode.BAD_CHECKPOINT
    assert "model.safetensors" in reason.message


def test_other_groups_than_config_says_are_refused(checkpoint):
    config = json.loads((checkpoint / "config.json").read_text())
    config["quantization_config"] = declared(64)
    (checkpoint / "config.json").write_text(json.dumps(config))
    reason = refusal(checkpoint)

    assert reason.code is ReasonCode.BAD_CHECKPOINT
    assert "groups of 64" in reason.message


def test_bytes_are_those_of_the_stored_weights(made):
    found = open_checkpoint(made)
    plan = plan_reading(made, found.tensors, found.weights.groups)
    stored = sum(
        tensor.numel() * tensor.element_size()
        for name, tensor in load_file(made / "model.safetensors").items()
        if not name.endswith("_shape")
    )

    assert plan.bytes(torch.bfloat16) == stored
