"""The models that `dg-lsp pull` can download, and whether this machine can use them.

Needs neither torch nor a network: the sizes are those of the published weights, and `dg-lsp
pull` asks the hub for the licence and sizes again before it downloads anything.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dg_lsp.config import MOST_PARAMETERS_ON_A_CPU
from dg_lsp.diagnosis.catalogue import AVAILABLE, Available, Form
from dg_lsp.diagnosis.checkpoint import MANIFEST, models_directory
from dg_lsp.diagnosis.findings import Finding, ok, size_of
from dg_lsp.hardware import (
    Gpu,
    Machine,
    bitsandbytes_obstacle,
    gpu_obstacle,
    kernel_obstacle,
    look,
)

DOWNLOADS = ".downloads"
"""The subdirectory of the models' directory in which downloads are kept until packed."""


def list_available() -> list[dict[str, Any]]:
    """Each model with the obstacles on this machine, as JSON."""
    machine = look()
    recommended = best(machine)
    return [_row(model, machine) | {"is_best": model is recommended} for model in AVAILABLE]


def check_available() -> Iterator[Finding]:
    """For a user who has only the bundled model: what this machine could run."""
    model = best(look())
    demonstration = "the bundled model is only a demonstration"
    if model is None:
        said = f"{demonstration}, and no larger one fits this machine"
        yield ok("catalogue", f"{said}; `dg-lsp models --available` says why", best=None)
    else:
        said = f"{demonstration}; this machine could run {model.title}"
        how = f"`dg-lsp pull {model.short_name}`"
        yield ok("catalogue", f"{said}, which {how} downloads", best=model.name)


def best(machine: Machine) -> Available | None:
    """The most capable model that can be used here; nothing if none can.

    A model whose download has begun needs no more disk.
    """
    free, ram = _free(models_directory()), _ram()
    fitting = (
        model
        for model in AVAILABLE
        if not obstacles(model, machine, None if is_begun(model) else free, ram)
    )
    return next(fitting, None)


def begun() -> Available | None:
    """The first model whose download can be continued."""
    return next(filter(is_begun, AVAILABLE), None)


def is_here(model: Available) -> bool:
    return (models_directory() / model.name / MANIFEST).is_file()


def is_begun(model: Available) -> bool:
    """Whether a part of the model has been downloaded or packed."""
    directory = models_directory()
    begun = (directory / DOWNLOADS / model.name, directory / f".{model.name}.partial")
    return not is_here(model) and any(path.exists() for path in begun)


def form_on(machine: Machine, model: Available) -> Form:
    """How a model would be kept here."""
    if model.plain is None or _has_gpu(machine):
        return model.gpu
    runs_plain = machine.has_mps or model.parameters <= MOST_PARAMETERS_ON_A_CPU
    return model.plain if runs_plain else model.gpu


def obstacles(
    model: Available, machine: Machine, free_bytes: int | None, ram_bytes: int | None = None
) -> list[str]:
    """Why a model cannot be used here, one sentence each; empty if it can.

    `free_bytes` and `ram_bytes` are what is free on the disk and in memory; `None` if that
    does not matter.
    """
    form = form_on(machine, model)
    found: list[str] = []
    if form is model.plain:
        if ram_bytes is not None and ram_bytes < form.memory_bytes:
            needed = f"it needs {size_of(form.memory_bytes)} of memory"
            found.append(f"{needed}; {size_of(ram_bytes)} are free")
    elif not _has_gpu(machine):
        needed = f"it needs an NVIDIA GPU with {size_of(form.memory_bytes)}"
        found.append(f"{needed}: {gpu_obstacle(machine)}")
    elif not any(gpu.total_bytes >= form.memory_bytes for gpu in _usable_gpus(machine)):
        here = ", ".join(f"{gpu.name} with {size_of(gpu.total_bytes)}" for gpu in machine.gpus)
        needed = f"it needs a GPU with {size_of(form.memory_bytes)}"
        found.append(f"{needed}, and this machine has {here}")
    else:
        packing = bitsandbytes_obstacle(machine) if form.is_packed else None
        found += [one.message for one in (packing, kernel_obstacle(machine)) if one is not None]
    if free_bytes is not None and free_bytes < form.disk_bytes:
        meanwhile = " while it is packed" if form.is_packed else ""
        found.append(
            f"it needs {size_of(form.disk_bytes)} of disk{meanwhile}; "
            f"{size_of(free_bytes)} are free in {models_directory()}"
        )
    return [f"{said[0].upper()}{said[1:]}." for said in found]


def _row(model: Available, machine: Machine) -> dict[str, Any]:
    # Files that are already there need no more space.
    no_room_needed = is_here(model) or is_begun(model)
    free = None if no_room_needed else _free(models_directory())
    against = obstacles(model, machine, free, _ram())
    row = dataclasses.asdict(model) | dataclasses.asdict(form_on(machine, model))
    del row["gpu"], row["plain"]
    return {
        **row,
        "is_here": is_here(model),
        "is_begun": is_begun(model),
        "fits": not against,
        "obstacles": against,
    }


def _usable_gpus(machine: Machine) -> list[Gpu]:
    return [gpu for n, gpu in enumerate(machine.gpus) if gpu_obstacle(machine, n) is None]


def _has_gpu(machine: Machine) -> bool:
    return bool(_usable_gpus(machine))


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
