"""Which model `dg-lsp pull` takes if none is named."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from dg_lsp.cli import ArgumentError
from dg_lsp.cli.told import Told
from dg_lsp.reason import ReasonCode

if TYPE_CHECKING:
    from dg_lsp.hardware import Machine


def choose(told: Told, device: str | None) -> str:
    """The repository whose download has begun, or else the most capable model that fits."""
    from dg_lsp.diagnosis.available import begun, best

    unfinished = begun()
    if unfinished is not None:
        told.say(f"{unfinished.repository} is taken, because its download has begun")
        return unfinished.repository
    model = best(_machine_with(device))
    if model is None:
        raise ArgumentError(
            "no model can be used on this machine; dg-lsp models --available says why, and "
            "dg-lsp pull NAME --force gets one anyway",
            ReasonCode.DOES_NOT_FIT,
        )
    told.say(
        f"{model.repository} is taken, the most capable model that fits this machine "
        f"({model.about})"
    )
    return model.repository


def _machine_with(device: str | None) -> Machine:
    """This machine, as if it had no other device than the one that is asked for."""
    from dg_lsp.models import device as devices

    machine = devices.look()
    if device is None:
        return machine
    chosen = devices.choose_device(device)
    if chosen.type == "cuda":
        return dataclasses.replace(machine, gpus=(machine.gpus[chosen.index],))
    return dataclasses.replace(
        machine, gpus=(), torch_finds_gpu=False, has_mps=chosen.type == "mps"
    )
