"""The models that `dg-lsp pull` can download, and whether this machine can use them.

Needs neither torch nor a network: the sizes are those of the published weights, and `dg-lsp
pull` asks the hub for the licence and sizes again before it downloads anything.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dg_lsp.diagnosis.checkpoint import MANIFEST, models_directory
from dg_lsp.diagnosis.findings import size_of
from dg_lsp.diagnosis.machine import ask_driver

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
    """Size after packing to 4 bits."""
    disk_bytes: int
    """Disk space needed while it is packed."""
    vram_bytes: int
    least_capability: float
    """Least compute capability of the GPU."""


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
        disk_bytes=70_000_000_000,
        vram_bytes=18_000_000_000,
        least_capability=8.0,
    ),
)


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU that NVIDIA's driver reports."""

    name: str
    total_bytes: int
    capability: float


def list_available() -> list[dict[str, Any]]:
    """Each model with the obstacles on this machine, as JSON."""
    gpus = find_gpus()
    return [_row(model, gpus) for model in AVAILABLE]


def find_gpus() -> list[Gpu]:
    """The GPUs that `nvidia-smi` reports; none without a driver."""
    gpus = []
    for line in ask_driver("name,memory.total,compute_cap"):
        name, _, rest = line.rpartition(",")[0].rpartition(",")
        try:
            gpu = Gpu(name.strip(), int(rest) * 2**20, float(line.rpartition(",")[2]))
        except ValueError:
            continue
        gpus.append(gpu)
    return gpus


def obstacles(model: Available, gpus: list[Gpu], free_bytes: int | None) -> list[str]:
    """Why a model cannot be used here, one sentence each; empty if it can."""
    needed = f"an NVIDIA GPU with {size_of(model.vram_bytes)}"
    found = []
    if not gpus:
        found.append(f"It needs {needed}, and this machine has none.")
    elif not any(
        gpu.total_bytes >= model.vram_bytes and gpu.capability >= model.least_capability
        for gpu in gpus
    ):
        here = ", ".join(
            f"{gpu.name} with {size_of(gpu.total_bytes)}, compute capability {gpu.capability}"
            for gpu in gpus
        )
        least = model.least_capability
        found.append(
            f"It needs {needed} and compute capability {least}; this machine has {here}."
        )
    else:
        found += _lacking_packages()
    if free_bytes is not None and free_bytes < model.disk_bytes:
        found.append(
            f"It needs {size_of(model.disk_bytes)} of disk while it is packed; "
            f"{size_of(free_bytes)} are free in {models_directory()}."
        )
    return found


def _row(model: Available, gpus: list[Gpu]) -> dict[str, Any]:
    directory = models_directory()
    is_here = (directory / model.name / MANIFEST).is_file()
    begun = (directory / DOWNLOADS / model.name, directory / f".{model.name}.partial")
    is_begun = not is_here and any(path.exists() for path in begun)
    # Files that are already there need no more space.
    against = obstacles(model, gpus, None if is_here or is_begun else _free(directory))
    return {
        **dataclasses.asdict(model),
        "is_here": is_here,
        "is_begun": is_begun,
        "fits": not against,
        "obstacles": against,
    }


def _lacking_packages() -> list[str]:
    """What a GPU needs besides its driver."""
    missing = []
    for name in ("bitsandbytes", "triton"):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    try:
        if "+cpu" in importlib.metadata.version("torch"):
            missing.insert(0, "a PyTorch with CUDA (this one is for the CPU)")
    except importlib.metadata.PackageNotFoundError:
        missing.insert(0, "PyTorch")
    if not missing:
        return []
    lacking = ", ".join(missing)
    return [f"This installation lacks {lacking}; install the server again for an NVIDIA GPU."]


def _free(directory: Path) -> int | None:
    for parent in (directory, *directory.parents):
        if parent.exists():
            try:
                return shutil.disk_usage(parent).free
            except OSError:
                return None
    return None
