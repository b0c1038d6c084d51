"""The model in 4 bits: one copy of every weight, and the same predictions."""

from __future__ import annotations

import pytest
import torch

from dg_lsp.hardware import Machine
from dg_lsp.models import kernels
from dg_lsp.models.gemma.quantization import (
    expected_shapes,
    is_packed,
    own_name,
    skeleton,
)
from dg_lsp.models.gemma.weights import load_packed
from dg_lsp.models.nf4.format import quantize
from dg_lsp.models.packed_layers import PACKED_EXPERTS, packed_linear
from dg_lsp.models.registry import open_checkpoint


@pytest.fixture
def packed_model(packed_checkpoint):
    config = open_checkpoint(packed_checkpoint).config
    return load_packed(packed_checkpoint, config, torch.device("cpu"), torch.float32)


@pytest.fixture
def decoded_model(tiny_model, tiny_config):
    """The full model whose weights are those that the packed one decodes to."""
    model = type(tiny_model)(tiny_config).eval()
    state = {name: tensor.clone() for name, tensor in tiny_model.state_dict().items()}
    for name, tensor in state.items():
        if is_packed(own_name(model, name), tuple(tensor.shape)):
            state[name] = quantize([tensor], tuple(tensor.shape)).decode(torch.float32)
        else:
            state[name] = tensor.to(torch.bfloat16).float()
    model.load_state_dict(state)
    return model


@torch.inference_mode()
def test_predicts_what_its_decoded_weights_predict(packed_model, decoded_model):
    torch.manual_seed(1)
    prompt, canvas = torch.randint(5, 300, (1, 40)), torch.randint(5, 300, (1, 12))
    ours = packed_model(input_ids=prompt, decoder_input_ids=canvas).logits
    theirs = decoded_model(input_ids=prompt, decoder_input_ids=canvas).logits

    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_both_halves_hold_one_copy(packed_model):
    encoder, decoder = packed_model.model.encoder.language_model, packed_model.model.decoder
    for ours, theirs in zip(encoder.layers, decoder.layers, strict=True):
        for path in (
            *("experts.gate_up_proj", "experts.down_proj", "mlp.down_proj"),
            *("self_attn.q_proj", "self_attn.o_proj"),
        ):
            left, right = ours.get_submodule(path), theirs.get_submodule(path)
            assert len(list(left.buffers())) == 5
            for buffer, other in zip(left.buffers(), right.buffers(), strict=True):
                assert buffer.data_ptr() == other.data_ptr()
    pointers = {
        weight.data_ptr()
        for weight in (
            encoder.embed_tokens.weight,
            decoder.embed_tokens.weight,
            packed_model.lm_head.weight,
        )
    }
    assert len(pointers) == 1


@torch.inference_mode()
def test_both_halves_hold_one_copy_after_a_forward_too(packed_model):
    packed_model(
        input_ids=torch.tensor([[5, 6, 7]]), decoder_input_ids=torch.tensor([[8, 9, 10]])
    )

    test_both_halves_hold_one_copy(packed_model)


def test_layers_keep_scalars_of_their_own(packed_model, tiny_model):
    for half in ("encoder.language_model", "decoder"):
        for ours, theirs in zip(
            packed_model.model.get_submodule(half).layers,
            tiny_model.model.get_submodule(half).layers,
            strict=True,
        ):
            assert torch.equal(ours.layer_scalar, theirs.layer_scalar)


def test_what_is_packed_and_what_is_not(tiny_config):
    model = skeleton(tiny_config)
    shapes = expected_shapes(model)
    packed = {name for name, shape in shapes.items() if is_packed(name, shape)}

    assert packed == {
        name
        for name in shapes
        if "experts." in name or ("proj.weight" in name and "router" not in name)
    }
    assert not any("encoder" in name for name in packed)


def test_it_is_registered_with_transformers(packed_model):
    assert packed_model.config.text_config._experts_implementation == PACKED_EXPERTS


@torch.inference_mode()
def test_matrices_go_to_the_kernel_where_there_is_one(monkeypatch):
    pytest.importorskip("triton")
    from dg_lsp.models.kernels import products

    torch.manual_seed(0)
    weight = quantize([torch.randn(128, 64)], (128, 64))
    asked = []
    original = products.linear_of_split
    monkeypatch.setattr(products, "linear_of_split", lambda *a: asked.append(1) or original(*a))
    monkeypatch.setattr(kernels, "available_on", lambda device: True)
    x = torch.randn(1, 17, 64)
    product = packed_linear(weight, torch.float32)(x)

    assert asked
    expected = x @ weight.decode(torch.float32).T
    torch.testing.assert_close(product, expected, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_experts_go_to_the_kernel_where_there_is_one(monkeypatch, packed_model, decoded_model):
    pytest.importorskip("triton")
    monkeypatch.setattr(kernels, "available_on", lambda device: True)
    torch.manual_seed(2)
    prompt, canvas = torch.randint(5, 300, (1, 18)), torch.randint(5, 300, (1, 12))
    ours = packed_model(input_ids=prompt, decoder_input_ids=canvas).logits
    theirs = decoded_model(input_ids=prompt, decoder_input_ids=canvas).logits

    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_without_bitsandbytes_a_packed_model_loads_and_predicts_the_same(
    monkeypatch, packed_checkpoint, decoded_model
):
    monkeypatch.setattr("dg_lsp.models.packed_layers.has_bitsandbytes", lambda: False)
    config = open_checkpoint(packed_checkpoint).config
    model = load_packed(packed_checkpoint, config, torch.device("cpu"), torch.float32)
    torch.manual_seed(3)
    prompt, canvas = torch.randint(5, 300, (1, 40)), torch.randint(5, 300, (1, 12))
    ours = model(input_ids=prompt, decoder_input_ids=canvas).logits
    theirs = decoded_model(input_ids=prompt, decoder_input_ids=canvas).logits

    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("lacking", ["has_triton", "has_compiler", "has_headers"])
def test_without_what_the_kernels_need_the_reference_is_used_and_that_is_said_once(
    monkeypatch, caplog, lacking
):
    complete = {"has_triton": True, "has_compiler": True, "has_headers": True}
    machine = Machine("Linux", **(complete | {lacking: False}))
    monkeypatch.setattr(kernels, "installed", lambda: machine)
    kernels.can_compile.cache_clear()
    try:
        assert not kernels.available_on(torch.device("cuda"))
        assert not kernels.available_on(torch.device("cuda"))
    finally:
        kernels.can_compile.cache_clear()

    [said] = [record.message for record in caplog.records if "slower" in record.message]
    assert "install" in said
    assert not kernels.available_on(torch.device("cpu"))
