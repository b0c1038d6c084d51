"""Two 4-bit codes in a byte: which comes first, and which scale applies to which."""

from __future__ import annotations

import pytest
import torch

from dg_lsp.models.code_pairs import CodePairs, pair_table

CPU = torch.device("cpu")


@pytest.mark.parametrize(("first_is_high", "first"), [(True, [1.0, 2.0]), (False, [2.0, 1.0])])
def test_both_halves_of_a_byte_are_looked_up(first_is_high, first):
    table = pair_table(range(16), first_is_high=first_is_high, device=CPU)
    packed = torch.tensor([[0x12, 0xF0], [0x00, 0x9A]], dtype=torch.uint8)
    pairs = CodePairs(packed, torch.tensor([[1.0, 10.0], [2.0, -1.0]]), table)

    assert pairs.shape == (2, 4)
    last = [150.0, 0.0] if first_is_high else [0.0, 150.0]
    assert pairs.decode()[0].tolist() == [*first, *last]
    assert pairs.decode(1, 2).tolist() == [pairs.decode()[1].tolist()]


def test_every_byte():
    codes = torch.randn(16)
    table = pair_table(codes.tolist(), first_is_high=True, device=CPU)
    packed = torch.arange(256, dtype=torch.uint8)[:, None]
    expected = [[codes[byte >> 4], codes[byte & 15]] for byte in range(256)]

    assert torch.equal(
        CodePairs(packed, torch.ones(256, 1), table).decode(), torch.tensor(expected)
    )
