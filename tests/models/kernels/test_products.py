"""The Triton kernels in the interpreter, against decoding and multiplying in float32."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor, nn

from dg_lsp.models.kernels import reference
from dg_lsp.models.nf4.format import BLOCK, SCALE_BLOCK, Nf4, quantize
from dg_lsp.models.w4a16.format import Int4
from tests.w4a16 import pack_int4

pytest.importorskip("triton", reason="Triton is there on Linux only")
from dg_lsp.models.kernels import products

GELU = functools.partial(nn.functional.gelu, approximate="tanh")


FORMATS = ("nf4", "int4/32", "int4/64", "int4/128")
"""int4 with its group."""


def group_of(stored: str) -> int:
    return int(stored.rpartition("/")[2])


def pack(stored: str, *shape: int) -> Nf4 | Int4:
    weight = torch.randn(shape) * 0.05
    return quantize([weight], shape) if stored == "nf4" else pack_int4(weight, group_of(stored))


def random_codes(stored: str, *shape: int) -> Nf4 | Int4:
    """A packed weight that never was a full one: the real shapes would take too long."""
    values = torch.Size(shape).numel()
    if stored != "nf4":
        few, many = torch.iinfo(torch.int32).min, torch.iinfo(torch.int32).max
        words = torch.randint(few, many, (*shape[:-1], shape[-1] // 8), dtype=torch.int32)
        scales = torch.rand(*shape[:-1], shape[-1] // group_of(stored)) * 0.01
        return Int4(words, scales.to(torch.bfloat16))
    return Nf4(
        torch.randint(0, 256, (values // 2,), dtype=torch.uint8),
        torch.randint(0, 256, (values // BLOCK,), dtype=torch.uint8),
        torch.rand(-(-values // BLOCK // SCALE_BLOCK)) * 0.01,
        torch.linspace(-1, 1, 256),
        torch.rand(-(-values // BLOCK // SCALE_BLOCK)) * 0.03,
        shape,
    )


def route(rows: int, experts: int, top_k: int) -> tuple[Tensor, Tensor]:
    weights, index = torch.rand(rows, experts).topk(top_k)
    return index, weights


def error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours.float() - theirs).norm() / theirs.norm())


@pytest.mark.parametrize("rows", [1, 5, 33, 256])
@pytest.mark.parametrize(("experts", "top_k"), [(1, 1), (6, 2), (16, 8)])
def test_pairs_are_sorted_by_expert(rows, experts, top_k):
    torch.manual_seed(rows)
    index, _ = route(rows, experts, top_k)
    order, starts = products.sort_by_expert(index, experts)
    expected_order, expected_starts = reference.sort_by_expert(index, experts)

    assert torch.equal(order, expected_order)
    assert torch.equal(starts, expected_starts)


def test_pairs_beyond_one_look_are_sorted_too():
    torch.manual_seed(0)
    index, _ = route(products.PAIRS_PER_LOOK, 4, 3)

    for ours, theirs in zip(
        products.sort_by_expert(index, 4), reference.sort_by_expert(index, 4), strict=True
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("stored", FORMATS)
@pytest.mark.parametrize("rows", [1, 2, 17, 64, 300, 1024])
def test_experts_equal_decoding_and_multiplying(rows, stored):
    torch.manual_seed(rows)
    inner = 128 if stored == "int4/128" else 192
    gate_up, down = pack(stored, 6, 2 * inner, 128), pack(stored, 6, 128, inner)
    hidden = torch.randn(rows, 128)
    index, weights = route(rows, 6, 2)
    ours = products.grouped_experts(hidden, index, weights, gate_up, down)

    theirs = reference.grouped_experts(hidden, index, weights, gate_up, down, GELU)
    assert error(ours, theirs) < 1e-6


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("rows", [3, 70])
@pytest.mark.parametrize("stored", ["nf4", "int4/32"])
def test_half_precision_is_within_a_hundredth_of_float32(rows, dtype, stored):
    torch.manual_seed(rows)
    gate_up, down = pack(stored, 4, 2 * 64, 192), pack(stored, 4, 192, 64)
    hidden = torch.randn(rows, 192).to(dtype)
    index, weights = route(rows, 4, 3)
    ours = products.grouped_experts(hidden, index, weights, gate_up, down)

    theirs = reference.grouped_experts(hidden.float(), index, weights, gate_up, down, GELU)
    assert ours.dtype is dtype
    assert error(ours, theirs) < 1e-2


@pytest.mark.parametrize("stored", ["nf4", "int4/32"])
def test_all_rows_may_want_the_same_expert(stored):
    torch.manual_seed(0)
    gate_up, down = pack(stored, 5, 2 * 64, 64), pack(stored, 5, 64, 64)
    hidden, index = torch.randn(150, 64), torch.full((150, 1), 3)
    weights = torch.rand(150, 1)
    ours = products.grouped_experts(hidden, index, weights, gate_up, down)

    theirs = reference.grouped_experts(hidden, index, weights, gate_up, down, GELU)
    assert error(ours, theirs) < 1e-6


@pytest.mark.parametrize("stored", ["nf4", "int4/32"])
def test_the_experts_of_the_real_model(stored):
    torch.manual_seed(0)
    gate_up = random_codes(stored, 128, 2 * 704, 2816)
    down = random_codes(stored, 128, 2816, 704)
    hidden = torch.randn(3, 2816)
    # One of the 128, the last: the interpreter takes five seconds for each.
    index, weights = torch.tensor([[127], [127], [127]]), torch.rand(3, 1)
    ours = products.grouped_experts(hidden, index, weights, gate_up, down)

    theirs = reference.grouped_experts(hidden, index, weights, gate_up, down, GELU)
    assert error(ours, theirs) < 1e-6


@pytest.mark.parametrize(("outputs", "inputs"), [(64, 128), (192, 64), (130, 192)])
@pytest.mark.parametrize("rows", [1, 20, 130])
@pytest.mark.parametrize("stored", ["nf4", "int4/32", "int4/64"])
def test_one_matrix(outputs, inputs, rows, stored):
    torch.manual_seed(rows)
    weight, x = pack(stored, outputs, inputs), torch.randn(rows, inputs)

    assert error(products.linear(x, weight), reference.linear(x, weight)) < 1e-6


@pytest.mark.parametrize(
    ("pairs", "tokens"), [(8, 16), (256, 16), (2048, 32), (8192, 64), (1 << 20, 64)]
)
def test_tiles_grow_with_the_tokens_of_an_expert(pairs, tokens):
    assert products.tokens_per_tile(pairs, 128) == tokens
