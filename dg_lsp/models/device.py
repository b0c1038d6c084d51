"""Chooses a model's device, and enters it where work is done."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import re
from contextlib import AbstractContextManager

import torch

from dg_lsp import hardware
from dg_lsp.hardware import Gpu, Machine, gpu_obstacle
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.reason import CodedError, Reason, ReasonCode


def look(*, asks_for_memory: bool = False) -> Machine:
    """The machine as torch sees it: its GPUs in torch's order, if torch finds any.

    Asking a GPU for its free memory takes some of it, until this process ends.
    """
    has_mps = torch.backends.mps.is_available()
    if torch.version.hip is not None or not torch.cuda.is_available():
        return dataclasses.replace(hardware.look(), torch_finds_gpu=False, has_mps=has_mps)
    gpus = []
    for index in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(index)
        free = torch.cuda.mem_get_info(index)[0] if asks_for_memory else None
        capability = found.major, found.minor
        gpus.append(Gpu(found.name, capability, found.total_memory, free))
    return dataclasses.replace(hardware.installed(), gpus=tuple(gpus), torch_finds_gpu=True)


def choose_device(device: str | None) -> torch.device:
    """The requested device; by default the first GPU that can be used, or else the CPU.

    NVIDIA's GPUs always have an index; that of a Mac is `mps`. A requested device is never
    replaced: if it cannot be used, a `CheckpointError` says why.
    """
    if device is None:
        return default_device(look())[0]
    if device == "cpu":
        return torch.device("cpu")
    if device == "mps":
        if not look().has_mps:
            raise CheckpointError(
                f"device {device!r}: this machine has no GPU of Apple's that torch "
                f"{torch.__version__} can use; use --device cpu",
                ReasonCode.NO_DEVICE,
            )
        return torch.device("mps")
    found = re.fullmatch(r"cuda(?::(\d{1,3}))?", device)
    if found is None:
        raise CheckpointError(
            f"device {device!r} is not supported; use cpu, mps, cuda or cuda:1",
            ReasonCode.NO_DEVICE,
        )
    index = int(found[1] or 0)
    obstacle = gpu_obstacle(look(), index)
    if obstacle is not None:
        raise CheckpointError(f"device {device!r}: {obstacle}", obstacle.code)
    return torch.device("cuda", index)


def default_device(machine: Machine) -> tuple[torch.device, Reason | None]:
    """The device without a request, and why it is not the GPU if there is one."""
    obstacles = [gpu_obstacle(machine, index) for index in range(len(machine.gpus))]
    for index, obstacle in enumerate(obstacles):
        if obstacle is None:
            return torch.device("cuda", index), None
    if machine.has_mps:
        return torch.device("mps"), None
    return torch.device("cpu"), next(iter(obstacles), None)


def free_and_total(device: torch.device) -> tuple[int, int]:
    """Bytes of the device's memory."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)
    import psutil

    host = psutil.virtual_memory()
    return host.available, host.total


def entered(device: torch.device) -> AbstractContextManager[object]:
    """Makes a GPU the current one of this thread: Triton, graphs and allocations without a
    device go to it."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def release(device: torch.device) -> None:
    """Give back the memory of what nobody holds any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


class DeviceLostError(CodedError):
    """The device fails at whatever this process asks of it."""

    code = ReasonCode.GPU_LOST

    def __init__(self, message: str, runs_as: str = "") -> None:
        """`runs_as` is the way in which the model ran."""
        super().__init__(message)
        self.runs_as = runs_as


def works(device: torch.device) -> bool:
    """Whether the device still computes; after some errors of CUDA it refuses everything that
    the process asks for."""
    try:
        return bool((torch.ones(2, device=device) + 1).sum().item() == 4)
    except Exception:
        return False
