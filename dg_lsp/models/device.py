"""Chooses a model's device: the requested one, or the GPU; never a silent fallback."""

from __future__ import annotations

import torch

from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.nf4.kernels import OLDEST_CAPABILITY
from dg_lsp.reason import ReasonCode


def choose_device(device: str | None) -> torch.device:
    """The requested device, or the GPU if there is one; never a silent fallback."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise CheckpointError(
            f"device {device!r} is unknown; use cpu or cuda", ReasonCode.NO_DEVICE
        ) from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise CheckpointError(
            f"device {device!r} was requested, but torch {torch.__version__} finds no GPU; "
            "use --device cpu, or install a CUDA build of torch",
            ReasonCode.NO_DEVICE,
        )
    if chosen.type not in ("cpu", "cuda"):
        raise CheckpointError(
            f"device {device!r} is not supported; use cpu or cuda", ReasonCode.NO_DEVICE
        )
    if chosen.type == "cuda":
        _check_capability(chosen)
    return chosen


def _check_capability(device: torch.device) -> None:
    capability = torch.cuda.get_device_capability(device)
    if capability < OLDEST_CAPABILITY:
        name = torch.cuda.get_device_name(device)
        raise CheckpointError(
            f"{name} has compute capability {capability[0]}.{capability[1]}; bfloat16 needs "
            f"{OLDEST_CAPABILITY[0]}.{OLDEST_CAPABILITY[1]} (RTX 30 or newer); "
            "use --device cpu",
            ReasonCode.NO_DEVICE,
        )
