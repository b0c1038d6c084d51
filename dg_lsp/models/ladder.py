"""Chooses how a model runs on its device: in the fastest way that passes the self-test.

A way that raises an error, or whose numbers are wrong, gives way to the next. Below the last
one is a smaller model (`models/loading.py`). Each family has its own ways.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
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
Steps = list[Prediction]
"""What the self-test has seen."""


@torch.inference_mode()
def descend(
    rungs: tuple[Rung, ...],
    device: torch.device,
    make: Callable[[Rung], Made],
    test: Callable[[Rung, Made, Steps | None], Steps],
) -> Made:
    """The model at the first rung that passes the self-test; the last rung is the reference.

    `make` runs the model as a rung says. `test` takes steps, compares them with those of the
    reference if they are given, and raises if the rung cannot be used.
    """

    def tried(rung: Rung, expected: Steps | None) -> tuple[Steps | None, Reason | None]:
        try:
            return test(rung, make(rung), expected), None
        except (OutOfMemoryError, torch.OutOfMemoryError) as error:
            return None, Reason(ReasonCode.OUT_OF_MEMORY, one_line(error))
        except Exception as error:  # Compilers, drivers and captures raise what they like.
            log.warning("%s failed the self-test", rung.name, exc_info=True)
            fault = reason_of(error, ReasonCode.KERNEL_FAILED)
            if not devices.works(device):
                raise devices.DeviceLostError(
                    f"{device} refuses everything after {rung.name} failed: {one_line(error)}"
                ) from error
            return None, Reason(fault.code, one_line(error))

    *faster, last = rungs
    expected, fault = tried(last, None)
    if fault is not None:
        raise CheckpointError(f"the model cannot be run on {device}: {fault}", fault.code)
    refused: list[tuple[Rung, Reason]] = []
    for rung in faster:
        _, fault = tried(rung, expected)
        if fault is None:
            break
        refused.append((rung, fault))
    else:
        rung = last
    # Again, so that nothing of the self-test stays in memory.
    made = make(rung)
    made.notes = tuple(
        Reason(fault.code, f"{rung.name} is used instead of {one.name}: {fault}")
        for one, fault in refused
    )
    for note in made.notes:
        log.warning("%s", note)
    log.info("the model runs as %s", rung.name)
    return made
