"""The products in plain torch: decoded in slices, by any number of threads, or at once."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dg_lsp.models.kernels import reference
from dg_lsp.models.nf4.format import quantize
from tests.w4a16 import pack_int4

FORMATS = {
    "nf4": lambda weight: quantize([weight], tuple(weight.shape)),
    "int4": lambda weight: pack_int4(weight, 32),
}


@pytest.fixture(params=[1, 3], ids=["1 thread", "3 threads"])
def threads(request):
    """How many threads torch may use in this test."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    assert torch.get_num_threads() == request.param
    torch.set_num_threads(before)


@pytest.fixture(params=FORMATS.values(), ids=FORMATS.keys())
def pack(request):
    torch.manual_seed(0)
    return request.param


@pytest.mark.parametrize("values", [1, 64 * 7, 1 << 17], ids="{} at once".format)
@pytest.mark.parametrize("rows", [1, 5])
def test_a_product_is_that_with_the_decoded_weight(monkeypatch, threads, pack, rows, values):
    monkeypatch.setattr(reference, "SLICE_VALUES", values)
    weight = pack(torch.randn(50, 128))
    x = torch.randn(rows, 128)

    expected = nn.functional.linear(x, weight.decode(torch.float32))
    torch.testing.assert_close(reference.linear(x, weight), expected)


@pytest.mark.parametrize("values", [64 * 7, 1 << 17], ids="{} at once".format)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_experts_are_each_rows_own(monkeypatch, threads, pack, dtype, values):
    monkeypatch.setattr(reference, "SLICE_VALUES", values)
    gate_up, down = pack(torch.randn(6, 2 * 64, 128)), pack(torch.randn(6, 128, 64))
    hidden = torch.randn(9, 128).to(dtype)
    weights, index = torch.rand(9, 6).topk(2)
    index[0] = torch.tensor([5, 0])

    ours = reference.grouped_experts(hidden, index, weights, gate_up, down, torch.tanh)
    for row, (chosen, shares) in enumerate(zip(index.tolist(), weights, strict=True)):
        expected = torch.zeros(128)
        for expert, share in zip(chosen, shares, strict=True):
            both = gate_up.matrix(expert).decode(dtype) @ hidden[row]
            gate, up = both.chunk(2)
            expected += share * (down.matrix(expert).decode(dtype) @ (torch.tanh(gate) * up))
        tolerance = 1e-5 if dtype is torch.float32 else 3e-2
        torch.testing.assert_close(
            ours[row].float(), expected, rtol=tolerance, atol=tolerance * 300
        )


def test_every_expert_in_use_is_decoded_once(monkeypatch, threads):
    decoded = []
    stack = pack_int4(torch.randn(6, 128, 64), 32)
    down = pack_int4(torch.randn(6, 64, 64), 32)
    matrix = type(stack).matrix
    monkeypatch.setattr(
        type(stack), "matrix", lambda self, n: (decoded.append(n), matrix(self, n))[1]
    )
    index = torch.tensor([[4, 1], [1, 4], [4, 2]] * 5)
    reference.grouped_experts(
        torch.randn(15, 64), index, torch.rand(15, 2), stack, down, torch.tanh
    )

    assert sorted(decoded) == [1, 1, 2, 2, 4, 4]


@torch.inference_mode()
def test_inference_mode_reaches_all_threads(threads, pack):
    weight = pack(torch.randn(50, 128))
    hidden = torch.randn(4, 128)

    assert reference.linear(hidden, weight).is_inference()
    stacks = pack(torch.randn(6, 128, 128)), pack(torch.randn(6, 128, 64))
    weights, index = torch.rand(4, 6).topk(2)
    assert reference.grouped_experts(hidden, index, weights, *stacks, torch.tanh).is_inference()


def test_a_fault_in_a_thread_reaches_the_caller(threads, pack):
    with pytest.raises(RuntimeError):
        reference.linear(torch.randn(2, 64), pack(torch.randn(50, 128)))
