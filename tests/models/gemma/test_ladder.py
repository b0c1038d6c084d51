"""Every rung of the ladder, reached because the one above fails.

A GPU is played by a CPU: our products and fused kernels are their references, which other tests
compare with the kernels, and a graph is the step itself.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dg_lsp.config import CacheSettings
from dg_lsp.models import device as devices
from dg_lsp.models import kernels, packed_layers
from dg_lsp.models.captured import Captured, uncaptured
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.device import DeviceLostError
from dg_lsp.models.gemma import ladder
from dg_lsp.models.gemma.attention import Router
from dg_lsp.models.gemma.fused import ops as fused_ops
from dg_lsp.models.gemma.ladder import LADDER, PLAIN, descend
from dg_lsp.models.gemma.step import PLAIN as PLAIN_PARTS
from dg_lsp.models.gemma.weights import load_packed
from dg_lsp.models.kernels import ops, products, reference
from dg_lsp.models.registry import open_checkpoint
from dg_lsp.reason import ReasonCode

FUSED, CAPTURED, EAGER, _ = LADDER


def experts_of_split(*routed):
    return reference.grouped_experts(*routed, ops._gelu)


@pytest.fixture(autouse=True)
def like_a_gpu(monkeypatch):
    monkeypatch.setattr(kernels, "available_on", lambda device: kernels._is_allowed)
    monkeypatch.setattr(packed_layers, "has_bitsandbytes", lambda: False)
    monkeypatch.setattr(products, "split", lambda rows: rows)
    monkeypatch.setattr(products, "linear_of_split", reference.linear)
    monkeypatch.setattr(products, "experts_of_split", experts_of_split)
    monkeypatch.setattr(ladder, "GraphCapture", lambda: uncaptured)
    monkeypatch.setattr(ladder, "compiled", lambda vocabulary: PLAIN_PARTS)


@pytest.fixture
def model(packed_checkpoint):
    config = open_checkpoint(packed_checkpoint).config
    return load_packed(packed_checkpoint, config, torch.device("cpu"), torch.float32)


def rung_of(denoiser) -> ladder.Rung:
    """The rung that a denoiser stands on, judged by what it does."""
    bucketed = denoiser._bucketed
    has_kernels = kernels._is_allowed
    return next(
        rung
        for rung in LADDER
        if (rung.has_kernels, rung.is_captured, rung.is_fused)
        == (has_kernels, bucketed is not None, denoiser.is_fused)
    )


def settled(model):
    return descend(LADDER, model, CacheSettings())


def spoiled(function, by=1.5):
    """The function with one wrong number in its result."""

    def spoil(*arguments, **options):
        found = function(*arguments, **options).clone()
        found.view(-1)[0] += by * found.abs().max() + 1
        return found

    return spoil


def broken(*arguments, **options):
    raise RuntimeError("PassManager::run failed\n  at ttgir")


def test_the_fastest_way_is_used_if_nothing_is_wrong(model):
    denoiser = settled(model)

    assert rung_of(denoiser) == FUSED
    assert denoiser.notes == ()


@pytest.mark.parametrize("name", ["attend", "rotate_and_store"])
def test_a_fused_kernel_with_one_wrong_number(model, monkeypatch, name):
    monkeypatch.setattr(fused_ops, name, spoiled(getattr(fused_ops, name), by=100))
    denoiser = settled(model)

    assert rung_of(denoiser) == CAPTURED
    [note] = denoiser.notes
    assert note.code is ReasonCode.WRONG_NUMBERS
    assert FUSED.name in note.message
    assert CAPTURED.name in note.message
    # The class's own layers are back.
    assert not any(isinstance(module, Router) for module in model.modules())


def test_compiled_code_that_gives_other_numbers(model, monkeypatch):
    def layer(*arguments):
        return PLAIN_PARTS.layer(*arguments) * 1.05

    parts = dataclasses.replace(PLAIN_PARTS, layer=layer)
    monkeypatch.setattr(ladder, "compiled", lambda vocabulary: parts)
    denoiser = settled(model)

    assert rung_of(denoiser) == CAPTURED
    assert [note.code for note in denoiser.notes] == [ReasonCode.WRONG_NUMBERS]


def test_compiling_that_raises(model, monkeypatch):
    parts = dataclasses.replace(PLAIN_PARTS, layer=broken)
    monkeypatch.setattr(ladder, "compiled", lambda vocabulary: parts)
    denoiser = settled(model)

    assert rung_of(denoiser) == CAPTURED
    [note] = denoiser.notes
    assert note.code is ReasonCode.KERNEL_FAILED
    assert "PassManager::run failed" in note.message
    assert "\n" not in note.message


def refuse(step):
    raise RuntimeError("operation not permitted when stream is capturing")


def stale(step):
    """A graph that does not see its new inputs."""
    first = step()
    return Captured(lambda: first)


@pytest.mark.parametrize(
    ("capture", "code"),
    [(refuse, ReasonCode.KERNEL_FAILED), (stale, ReasonCode.WRONG_NUMBERS)],
)
def test_steps_that_cannot_be_captured(model, monkeypatch, capture, code):
    monkeypatch.setattr(ladder, "GraphCapture", lambda: capture)
    denoiser = settled(model)

    assert rung_of(denoiser) == EAGER
    assert [note.code for note in denoiser.notes] == [code, code]
    assert all(EAGER.name in note.message for note in denoiser.notes)


@pytest.mark.parametrize("name", ["linear_of_split", "experts_of_split"])
@pytest.mark.parametrize("is_wrong", [True, False])
def test_products_that_are_wrong_or_raise(model, monkeypatch, name, is_wrong):
    kernel = spoiled(getattr(products, name)) if is_wrong else broken
    monkeypatch.setattr(products, name, kernel)
    denoiser = settled(model)

    assert rung_of(denoiser) == PLAIN
    code = ReasonCode.WRONG_NUMBERS if is_wrong else ReasonCode.KERNEL_FAILED
    assert [note.code for note in denoiser.notes] == [code] * 3
    # What it does now is right.
    matrix = model.model.decoder.layers[0].self_attn.o_proj
    rows = torch.randn(3, matrix.shape[1])
    torch.testing.assert_close(matrix(rows), reference.linear(rows, matrix.stored))


@pytest.mark.parametrize("tile", kernels.TOKENS_PER_TILE)
def test_one_tile_size_that_is_wrong(model, monkeypatch, tile):
    right = products.linear_of_split

    def of_size(rows, weight):
        wrong = products._tile(len(rows)) == tile
        return (spoiled(right) if wrong else right)(rows, weight)

    monkeypatch.setattr(products, "linear_of_split", of_size)

    assert rung_of(settled(model)) == PLAIN


def test_without_any_way_left_the_model_is_refused(model, monkeypatch):
    monkeypatch.setattr(ops, "linear", broken)
    monkeypatch.setattr(packed_layers.ops, "linear", broken)
    with pytest.raises(CheckpointError) as raised:
        settled(model)

    assert raised.value.code is ReasonCode.KERNEL_FAILED


def test_a_gpu_that_refuses_everything_ends_the_descent(model, monkeypatch):
    monkeypatch.setattr(products, "linear_of_split", broken)
    monkeypatch.setattr(devices, "works", lambda device: False)
    with pytest.raises(DeviceLostError) as raised:
        settled(model)

    assert raised.value.code is ReasonCode.GPU_LOST


def test_numbers_that_are_no_numbers(model, monkeypatch):
    def hollow(*arguments):
        return torch.full_like(right(*arguments), torch.nan)

    right = products.experts_of_split
    monkeypatch.setattr(products, "experts_of_split", hollow)

    assert rung_of(settled(model)) == PLAIN


def test_the_rungs_give_the_same_numbers(model):
    """Going down and up again leaves nothing behind."""
    names = [rung_of(ladder.denoiser_at(rung, model, CacheSettings())) for rung in LADDER]
    assert names == [*LADDER]
    assert rung_of(settled(model)) == FUSED
