"""Matrix products with packed weights on a CPU."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dg_lsp.models import cpu_linear
from dg_lsp.models.cpu_linear import (
    CpuWeights,
    PackedLinear,
    can_pack,
    fastest_exact,
    pack_linears,
    product,
)

PACKED = [CpuWeights.HALF, CpuWeights.INT8]


def linear(*, bias: bool = True, inputs: int = 96, outputs: int = 160) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs, bias=bias)


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@torch.inference_mode()
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 96), (7, 96), (2, 33, 96), (0, 96)])
@pytest.mark.parametrize("weights", PACKED)
def test_a_packed_product_equals_the_plain_one(
    weights: CpuWeights, shape: tuple[int, ...], bias: bool
) -> None:
    plain = linear(bias=bias)
    x = torch.randn(shape)
    found = PackedLinear(plain.weight, plain.bias, weights)(x)
    expected = plain(x)
    assert found.shape == expected.shape
    if x.numel():
        assert relative_error(found, expected) < (1e-3 if weights is CpuWeights.HALF else 0.03)


@torch.inference_mode()
def test_float16_keeps_bfloat16_weights_exactly() -> None:
    plain = linear()
    plain.weight.copy_(plain.weight.bfloat16().float())
    x = torch.randn(5, 96)
    found = PackedLinear(plain.weight, plain.bias, CpuWeights.HALF)(x)
    torch.testing.assert_close(found, plain(x), rtol=1e-5, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("changed", [1.0, 1 + 2**-11, 1e5, 2**-26])
def test_a_product_is_packed_only_if_no_weight_changes(changed: float) -> None:
    weight = linear().weight.detach().half().float()
    weight[3, 5] = changed
    x = torch.randn(5, 96)
    found = product(weight)
    assert isinstance(found, PackedLinear) is (can_pack() and changed == 1)
    torch.testing.assert_close(found(x), x @ weight.T, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_a_row_with_large_values_does_not_blur_the_others() -> None:
    plain = linear()
    x = torch.randn(4, 96)
    x[2] *= 10_000
    found = PackedLinear(plain.weight, plain.bias, CpuWeights.INT8)(x)
    for row, expected in zip(found, plain(x), strict=True):
        assert relative_error(row, expected) < 0.03


@torch.inference_mode()
@pytest.mark.parametrize("weights", PACKED)
def test_zeros_give_the_bias(weights: CpuWeights) -> None:
    plain = linear()
    nn.init.zeros_(plain.weight)
    found = PackedLinear(plain.weight, plain.bias, weights)(torch.zeros(2, 96))
    torch.testing.assert_close(found, plain.bias.expand(2, -1))


@torch.inference_mode()
@pytest.mark.parametrize("weights", CpuWeights)
def test_a_model_keeps_its_embedding_when_its_products_are_packed(weights: CpuWeights) -> None:
    torch.manual_seed(0)
    embedding = nn.Embedding(160, 96)
    head = linear(bias=False)
    head.weight = embedding.weight
    model = nn.ModuleDict(
        {"embed": embedding, "block": nn.Sequential(linear(outputs=96)), "head": head}
    )

    def run() -> torch.Tensor:
        hidden = model["embed"](torch.arange(5))
        out: torch.Tensor = model["head"](model["block"](hidden))
        return out

    before = run()
    pack_linears(model, weights)
    assert relative_error(run(), before) < 0.05
    is_packed = [isinstance(one, PackedLinear) for one in (model["block"][0], model["head"])]
    assert is_packed == [weights is not CpuWeights.FLOAT32] * 2
    assert model["embed"] is embedding


def test_a_cpu_without_fbgemm_keeps_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_linear, "can_pack", lambda: True)
    assert fastest_exact() is CpuWeights.HALF
    monkeypatch.setattr(cpu_linear, "can_pack", lambda: False)
    assert fastest_exact() is CpuWeights.FLOAT32
