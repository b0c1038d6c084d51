"""Plans the packing of a checkpoint: which tensor comes from where and goes into which file.

`locate` is the half of it that a checkpoint needs too if it is kept in 16 bits. Both need the
headers of the weight files, not the weights, and report every fault of a checkpoint that shows
in them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from dg_lsp.models.checkpoint import CheckpointError, list_shards, read_headers
from dg_lsp.models.family import TensorLayout
from dg_lsp.models.nf4.manifest import is_packed_checkpoint
from dg_lsp.models.registry import Checkpoint, open_checkpoint
from dg_lsp.models.tensors import find_tensors

PIECE = ".piece"
OVERHEAD = 1.01
"""Overhead of headers and tables, relative to the computed size."""
Headers = dict[str, tuple[tuple[object, ...], dict[str, tuple[int, ...]]]]
"""By shard: what tells it from another version of itself, and the shapes of its tensors."""


@dataclass(slots=True)
class Plan:
    """What is read from where, and into which file it is written."""

    checkpoint: Checkpoint
    origin: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Shard and the name in it, by own name."""
    fingerprint: str = ""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return self.checkpoint.tensors.shapes

    @property
    def shards(self) -> list[str]:
        return sorted({shard for shard, _ in self.origin.values()})

    def files(self) -> dict[str, list[str]]:
        """Own names by file: one for each layer, one for the rest."""
        groups: dict[str, list[str]] = {}
        for name in self.shapes:
            layer = re.search(r"\.layers\.(\d+)\.", name)
            file = f"layer-{int(layer[1]):02}" if layer else "shared"
            groups.setdefault(f"{file}.safetensors", []).append(name)
        return dict(sorted(groups.items()))

    def pieces(self) -> list[Piece]:
        """What each shard has of each file, shard after shard."""
        found = []
        shards = self.shards
        for file, names in self.files().items():
            per_shard = {
                shard: [name for name in names if self.origin[name][0] == shard]
                for shard in shards
            }
            held = {shard: own for shard, own in per_shard.items() if own}
            for shard, own in held.items():
                stem = file.removesuffix(".safetensors")
                piece = f"{stem}.{shards.index(shard):05}{PIECE}"
                found.append(Piece(shard, file, file if len(held) == 1 else piece, tuple(own)))
        return sorted(found, key=lambda piece: (piece.shard, piece.file))

    def unpacked_shards(self, done: Collection[str]) -> list[str]:
        """The shards that are still needed when these files and pieces are written."""
        pieces = self.pieces()
        return sorted({p.shard for p in pieces if not {p.name, p.file} & {*done}})


@dataclass(frozen=True, slots=True)
class Piece:
    """What one shard has of one packed file."""

    shard: str
    file: str
    name: str
    """Where it is written: into the file itself if nothing else belongs there."""
    tensors: tuple[str, ...]
    """Own names."""


def packed_bytes(layout: TensorLayout, names: Iterable[str] | None = None) -> int:
    """Approximate packed size of a model, or of some of its tensors, on disk and in memory."""
    bits = sum(
        torch.Size(layout.shapes[name]).numel()
        * (4.13 if layout.is_packed(name, layout.shapes[name]) else 16)
        for name in (layout.shapes if names is None else names)
    )
    return int(bits / 8 * OVERHEAD)


def plan_packing(source: Path, headers: Headers | None = None) -> Plan:
    """Report faults before any work is done.

    `source` has everything but the weights, whose headers are given, or read from the files
    there.
    """
    if is_packed_checkpoint(source):
        raise CheckpointError(f"{source} is packed already; give a checkpoint in bfloat16")
    plan = locate(source, headers)
    layout = plan.checkpoint.tensors
    odd = [
        name
        for name, shape in plan.shapes.items()
        if layout.is_bulk(name) and not layout.is_packed(name, shape)
    ]
    if odd:
        raise CheckpointError(
            f"{source}: {odd[0]} has shape {list(plan.shapes[odd[0]])}; "
            "4 bits need rows of a multiple of 64, so use it as it is with --model"
        )
    return plan


def locate(source: Path, headers: Headers | None = None) -> Plan:
    """Where each tensor is; raises if some are missing, unexpected or of the wrong shape."""
    checkpoint = open_checkpoint(source)
    # Without it, the checkpoint could be stored but not loaded.
    checkpoint.read_codec()
    digest, found = hashlib.sha256(), headers or _local_headers(source)
    for shard, (stamp, tensors) in found.items():
        digest.update(repr((shard, *stamp, sorted(tensors.items()))).encode())
    shapes = {source / shard: tensors for shard, (_, tensors) in found.items()}
    origin = find_tensors(checkpoint, shapes)
    plan = Plan(checkpoint, {own: (path.name, name) for own, (path, name) in origin.items()})
    plan.fingerprint = digest.hexdigest()
    return plan


def _local_headers(source: Path) -> Headers:
    headers: Headers = {}
    for path, tensors in read_headers(list_shards(source)).items():
        stat = path.stat()
        headers[path.name] = (stat.st_size, stat.st_mtime_ns), tensors
    return headers
