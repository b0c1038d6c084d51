"""Puts a checkpoint into the store as it is: its files, their checksums and a manifest.

That is what happens to int4, and to what runs in 16 bits on a CPU or on a Mac's GPU.
Nothing is packed. Names and shapes are checked first, and the checkpoint is not used before all
of its files are there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors import safe_open

from dg_lsp.models.checkpoint import (
    BESIDE_WEIGHTS,
    INDEX,
    README,
    CheckpointError,
    list_shards,
)
from dg_lsp.models.formats import INSTEAD
from dg_lsp.models.nf4.manifest import (
    Manifest,
    hash_file,
    making,
    remember_checked,
)
from dg_lsp.models.nf4.planning import Plan, locate
from dg_lsp.models.registry import open_checkpoint
from dg_lsp.models.w4a16.reading import plan_reading
from dg_lsp.reason import ReasonCode

PRECISIONS = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
"""Of what is not in int4, by the name in safetensors."""


def keep(
    source: Path,
    target: Path,
    *,
    source_name: str,
    move: bool,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Manifest:
    """Create `target` from `source`, one process at a time; raises `CheckpointError`.

    With `move`, the weights leave `source`, for example a directory of downloads; otherwise
    they are linked if both are on one disk, and copied if not. `told` is called with the bytes
    that are checked and the total.
    """
    checkpoint = open_checkpoint(source)
    if checkpoint.weights.groups:
        # Without it, the checkpoint could be kept but not loaded.
        checkpoint.read_codec()
        plan_reading(source, checkpoint.tensors, checkpoint.weights.groups)
        precision = checkpoint.weights.name
    else:
        precision = _precision(source, locate(source))
    parameters = checkpoint.tensors.parameters
    with making(target):
        shards = list_shards(source)
        manifest = _manifest(shards, parameters, source_name, precision, told)
        draft = target.with_name(f".{target.name}.partial")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        for name in (*BESIDE_WEIGHTS, INDEX, README):
            if (source / name).is_file():
                shutil.copyfile(source / name, draft / name)
        for shard in shards:
            _place(shard, draft / shard.name, move=move)
        manifest.write(draft)
        remember_checked(draft, manifest)
        os.replace(draft, target)
    return manifest


def _manifest(
    shards: list[Path],
    parameters: int,
    source_name: str,
    precision: str,
    told: Callable[[int, int], None],
) -> Manifest:
    files, done = {}, 0
    total = sum(shard.stat().st_size for shard in shards)
    for shard in shards:
        size = shard.stat().st_size
        files[shard.name] = size, hash_file(shard)
        done += size
        told(done, total)
    fingerprint = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
    return Manifest(parameters, source_name, fingerprint, files, precision)


def _precision(source: Path, plan: Plan) -> str:
    """That of the first product; norms are sometimes in another."""
    layout = plan.checkpoint.tensors
    shard, name = next(plan.origin[own] for own in layout.shapes if layout.is_bulk(own))
    with safe_open(source / shard, framework="pt") as file:
        stored = file.get_slice(name).get_dtype()
    if stored not in PRECISIONS:
        raise CheckpointError(
            f"{source / shard}: {name} is stored in {stored}, which dg-lsp does not read; "
            f"{INSTEAD}",
            ReasonCode.UNKNOWN_FORMAT,
        )
    return PRECISIONS[stored]


def _place(shard: Path, target: Path, *, move: bool) -> None:
    if move:
        shutil.move(shard, target)
        return
    try:
        # The content, not a link to it, as the hub's cache has.
        os.link(shard.resolve(), target)
    except OSError:
        shutil.copyfile(shard, target)
