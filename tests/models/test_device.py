"""Which device is chosen on machines that are made up."""

from __future__ import annotations

import pytest
import torch

from dg_lsp.hardware import Gpu, Machine
from dg_lsp.models import device as devices
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.device import choose_device, default_device
from dg_lsp.reason import ReasonCode

NEW, OLD = Gpu("RTX 5090", (12, 0), 32 * 10**9), Gpu("Tesla T4", (7, 5), 16 * 10**9)


def machine(*gpus: Gpu, **changes) -> Machine:
    facts = {"torch": "2.15.0", "cuda_build": "12.8", "torch_finds_gpu": bool(gpus)}
    return Machine("Linux", gpus, **(facts | changes))


@pytest.fixture
def at(monkeypatch):
    """Puts torch on another machine."""
    return lambda found: monkeypatch.setattr(devices, "look", lambda: found)


@pytest.mark.parametrize(("asked", "chosen"), [
    ("cuda", "cuda:0"), ("cuda:0", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu"),
    (None, "cuda:0"),
])  # fmt: skip
def test_a_gpu_has_an_index(at, asked, chosen):
    at(machine(NEW, NEW))
    assert str(choose_device(asked)) == chosen


@pytest.mark.parametrize("device", ["gpu", "", "cpu:x", "meta", "mps:x", "cuda:x", "cuda:-1"])
def test_an_unknown_device_is_refused(device):
    with pytest.raises(CheckpointError) as raised:
        choose_device(device)

    assert raised.value.code is ReasonCode.NO_DEVICE
    assert repr(device) in str(raised.value)


@pytest.mark.parametrize(("found", "asked", "code", "words"), [
    (machine(), "cuda", ReasonCode.NO_GPU, ["'cuda'", "--device cpu"]),
    (machine(), "mps", ReasonCode.NO_DEVICE, ["'mps'", "--device cpu"]),
    (machine(NEW), "cuda:1", ReasonCode.NO_DEVICE, ["'cuda:1'", "cuda:0"]),
    (machine(NEW, OLD), "cuda:1", ReasonCode.OLD_GPU, ["Tesla T4", "7.5", "8.0"]),
])  # fmt: skip
def test_a_requested_gpu_is_never_replaced(at, found, asked, code, words):
    at(found)
    with pytest.raises(CheckpointError) as raised:
        choose_device(asked)

    assert raised.value.code is code
    assert all(word in str(raised.value) for word in words)


@pytest.mark.parametrize(("found", "chosen", "code"), [
    (machine(), "cpu", None),
    (machine(has_mps=True), "mps", None),
    (machine(NEW, has_mps=True), "cuda:0", None),
    (machine(NEW), "cuda:0", None),
    (machine(OLD, NEW), "cuda:1", None),
    (machine(OLD), "cpu", ReasonCode.OLD_GPU),
    (machine(NEW, torch_finds_gpu=False, driver="470.10"), "cpu", ReasonCode.OLD_DRIVER),
    (machine(NEW, torch_finds_gpu=False, cuda_build=""), "cpu", ReasonCode.NO_CUDA),
])  # fmt: skip
def test_without_a_request_the_first_gpu_that_works_is_taken(found, chosen, code):
    device, reason = default_device(found)

    assert str(device) == chosen
    assert (reason and reason.code) == code


def test_the_torch_of_the_tests_answers():
    found = devices.look()

    assert found.torch == torch.__version__
    assert found.torch_finds_gpu is torch.cuda.is_available()


@pytest.mark.parametrize("is_there", [True, False])
def test_torch_says_whether_there_is_a_gpu_of_a_mac(monkeypatch, is_there):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: is_there)

    assert devices.look().has_mps is is_there
    assert default_device(devices.look())[0].type == ("mps" if is_there else "cpu")
    if is_there:
        assert choose_device("mps") == torch.device("mps")
