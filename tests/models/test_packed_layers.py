"""Several linears in one product."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dg_lsp.models.nf4.format import quantize
from dg_lsp.models.packed_layers import Beside, PackedMatrix, merged
from dg_lsp.models.w4a16.format import Int4

INPUTS = 256


def nf4(outputs: int) -> PackedMatrix:
    weight = torch.randn(outputs, INPUTS) * outputs
    return PackedMatrix(quantize([weight], weight.shape))


def int4(outputs: int, group: int = 32) -> PackedMatrix:
    words = torch.randint(-(2**31), 2**31 - 1, (outputs, INPUTS // 8), dtype=torch.int32)
    return PackedMatrix(Int4(words, torch.rand(outputs, INPUTS // group).to(torch.bfloat16)))


def dense(outputs: int) -> nn.Linear:
    return nn.Linear(INPUTS, outputs, bias=False).requires_grad_(False)


@pytest.mark.parametrize("make", [nf4, int4, dense])
def test_linears_are_merged_and_keep_views_of_the_whole(make):
    torch.manual_seed(0)
    linears = [make(128), make(64), make(64)]
    x = torch.randn(1, 5, INPUTS)
    before = [linear(x) for linear in linears]

    whole = merged(linears)

    assert not isinstance(whole, Beside)
    torch.testing.assert_close(whole(x), torch.cat(before, -1))
    for linear, expected in zip(linears, before, strict=True):
        torch.testing.assert_close(linear(x), expected)
    tensors = {**dict(whole.named_buffers()), **dict(whole.named_parameters())}
    part = {**dict(linears[0].named_buffers()), **dict(linears[0].named_parameters())}
    shared = {name for name in part if part[name].data_ptr() == tensors[name].data_ptr()}
    assert shared == part.keys() - {"table"} | (shared & {"table"})


@pytest.mark.parametrize(
    "makes",
    [
        # Blocks of scales of the first would reach into the second.
        (lambda: nf4(32), lambda: nf4(64)),
        (lambda: int4(64), lambda: nf4(64)),
        (lambda: int4(64), lambda: int4(64, group=128)),
        (lambda: dense(64), lambda: nn.Linear(INPUTS, 64).requires_grad_(False)),
    ],
)
def test_what_cannot_be_merged_is_computed_one_after_the_other(makes):
    torch.manual_seed(0)
    linears = [make() for make in makes]
    x = torch.randn(3, INPUTS)

    whole = merged(linears)

    assert isinstance(whole, Beside)
    assert torch.equal(whole(x), torch.cat([linear(x) for linear in linears], -1))
