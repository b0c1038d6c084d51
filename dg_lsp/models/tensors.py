"""Compares the tensors that a checkpoint's files have with those that its configuration wants.

Only headers are read, so that a configuration that promises too much is refused before any
memory is taken for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.registry import Checkpoint

LAYER = re.compile(r"\.layers\.(\d{1,9})\.")
Shapes = Mapping[str, tuple[int, ...]]


def check_depth(checkpoint: Checkpoint, names: Iterable[str]) -> None:
    """Refuse more layers than there are weights for; building many takes seconds."""
    found = {int(layer[1]) for name in names if (layer := LAYER.search(name))}
    stored, declared = max(found, default=-1) + 1, checkpoint.dimensions.layers
    if found and stored < declared:
        raise CheckpointError(
            f"{checkpoint.directory}: config.json says num_hidden_layers {declared}, but the "
            f"weights are those of {stored} layers; they do not belong together"
        )


def find_tensors(
    checkpoint: Checkpoint, headers: Mapping[Path, Shapes]
) -> dict[str, tuple[Path, str]]:
    """The file and the name in it of each tensor, by own name; raises if some are missing,
    unexpected or of the wrong shape."""
    check_depth(checkpoint, (name for shapes in headers.values() for name in shapes))
    layout = checkpoint.tensors
    origin: dict[str, tuple[Path, str]] = {}
    surplus = []
    for path, shapes in headers.items():
        for name, shape in shapes.items():
            own = layout.own_name(name)
            if own not in layout.shapes:
                if not layout.is_ignored(name):
                    surplus.append(name)
            elif shape != layout.shapes[own]:
                raise CheckpointError(
                    f"{path}: {name} has shape {list(shape)}, config.json wants "
                    f"{list(layout.shapes[own])}; they do not belong together"
                )
            # Both halves may be present; the decoder's name is kept.
            elif own not in origin or name == own:
                origin[own] = (path, name)
    missing = [name for name in layout.shapes if name not in origin]
    for kind, names in (("missing", missing), ("unexpected", surplus)):
        if names:
            plural = "s" if len(names) > 1 else ""
            raise CheckpointError(
                f"{checkpoint.directory} has {len(names)} {kind} tensor{plural}, such as "
                f"{min(names)}; it is not a complete {checkpoint.family.name} checkpoint"
            )
    return origin
