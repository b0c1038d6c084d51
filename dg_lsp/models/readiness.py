"""Whether this machine can run a checkpoint, judged before any of its weights are here."""

from __future__ import annotations

import torch

from dg_lsp.config import PromptSettings
from dg_lsp.hardware import Machine, gpu_obstacle, kernel_obstacle
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.device import default_device, free_and_total
from dg_lsp.models.memory import (
    budget_of,
    plan_memory,
    prompt_tokens,
)
from dg_lsp.models.registry import Checkpoint
from dg_lsp.models.store import is_small
from dg_lsp.reason import Reason, ReasonCode


def runs_unpacked(checkpoint: Checkpoint, device: torch.device) -> bool:
    """Whether a device runs the model from 16-bit weights, because that is faster there."""
    is_cpu = device.type == "cpu"
    return (
        device.type != "cuda"
        and checkpoint.family.is_plain
        and not (is_cpu and not is_small(checkpoint.tensors.parameters))
    )


def obstacles(
    name: str,
    checkpoint: Checkpoint,
    weight_bytes: int,
    machine: Machine,
    device: torch.device | None,
) -> list[Reason]:
    """Why the model cannot run on this machine, or only many times slower; empty if it can.

    With `device`, the user has chosen it; a CPU has no obstacles then, because it may be
    patience, or packing for another machine. `weight_bytes` is the size in memory.
    """
    if device is not None and device.type == "cpu":
        return []
    if device is None:
        device = default_device(machine)[0]
        if device.type == "mps" and not checkpoint.family.is_plain:
            device = torch.device("cpu")
    if device.type == "cpu":
        if is_small(checkpoint.tensors.parameters):
            return []
        # There is one, because otherwise the GPU would be the default.
        obstacle = gpu_obstacle(machine)
        return [] if obstacle is None else [obstacle]
    if device.type == "mps" and not checkpoint.family.is_plain:
        said = f"{checkpoint.family.name} models do not run on mps; use --device cpu"
        return [Reason(ReasonCode.NO_DEVICE, said)]
    on_gpu = device.type == "cuda"
    found = [kernel_obstacle(machine)] if on_gpu else []
    # Programs that fill the GPU now may be gone when the model is here.
    total = machine.gpus[device.index].total_bytes if on_gpu else free_and_total(device)[1]
    budget = budget_of(total, is_gpu=on_gpu)
    wanted = prompt_tokens(PromptSettings(), checkpoint.dimensions.canvas_tokens)
    try:
        plan_memory(
            name, checkpoint, weight_bytes, budget, wanted, on_gpu=on_gpu, may_quantize=on_gpu
        )
    except CheckpointError as error:
        found.append(error.reason)
    return [reason for reason in found if reason is not None]
