"""Chooses how a model runs on its device: in the fastest way that passes the self-test.

A way that raises an error, or whose numbers are wrong, gives way to the next. Below the last
one is a smaller model, at load (`models/loading.py`). Each family has its own ways.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from dg_lsp.engine.denoiser import OutOfMemoryError, Prediction
from dg_lsp.models import device as devices
from dg_lsp.models.checkpoint import CheckpointError, one_line
from dg_lsp.models.family import RunnableModel
from dg_lsp.reason import Reason, ReasonCode, reason_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rung:
    """A way of running a model."""

    name: str
    """In messages to the user."""
    has_kernels: bool = False
    """Products with 4-bit weights run our kernels."""
    is_captured: bool = False
    """Steps are captured in CUDA graphs."""
    is_fused: bool = False
    """Steps run compiled layers and fused kernels."""


PLAIN = Rung("plain torch")
"""Runs everywhere, and is what the others are compared with."""

Made = TypeVar("Made", bound=RunnableModel)
Seen = TypeVar("Seen")
Steps = list[Prediction]
"""What a self-test may see."""
Refused = Sequence[tuple[Rung, Reason]]
"""The rungs that were tried in vain, and why each."""

_lost_as: frozenset[str] = frozenset()


def avoid(lost_as: Iterable[str]) -> None:
    """From now on, this process runs no model in these ways, in which the GPU was lost."""
    global _lost_as
    _lost_as = frozenset(lost_as)


def left_of(rungs: tuple[Rung, ...]) -> tuple[tuple[Rung, ...], list[tuple[Rung, Reason]]]:
    """The rungs that need not be avoided, and why those above them are.

    CUDA reports an error some time after what caused it, so any graph may be to blame.
    """
    lost = [number for number, rung in enumerate(rungs[:-1]) if rung.name in _lost_as]
    if not lost:
        return rungs, []
    why = Reason(ReasonCode.GPU_LOST, "the GPU refused everything after an error with it")
    return without_graphs(rungs[lost[-1] + 1 :]), [(rungs[lost[-1]], why)]


@torch.inference_mode()
def descend(
    rungs: tuple[Rung, ...],
    device: torch.device,
    make: Callable[[Rung], Made],
    test: Callable[[Rung, Made, Seen | None], Seen],
) -> tuple[Rung, list[tuple[Rung, Reason]]]:
    """The first rung that passes the self-test, and why those above it do not; the last one is
    the reference.

    `make` runs the model as a rung says. `test` tries it, compares what it sees with what it
    saw on the reference if that is given, and raises if the rung cannot be used.
    """
    left, avoided = left_of(rungs)
    expected = on_the_last(left, device, make, test)
    rung, refused = first_that_works(
        left, lambda one: tried(one, device, make, test, expected)[1]
    )
    return rung, [*avoided, *refused]


def on_the_last(
    rungs: tuple[Rung, ...],
    device: torch.device,
    make: Callable[[Rung], Made],
    test: Callable[[Rung, Made, Seen | None], Seen],
) -> Seen:
    """What the self-test sees on the reference; raises `CheckpointError` if that fails."""
    seen, fault = tried(rungs[-1], device, make, test, None)
    if seen is None or fault is not None:
        raise CheckpointError(
            f"the model cannot be run on {device}: {fault}", fault.code if fault else None
        )
    return seen


def tried(
    rung: Rung,
    device: torch.device,
    make: Callable[[Rung], Made],
    test: Callable[[Rung, Made, Seen | None], Seen],
    expected: Seen | None,
) -> tuple[Seen | None, Reason | None]:
    """What the self-test sees on a rung, or why that cannot be used."""
    try:
        return test(rung, make(rung), expected), None
    except Exception as error:  # Compilers, drivers and captures raise what they like.
        return None, fault_of(error, rung, device)


def first_that_works(
    rungs: tuple[Rung, ...], fault_on: Callable[[Rung], Reason | None]
) -> tuple[Rung, list[tuple[Rung, Reason]]]:
    """The first rung without a fault, and those above it. The last one is not tried."""
    *faster, last = rungs
    refused: list[tuple[Rung, Reason]] = []
    for rung in faster:
        fault = fault_on(rung)
        if fault is None:
            return rung, refused
        refused.append((rung, fault))
    return last, refused


def fault_of(error: Exception, rung: Rung, device: torch.device) -> Reason:
    """Why a rung cannot be used; raises `DeviceLostError` if nothing can."""
    if isinstance(error, OutOfMemoryError | torch.OutOfMemoryError):
        return Reason(ReasonCode.OUT_OF_MEMORY, one_line(error))
    log.warning("%s failed", rung.name, exc_info=error)
    if not devices.works(device):
        raise devices.DeviceLostError(
            f"{device} refuses everything after {rung.name} failed: {one_line(error)}",
            rung.name,
        ) from error
    return Reason(reason_of(error, ReasonCode.KERNEL_FAILED).code, one_line(error))


def notes_of(rung: Rung, refused: Refused) -> tuple[Reason, ...]:
    """Why no faster way is used."""
    return tuple(
        Reason(fault.code, f"{rung.name} instead of {one.name}, because {fault}")
        for one, fault in refused
    )


def without_graphs(rungs: tuple[Rung, ...]) -> tuple[Rung, ...]:
    """Those that need nothing to be prepared."""
    return tuple(rung for rung in rungs if not rung.is_captured)
