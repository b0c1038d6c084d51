"""Every way of running a masked model on a GPU, reached because the one above fails.

A GPU is played by a CPU: our products are their references, and a graph is the step itself.
"""

from __future__ import annotations

import pytest
import torch

from dg_lsp.config import CacheSettings
from dg_lsp.models import device as devices
from dg_lsp.models import kernels, packed_layers
from dg_lsp.models.captured import Captured, uncaptured
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.kernels import products, reference
from dg_lsp.models.nf4.packing import pack
from dg_lsp.models.nf4.planning import plan_packing
from dg_lsp.models.qwen2 import ladder
from dg_lsp.models.qwen2.config import read_config
from dg_lsp.models.qwen2.ladder import PACKED, UNPACKED, descend
from dg_lsp.models.qwen2.weights import load_packed, load_weights
from dg_lsp.reason import ReasonCode

CPU = torch.device("cpu")
CACHE = CacheSettings()


@pytest.fixture(autouse=True)
def like_a_gpu(monkeypatch):
    monkeypatch.setattr(kernels, "available_on", lambda device: kernels._is_allowed)
    monkeypatch.setattr(packed_layers, "has_bitsandbytes", lambda: False)
    monkeypatch.setattr(products, "split", lambda rows: rows)
    monkeypatch.setattr(products, "linear_of_split", reference.linear)
    monkeypatch.setattr(ladder, "GraphCapture", lambda: uncaptured)
    yield
    kernels.allow(True)


@pytest.fixture(scope="module")
def packed(masked_checkpoint, tmp_path_factory):
    target = tmp_path_factory.mktemp("ladder") / "packed"
    pack(masked_checkpoint, target, plan_packing(masked_checkpoint), device=CPU, source_name="")
    return target


@pytest.fixture
def of_4_bits(packed):
    config = read_config(packed)
    return load_packed(packed, config.network, CPU, torch.float32), config


@pytest.fixture
def of_16_bits(masked_checkpoint):
    config = read_config(masked_checkpoint)
    return load_weights(masked_checkpoint, config.network, CPU, torch.float32), config


def spoiled(*arguments, **options):
    return reference.linear(*arguments, **options) * 1.5


def broken(*arguments, **options):
    raise RuntimeError("PTX JIT compilation failed")


def capture_fails(forward):
    raise RuntimeError("operation not permitted when stream is capturing")


def capture_lies(forward):
    first = forward()
    return Captured(lambda: first)


def test_where_all_works_steps_are_captured(of_4_bits, of_16_bits):
    for rungs, (model, config) in ((PACKED, of_4_bits), (UNPACKED, of_16_bits)):
        found = descend(rungs, model, config, CACHE)

        assert found.notes == ()
        assert found._bucketed is not None
        # What the self-test has prepared is not kept.
        assert found._bucketed.buckets == []


@pytest.mark.parametrize(
    ("capture", "code"),
    [
        (capture_fails, ReasonCode.KERNEL_FAILED),
        (capture_lies, ReasonCode.WRONG_NUMBERS),
    ],
)
def test_steps_that_cannot_be_captured_run_one_by_one(
    of_4_bits, of_16_bits, monkeypatch, capture, code
):
    monkeypatch.setattr(ladder, "GraphCapture", lambda: capture)
    for rungs, (model, config) in ((PACKED, of_4_bits), (UNPACKED, of_16_bits)):
        found = descend(rungs, model, config, CACHE)

        [note] = found.notes
        assert note.code is code
        assert rungs[0].name in note.message
        assert rungs[1].name in note.message
        assert found._bucketed is None


@pytest.mark.parametrize(
    ("product", "code"),
    [(broken, ReasonCode.KERNEL_FAILED), (spoiled, ReasonCode.WRONG_NUMBERS)],
)
def test_products_that_are_wrong_or_raise(of_4_bits, monkeypatch, product, code):
    monkeypatch.setattr(products, "linear_of_split", product)
    found = descend(PACKED, *of_4_bits, CACHE)

    assert [note.code for note in found.notes] == [code, code]
    assert found._bucketed is None
    assert not kernels._is_allowed


def test_running_out_of_memory_is_told(of_16_bits, monkeypatch):
    def capture(forward):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ladder, "GraphCapture", lambda: capture)
    [note] = descend(UNPACKED, *of_16_bits, CACHE).notes
    assert note.code is ReasonCode.OUT_OF_MEMORY


def test_a_device_that_refuses_everything_ends_the_descent(of_16_bits, monkeypatch):
    monkeypatch.setattr(ladder, "GraphCapture", lambda: capture_fails)
    monkeypatch.setattr(devices, "works", lambda device: False)

    with pytest.raises(devices.DeviceLostError):
        descend(UNPACKED, *of_16_bits, CACHE)


def test_without_any_way_left_the_model_is_refused(of_16_bits):
    model, config = of_16_bits
    model.lm_head.forward = broken

    with pytest.raises(CheckpointError) as raised:
        descend(UNPACKED, model, config, CACHE)
    assert raised.value.code is ReasonCode.KERNEL_FAILED


def test_on_a_cpu_steps_run_plainly(of_16_bits):
    found = ladder.settle(*of_16_bits, CACHE)

    assert (found._bucketed, found.notes) == (None, ())
