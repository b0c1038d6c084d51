"""The models that `dg-lsp pull` can download, and whether this machine can use them.

Needs neither torch nor a network: the sizes are those of the published weights, and `dg-lsp
pull` asks the hub for the licence and sizes again before it downloads anything.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from dg_lsp.diagnosis.catalogue import AVAILABLE, Available
from dg_lsp.diagnosis.checkpoint import MANIFEST, models_directory
from dg_lsp.diagnosis.findings import size_of
from dg_lsp.hardware import (
    Machine,
    bitsandbytes_obstacle,
    gpu_obstacle,
    kernel_obstacle,
    look,
)

DOWNLOADS = ".downloads"
"""The subdirectory of the models' directory in which downloads are kept until packed."""


MOST_PARAMETERS_ON_A_CPU = 1_000_000_000
"""A larger model needs a GPU; `models.store` has the same number."""


def list_available() -> list[dict[str, Any]]:
    """Each model with the obstacles on this machine, as JSON."""
    machine = look()
    return [_row(model, machine) for model in AVAILABLE]


def best(machine: Machine) -> Available | None:
    """The most capable model that can be used here; nothing if none can."""
    free, ram = _free(models_directory()), _ram()
    fitting = (model for model in AVAILABLE if not obstacles(model, machine, free, ram))
    return next(fitting, None)


def obstacles(
    model: Available, machine: Machine, free_bytes: int | None, ram_bytes: int | None = None
) -> list[str]:
    """Why a model cannot be used here, one sentence each; empty if it can."""
    found: list[str] = []
    causes = [gpu_obstacle(machine, index) for index in range(len(machine.gpus))]
    if all(causes) and model.parameters <= MOST_PARAMETERS_ON_A_CPU:
        if ram_bytes is not None and ram_bytes < model.vram_bytes:
            needed = f"it needs {size_of(model.vram_bytes)} of memory"
            found.append(f"{needed}; {size_of(ram_bytes)} are free")
        packing = bitsandbytes_obstacle(machine) if model.is_packed else None
        found += [packing.message] if packing is not None else []
    elif all(causes):
        needed = f"it needs an NVIDIA GPU with {size_of(model.vram_bytes)}"
        found.append(f"{needed}: {causes[0] if causes else gpu_obstacle(machine)}")
    elif not any(
        cause is None and gpu.total_bytes >= model.vram_bytes
        for gpu, cause in zip(machine.gpus, causes, strict=True)
    ):
        here = ", ".join(f"{gpu.name} with {size_of(gpu.total_bytes)}" for gpu in machine.gpus)
        needed = f"it needs a GPU with {size_of(model.vram_bytes)}"
        found.append(f"{needed}, and this machine has {here}")
    else:
        packing = bitsandbytes_obstacle(machine) if model.is_packed else None
        found += [one.message for one in (packing, kernel_obstacle(machine)) if one is not None]
    if free_bytes is not None and free_bytes < model.disk_bytes:
        meanwhile = " while it is packed" if model.is_packed else ""
        found.append(
            f"it needs {size_of(model.disk_bytes)} of disk{meanwhile}; "
            f"{size_of(free_bytes)} are free in {models_directory()}"
        )
    return [f"{said[0].upper()}{said[1:]}." for said in found]


def _row(model: Available, machine: Machine) -> dict[str, Any]:
    directory = models_directory()
    is_here = (directory / model.name / MANIFEST).is_file()
    begun = (directory / DOWNLOADS / model.name, directory / f".{model.name}.partial")
    is_begun = not is_here and any(path.exists() for path in begun)
    # Files that are already there need no more space.
    against = obstacles(
        model, machine, None if is_here or is_begun else _free(directory), _ram()
    )
    return {
        **dataclasses.asdict(model),
        "is_here": is_here,
        "is_begun": is_begun,
        "fits": not against,
        "obstacles": against,
    }


def _free(directory: Path) -> int | None:
    for parent in (directory, *directory.parents):
        if parent.exists():
            try:
                return shutil.disk_usage(parent).free
            except OSError:
                return None
    return None


def _ram() -> int:
    import psutil

    return int(psutil.virtual_memory().available)
