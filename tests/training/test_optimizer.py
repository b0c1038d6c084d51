"""Muon's direction, and an optimizer that can stop and go on."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from dg_lsp.training.optimizer import Optimizer, orthogonalize


def matrices(count: int, rows: int, columns: int, least: float = 0.1) -> Tensor:
    """Random matrices whose singular values lie between `least` and 1, times any scale."""
    generator = torch.Generator().manual_seed(rows * columns)
    u, _, v = torch.linalg.svd(
        torch.randn(count, rows, columns, generator=generator), full_matrices=False
    )
    values = torch.rand(count, u.shape[-1], generator=generator) * (1 - least) + least
    return 37.0 * u @ torch.diag_embed(values) @ v


@pytest.mark.parametrize(
    ("count", "rows", "columns"), [(1, 64, 64), (3, 32, 128), (2, 128, 32), (4, 64, 96)]
)
def test_singular_values_come_near_one(count, rows, columns):
    given = matrices(count, rows, columns)
    direction = orthogonalize(given)

    values = torch.linalg.svdvals(direction)
    assert direction.shape == given.shape
    assert direction.dtype == torch.float32
    assert values.min() > 0.6
    assert values.max() < 1.3
    # The semi-orthogonal matrix that is nearest keeps both bases.
    u, _, v = torch.linalg.svd(given, full_matrices=False)
    assert (
        nn.functional.cosine_similarity(direction.flatten(1), (u @ v).flatten(1)).min() > 0.95
    )


def test_matrices_of_a_stack_know_nothing_of_each_other():
    given = matrices(3, 32, 48)
    given[1] *= 1e3

    for together, alone in zip(orthogonalize(given), given, strict=True):
        torch.testing.assert_close(together, orthogonalize(alone[None])[0], atol=0.02, rtol=0)


def test_no_gradient_at_all_is_no_direction():
    assert torch.equal(orthogonalize(torch.zeros(2, 8, 16)), torch.zeros(2, 8, 16))


class Small(nn.Module):
    """One parameter of each kind that the optimizer tells apart."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)

        def parameter(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=generator) * 0.3)

        self.embed_tokens, self.router = parameter(10, 8), parameter(4, 8)
        self.matrix, self.experts, self.norm = (
            parameter(8, 8),
            parameter(4, 16, 8),
            parameter(8),
        )

    def loss(self) -> Tensor:
        hidden = (self.embed_tokens @ self.matrix.mT) * self.norm
        routed = torch.softmax(hidden @ self.router.mT, dim=-1)
        inner = torch.einsum("te,eoh,th->to", routed, self.experts, hidden)
        return (inner - 1.0).square().mean()


def make(dtype: torch.dtype = torch.float32) -> tuple[Small, Optimizer]:
    model = Small().to(dtype)
    return model, Optimizer(dict(model.named_parameters()), matrix_lr=0.02, other_lr=0.01)


def run(model: Small, optimizer: Optimizer, steps: int) -> list[float]:
    losses = []
    for _ in range(steps):
        loss = model.loss()
        loss.backward()
        optimizer.step(1.0)
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_kind_of_parameter_is_trained(dtype):
    model, optimizer = make(dtype)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    losses = run(model, optimizer, 40)

    assert losses[-1] < 0.6 * losses[0]
    for name, parameter in model.named_parameters():
        assert not torch.equal(parameter, before[name]), name
        assert parameter.grad is None
        # Low precision copies follow the float32 masters.
        assert optimizer.masters[name].dtype == torch.float32
        assert torch.equal(parameter, optimizer.masters[name].to(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_saved_optimizer_goes_on_exactly(dtype):
    model, optimizer = make(dtype)
    run(model, optimizer, 3)
    state = copy.deepcopy(optimizer.state())
    expect = run(model, optimizer, 3)

    other_model, other = make(dtype)
    other.load(state)
    assert run(other_model, other, 3) == expect
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, dict(other_model.named_parameters())[name])


def test_with_no_learning_rate_nothing_moves():
    model, optimizer = make()
    before = copy.deepcopy(model.state_dict())
    model.loss().backward()
    optimizer.step(0.0)

    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_a_parameter_without_a_gradient_is_left_out():
    model, optimizer = make()
    before = model.norm.detach().clone()
    loss = model.loss()
    loss.backward()
    model.norm.grad = None
    optimizer.step(1.0)

    assert torch.equal(model.norm, before)
