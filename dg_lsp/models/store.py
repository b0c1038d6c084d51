"""The user's models on this machine: where they are, their state, and which is best.

They are in one directory, each under its name; `DG_LSP_MODELS_DIR` moves it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from dg_lsp.config import MOST_PARAMETERS_ON_A_CPU
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.nf4.manifest import Integrity, Manifest, has_manifest, integrity
from dg_lsp.models.nf4.manifest import read_manifest as read_packed_manifest
from dg_lsp.reason import ReasonCode

BUNDLED = "bundled"
BUNDLED_DIRECTORY = Path(__file__).parent / "bundled"
RESERVED = {BUNDLED, "scripted"}


@dataclass(frozen=True, slots=True)
class StoredModel:
    """One model of the store."""

    name: str
    directory: Path
    manifest: Manifest
    integrity: Integrity


def models_directory() -> Path:
    """Where models are kept."""
    named = os.environ.get("DG_LSP_MODELS_DIR")
    if named:
        return Path(named).expanduser()
    return platformdirs.user_data_path("dg-lsp", appauthor=False) / "models"


def find(name: str) -> Path | None:
    """The directory of a finished model of this name."""
    if not is_name(name):
        return None
    directory = models_directory() / name
    return directory if has_manifest(directory) else None


def list_models() -> list[StoredModel]:
    """Every finished model, largest first, without those that cannot be read."""
    root = models_directory()
    found = []
    for directory in sorted(root.iterdir()) if root.is_dir() else []:
        if is_name(directory.name) and has_manifest(directory):
            try:
                manifest = read_packed_manifest(directory)
            except CheckpointError:
                continue
            state = integrity(directory, manifest)
            found.append(StoredModel(directory.name, directory, manifest, state))
    return sorted(found, key=lambda model: -model.manifest.parameters)


def unfinished() -> list[str]:
    """Names of models whose packing was interrupted and can continue."""
    root = models_directory()
    parts = sorted(root.glob(".*.partial")) if root.is_dir() else []
    return [path.name.removeprefix(".").removesuffix(".partial") for path in parts]


def candidates(is_gpu: bool) -> list[StoredModel]:
    """The complete models that the device can run at a useful speed, the best first."""
    return [
        model
        for model in list_models()
        if model.integrity is not Integrity.DAMAGED
        and (is_gpu or is_small(model.manifest.parameters))
    ]


def is_small(parameters: int) -> bool:
    """Whether a CPU runs a model of this size at a useful speed."""
    return parameters <= MOST_PARAMETERS_ON_A_CPU


def check_name(name: str) -> str:
    """Check a name for a model."""
    if not is_name(name) or name in RESERVED:
        raise CheckpointError(
            f"{name!r} cannot be the name of a model; use letters, digits, '.', '-' and '_'",
            ReasonCode.INVALID_ARGUMENT,
        )
    return name


def is_name(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", text, re.ASCII) is not None
