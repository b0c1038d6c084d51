"""int4 as compressed-tensors stores it: the order of the bits, the groups, the rounding."""

from __future__ import annotations

import pytest
import torch

from dg_lsp.models.w4a16.format import Int4, stored_bytes
from tests.w4a16 import pack_int4


def test_the_first_value_is_in_the_lowest_bits_and_eight_is_zero():
    words = torch.tensor([[0x76543210, -0x01234568]], dtype=torch.int32)  # 0xFEDCBA98
    weight = Int4(words, torch.tensor([[2.0]], dtype=torch.bfloat16))

    assert weight.shape == (1, 16)
    assert weight.group == 16
    assert weight.decode(torch.float32).tolist() == [[2.0 * n for n in range(-8, 8)]]


@pytest.mark.parametrize("group", [32, 64, 128])
@pytest.mark.parametrize("shape", [(6, 256), (3, 6, 128)])
def test_values_are_within_half_a_step(shape, group):
    torch.manual_seed(0)
    weight = torch.randn(shape)
    packed = pack_int4(weight, group)
    steps = packed.scales.float().repeat_interleave(group, -1)

    assert packed.shape == shape
    assert packed.group == group
    error = (packed.decode(torch.float32) - weight).abs()
    assert torch.all(error <= 0.54 * steps)
    assert sum(t.numel() * t.element_size() for t in packed.tensors()) == stored_bytes(
        shape, group
    )


def test_a_matrix_of_a_stack_is_not_copied():
    stack = pack_int4(torch.randn(4, 8, 64), 32)
    one = stack.matrix(2)

    assert torch.equal(one.decode(torch.float32), stack.decode(torch.float32)[2])
    assert one.words.data_ptr() == stack.words[2].data_ptr()


def test_bfloat16_is_the_product_rounded_once():
    packed = pack_int4(torch.randn(8, 128), 32)

    assert torch.equal(
        packed.decode(torch.bfloat16), packed.decode(torch.float32).to(torch.bfloat16)
    )
