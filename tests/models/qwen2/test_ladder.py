"""Every way of running a masked model on a GPU, reached because the one above fails.

A GPU is played by a CPU: our products are their references, and a graph is the step itself.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from dg_lsp.config import CacheSettings
from dg_lsp.engine.denoiser import OutOfMemoryError
from dg_lsp.models import device as devices
from dg_lsp.models import kernels, packed_layers
from dg_lsp.models.captured import Captured, uncaptured
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.kernels import products, reference
from dg_lsp.models.nf4.packing import pack
from dg_lsp.models.nf4.planning import plan_packing
from dg_lsp.models.qwen2 import ladder
from dg_lsp.models.qwen2.config import read_config
from dg_lsp.models.qwen2.ladder import (
    PACKED,
    UNPACKED,
    LadderDenoiser,
    check_steps,
    sample_steps,
)
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


def fails_for_want_of_memory(*arguments, **options):
    raise OutOfMemoryError("CUDA out of memory")


def capture_fails(forward):
    raise RuntimeError("operation not permitted when stream is capturing")


def capture_lies(forward):
    first = forward()
    return Captured(lambda: first)


def test_where_all_works_steps_are_captured(of_4_bits, of_16_bits):
    for rungs, (model, config) in ((PACKED, of_4_bits), (UNPACKED, of_16_bits)):
        found = LadderDenoiser(model, config, CACHE, rungs)

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
        found = LadderDenoiser(model, config, CACHE, rungs)

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
    found = LadderDenoiser(*of_4_bits, CACHE, PACKED)

    assert [note.code for note in found.notes] == [code, code]
    assert found._bucketed is None
    assert not kernels._is_allowed


def test_running_out_of_memory_is_told(of_16_bits, monkeypatch):
    def capture(forward):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ladder, "GraphCapture", lambda: capture)
    [note] = LadderDenoiser(*of_16_bits, CACHE, UNPACKED).notes
    assert note.code is ReasonCode.OUT_OF_MEMORY


def test_a_device_that_refuses_everything_ends_the_descent(of_16_bits, monkeypatch):
    monkeypatch.setattr(ladder, "GraphCapture", lambda: capture_fails)
    monkeypatch.setattr(devices, "works", lambda device: False)

    with pytest.raises(devices.DeviceLostError):
        LadderDenoiser(*of_16_bits, CACHE, UNPACKED)


def test_without_any_way_left_the_model_is_refused(of_16_bits):
    model, config = of_16_bits
    model.lm_head.forward = broken

    with pytest.raises(CheckpointError) as raised:
        LadderDenoiser(model, config, CACHE, UNPACKED)
    assert raised.value.code is ReasonCode.KERNEL_FAILED


@pytest.fixture
def capture(monkeypatch):
    """Like a graph: what `fails_with` says is raised when it runs, or when it is made."""
    box = SimpleNamespace(fails_with=None, in_making=None)

    def make(forward):
        if box.in_making is not None:
            raise box.in_making
        forward()

        def run():
            if box.fails_with is not None:
                raise box.fails_with
            return forward()

        return Captured(run)

    monkeypatch.setattr(ladder, "GraphCapture", lambda: make)
    return box


OUT = torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize(
    ("error", "code"),
    [(RuntimeError("x"), ReasonCode.KERNEL_FAILED), (OUT, ReasonCode.OUT_OF_MEMORY)],
)
def test_what_fails_while_steps_are_prepared(of_4_bits, capture, error, code):
    found = LadderDenoiser(*of_4_bits, CACHE, PACKED)
    capture.in_making = error
    found.warm_up(64, lambda done, of: None)

    [note] = found.notes
    assert note.code is code
    assert (found.runs_as, found._bucketed) == ("steps without graphs", None)


@pytest.mark.parametrize("error", ["fails_with", "in_making"])
def test_a_step_that_fails_in_a_job_is_made_again_without_graphs(of_4_bits, capture, error):
    expected = sample_steps(LadderDenoiser(*of_4_bits, CACHE, PACKED))
    found = LadderDenoiser(*of_4_bits, CACHE, PACKED)
    setattr(capture, error, RuntimeError("an illegal instruction was encountered"))

    check_steps(sample_steps(found), expected, torch.float32)
    [note] = found.notes
    assert note.code is ReasonCode.KERNEL_FAILED
    assert found.runs_as == "steps without graphs"


def test_memory_that_is_missing_for_a_graph_leads_down_and_other_memory_does_not(
    of_16_bits, capture, monkeypatch
):
    found = LadderDenoiser(*of_16_bits, CACHE, UNPACKED)
    with monkeypatch.context() as short:
        short.setattr(found.model.model, "forward", fails_for_want_of_memory)
        with pytest.raises(OutOfMemoryError):
            sample_steps(found)
    assert (found.runs_as, found.notes) == ("steps in graphs", ())
    capture.in_making = OUT

    sample_steps(found)
    [note] = found.notes
    assert note.code is ReasonCode.OUT_OF_MEMORY
    assert found.runs_as == "plain torch"


def test_what_fails_on_every_rung_says_nothing_about_them(of_4_bits, capture, monkeypatch):
    found = LadderDenoiser(*of_4_bits, CACHE, PACKED)
    monkeypatch.setattr(found.model.lm_head, "forward", broken)
    with pytest.raises(RuntimeError):
        sample_steps(found)
    assert (found.runs_as, found.notes) == ("steps in graphs", ())


def test_a_gpu_that_is_lost_in_a_job_is_left_to_the_engine(of_4_bits, capture, monkeypatch):
    found = LadderDenoiser(*of_4_bits, CACHE, PACKED)
    capture.fails_with = RuntimeError("CUDA error: unspecified launch failure")
    monkeypatch.setattr(devices, "works", lambda device: False)

    with pytest.raises(RuntimeError, match="unspecified launch failure"):
        sample_steps(found)
    assert found.notes == ()


def test_on_a_cpu_steps_run_plainly(of_16_bits):
    found = ladder.settle(*of_16_bits, CACHE)

    assert (found._bucketed, found.notes) == (None, ())
