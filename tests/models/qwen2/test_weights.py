"""Loading: in full precision, packed in 4 bits, and with files that are wrong."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from dg_lsp.models import cpu_linear
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.cpu_linear import CpuWeights, PackedLinear
from dg_lsp.models.loading import load
from dg_lsp.models.nf4.packing import pack
from dg_lsp.models.nf4.planning import plan_packing
from dg_lsp.models.qwen2.config import read_config
from dg_lsp.models.qwen2.weights import assemble, skeleton
from dg_lsp.reason import ReasonCode

CPU = torch.device("cpu")
WEIGHTS = "model.safetensors"


@pytest.fixture
def checkpoint(save_masked_checkpoint, tmp_path):
    return save_masked_checkpoint(tmp_path / "model")


def logits(loaded) -> torch.Tensor:
    denoiser = loaded.denoiser
    encoded = denoiser.encode((2, *range(30, 50)), "", (50, 51, 1))
    return denoiser.logits(encoded, torch.tensor([3, 60, 3, 3]), [4], None)


@pytest.mark.parametrize("tied", [False, True])
def test_packed_weights_say_nearly_the_same(save_masked_checkpoint, tmp_path, tied):
    source = save_masked_checkpoint(tmp_path / "model", tie_word_embeddings=tied)
    target = tmp_path / "packed"
    pack(source, target, plan_packing(source), device=CPU, source_name="tiny")

    whole, packed = load(str(source), "cpu"), load(str(target), "cpu")

    expect, found = logits(whole).log_softmax(-1), logits(packed).log_softmax(-1)
    assert torch.nn.functional.cosine_similarity(expect, found, dim=-1).min() > 0.9
    embedding = packed.denoiser.model.model.embed_tokens.weight
    torch.testing.assert_close(
        embedding, whole.denoiser.model.model.embed_tokens.weight.bfloat16().float()
    )
    is_shared = packed.denoiser.model.lm_head.weight is embedding
    assert is_shared == tied
    assert packed.memory.weights < whole.memory.weights


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tied", [False, True])
def test_weights_in_16_bits_are_kept_so_on_a_cpu(
    save_masked_checkpoint, tmp_path, monkeypatch, stored, tied
):
    source = save_masked_checkpoint(tmp_path / "model", tie_word_embeddings=tied)
    tensors = {name: t.to(stored) for name, t in load_file(source / WEIGHTS).items()}
    save_file(tensors, source / WEIGHTS)
    monkeypatch.setattr(cpu_linear, "can_pack", lambda: False)
    plain = load(str(source), "cpu")
    monkeypatch.undo()

    found = load(str(source), "cpu")

    torch.testing.assert_close(logits(found), logits(plain), rtol=1e-3, atol=1e-4)
    layers = [type(one) for one in found.denoiser.model.modules()]
    is_half = stored is torch.bfloat16 and cpu_linear.can_pack()
    assert (PackedLinear in layers, torch.nn.Linear in layers) == (is_half, not is_half)
    # The plan counts what is kept: embedding, norms and biases are not in 16 bits.
    network = found.denoiser.model
    kept = sum(parameter.numel() for parameter in network.parameters())
    halved = [one for one in network.modules() if isinstance(one, PackedLinear)]
    kept += sum(one.bias.numel() for one in halved if one.bias is not None)
    in_half = sum(one.in_features * one.out_features for one in halved)
    assert found.memory.weights == 4 * kept + 2 * in_half
    assert found.memory.weights < plain.memory.weights or not is_half


def test_no_product_waits_for_the_others_to_be_packed(checkpoint):
    model = skeleton(read_config(checkpoint).network)
    waiting: list[int] = []

    def read():
        # A bias comes before its weight.
        for name, tensor in sorted(load_file(checkpoint / WEIGHTS).items()):
            yield name, tensor
            products = [one for one in model.modules() if type(one) is torch.nn.Linear]
            waiting.append(sum(not one.weight.is_meta for one in products))

    assemble(model, read(), CPU, torch.float32, CpuWeights.HALF)

    assert max(waiting) == 0
    assert not any(type(one) is torch.nn.Linear for one in model.modules())


def test_a_packed_checkpoint_keeps_its_tokenizer_files(checkpoint, tmp_path):
    (checkpoint / "tokenizer_config.json").write_text('{"bos_token": null}')
    (checkpoint / "chat_template.jinja").write_text("<|im_start|>")
    target = tmp_path / "packed"
    pack(checkpoint, target, plan_packing(checkpoint), device=CPU, source_name="tiny")

    assert (target / "tokenizer_config.json").read_text() == '{"bos_token": null}'
    assert (target / "chat_template.jinja").read_text() == "<|im_start|>"


def test_shards_and_one_file_give_the_same(checkpoint, split_into_shards):
    expect = logits(load(str(checkpoint), "cpu"))
    split_into_shards(checkpoint, 3)

    torch.testing.assert_close(logits(load(str(checkpoint), "cpu")), expect)


def test_a_tied_head_may_be_stored_nevertheless(save_masked_checkpoint, tmp_path):
    save_masked_checkpoint(tmp_path, tie_word_embeddings=True)
    expect = logits(load(str(tmp_path), "cpu"))
    tensors = load_file(tmp_path / WEIGHTS)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, tmp_path / WEIGHTS)

    torch.testing.assert_close(logits(load(str(tmp_path), "cpu")), expect)


@pytest.mark.parametrize("damage", ["missing", "more", "shape", "no head", "cut off"])
def test_wrong_weights_are_named(checkpoint, damage):
    path = checkpoint / WEIGHTS
    tensors = load_file(path)
    name = "model.layers.1.mlp.up_proj.weight"
    if damage == "missing":
        del tensors[name]
    elif damage == "more":
        name = "model.layers.9.mlp.up_proj.weight"
        tensors[name] = torch.zeros(2)
    elif damage == "shape":
        tensors[name] = tensors[name][:-1].contiguous()
    elif damage == "no head":
        name = "lm_head.weight"
        del tensors[name]
    save_file(tensors, path)
    if damage == "cut off":
        name = WEIGHTS
        path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(CheckpointError) as raised:
        load(str(checkpoint), "cpu")

    assert raised.value.code is ReasonCode.BAD_CHECKPOINT
    assert name in str(raised.value)


def test_a_checkpoint_sets_how_often_the_context_is_read(checkpoint):
    path = checkpoint / "dg_lsp.json"
    path.write_text(json.dumps({"cache": {"refresh_steps": 7}}))
    assert load(str(checkpoint), "cpu").denoiser.refresh_steps == 7

    path.write_text(json.dumps({"cache": {"refresh_steps": -1}}))
    with pytest.raises(CheckpointError) as raised:
        load(str(checkpoint), "cpu")
    assert "refresh_steps" in str(raised.value)


def test_a_prompt_fits_into_the_context(checkpoint):
    loaded = load(str(checkpoint), "cpu")
    prompt, dimensions = loaded.settings.prompt, 512

    tokens = prompt.prefix_tokens + prompt.suffix_tokens + prompt.snippet_tokens
    assert 0 < tokens + loaded.denoiser.canvas_length <= dimensions
