"""The models that `dg-lsp pull` can download, and whether this machine can use them.

Needs neither torch nor a network: the sizes are those of the published weights, and `dg-lsp
pull` asks the hub for the licence and sizes again before it downloads anything.
"""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Available:
    """A model that can be downloaded."""

    name: str
    """Its name after installation."""
    repository: str
    about: str
    parameters: int
    licence: str
    licence_url: str
    download_bytes: int
    kept_bytes: int
    """Size in 4 bits."""
    disk_bytes: int
    """Disk space needed meanwhile; where it is packed, for the packed model and two shards."""
    vram_bytes: int
    is_packed: bool
    """Whether `dg-lsp pull` packs it to 4 bits."""


AVAILABLE = (
    Available(
        name="diffusiongemma-26b-a4b-it",
        repository="google/diffusiongemma-26B-A4B-it",
        about="DiffusionGemma 26B: many languages, follows instructions",
        parameters=26_000_000_000,
        licence="Google's terms; shown and asked for before the download",
        licence_url="https://huggingface.co/google/diffusiongemma-26B-A4B-it",
        download_bytes=52_000_000_000,
        kept_bytes=15_000_000_000,
        disk_bytes=25_000_000_000,
        vram_bytes=18_000_000_000,
        is_packed=True,
    ),
    Available(
        name="diffusiongemma-26b-a4b-it-awq-int4",
        repository="cyankiwi/diffusiongemma-26B-A4B-it-AWQ-INT4",
        about="DiffusionGemma 26B in int4: needs no packing, but a larger GPU",
        parameters=26_000_000_000,
        licence="shown and asked for before the download",
        licence_url="https://huggingface.co/cyankiwi/diffusiongemma-26B-A4B-it-AWQ-INT4",
        download_bytes=17_000_000_000,
        kept_bytes=17_000_000_000,
        disk_bytes=18_000_000_000,
        vram_bytes=20_000_000_000,
        is_packed=False,
    ),
)


def list_available() -> list[dict[str, Any]]:
    """Each model with the obstacles on this machine, as JSON."""
    machine = look()
    return [_row(model, machine) for model in AVAILABLE]


def obstacles(model: Available, machine: Machine, free_bytes: int | None) -> list[str]:
    """Why a model cannot be used here, one sentence each; empty if it can."""
    found: list[str] = []
    causes = [gpu_obstacle(machine, index) for index in range(len(machine.gpus))]
    if all(causes):
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
    against = obstacles(model, machine, None if is_here or is_begun else _free(directory))
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
