"""NF4 as bitsandbytes has it, bit for bit."""

from __future__ import annotations

import pytest
import torch
from bitsandbytes import functional

from dg_lsp.models.nf4.format import (
    CODE,
    QuantizationError,
    from_tensors,
    quantize,
    to_bitsandbytes,
    to_tensors,
)
from dg_lsp.reason import ReasonCode


@pytest.fixture
def experts() -> torch.Tensor:
    torch.manual_seed(0)
    return (torch.randn(6, 96, 192) * 0.02).to(torch.bfloat16)


@pytest.mark.parametrize("at_once", [1, 2, 6])
def test_equals_bitsandbytes_on_the_whole_tensor(experts, at_once):
    packed, state = functional.quantize_4bit(
        experts.flatten(), blocksize=64, compress_statistics=True, quant_type="nf4"
    )
    ours = quantize(experts.split(at_once), tuple(experts.shape))

    assert torch.equal(ours.packed, packed.flatten())
    assert torch.equal(ours.absmax, state.absmax)
    assert torch.equal(ours.nested_absmax, state.state2.absmax)
    assert torch.equal(ours.table, state.state2.code)
    assert (ours.offset == state.offset).all()


def test_decodes_to_what_bitsandbytes_decodes(experts):
    ours = quantize([experts], tuple(experts.shape))
    theirs = functional.dequantize_4bit(
        ours.packed[:, None], to_bitsandbytes(ours, torch.float32)
    )

    assert torch.equal(ours.decode(torch.float32), theirs)
    for expert in range(6):
        assert torch.equal(ours.matrix(expert).decode(torch.float32), theirs[expert])


def test_the_code_is_that_of_bitsandbytes():
    assert torch.equal(functional.get_4bit_type("nf4", device="cpu"), torch.tensor(CODE))


def test_a_weight_comes_back_from_a_file_as_it_was(experts):
    weight = quantize([experts], tuple(experts.shape))
    back = from_tensors("w", to_tensors("w", weight, torch.bfloat16), torch.device("cpu"))

    assert back.shape == weight.shape
    for ours, theirs in zip(back.tensors(), weight.tensors(), strict=True):
        assert torch.equal(ours, theirs)


def test_experts_take_no_more_than_four_and_a_fifth_bits():
    # As many values as one real expert's; the tables weigh less in a stack of 128.
    weight = quantize([torch.randn(1408, 2816)], (1408, 2816))

    assert 4 < weight.bits_per_value <= 4.2


@pytest.mark.parametrize(
    ("parts", "shape", "names"),
    [
        ([torch.zeros(4, 96)], (4, 96), r"\b96\b.*\b64\b"),
        ([torch.zeros(2, 64)], (4, 64), r"\b128\b.*\b256\b"),
        ([torch.full((1, 64), torch.inf)], (1, 64), "finite"),
        ([torch.full((1, 64), torch.nan)], (1, 64), "finite"),
    ],
)
def test_what_cannot_be_packed_is_refused(parts, shape, names):
    with pytest.raises(QuantizationError, match=names) as refused:
        quantize(parts, shape)
    assert refused.value.code is ReasonCode.BAD_CHECKPOINT
