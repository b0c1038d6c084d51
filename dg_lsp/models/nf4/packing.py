"""Packs a checkpoint in full precision, a few experts at a time.

Shards are packed one after the other, and each is needed only once, so that a download can give
it back. What one shard has of a layer is quantized, written under a temporary name, flushed,
renamed and recorded; a layer is put together when its last shard is packed. An interrupted run
continues after the last record. A checkpoint is not used before it is complete.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from dg_lsp.models.checkpoint import (
    BESIDE_WEIGHTS,
    README,
    CheckpointError,
    one_line,
    read_json,
    size_in_words,
)
from dg_lsp.models.memory import check_free
from dg_lsp.models.nf4.format import QuantizationError, quantize, to_tensors
from dg_lsp.models.nf4.manifest import (
    Manifest,
    hash_file,
    making,
    remember_checked,
    write_json,
)
from dg_lsp.models.nf4.planning import Piece, Plan, packed_bytes
from dg_lsp.reason import ReasonCode

PROGRESS = "progress.json"
BYTES_PER_VALUE = 48
"""Factor for bitsandbytes' temporary memory, relative to what is quantized at once."""
VALUES_AT_ONCE = {"cpu": 1 << 22, "cuda": 1 << 26}
"""Weights quantized at once: tens of bytes each temporarily, small compared with a layer."""

Told = Callable[[int, int], None]
"""Called with the number of source bytes done and the total."""


class Shards(Protocol):
    """Where the weight files of the source come from, and where they go."""

    def get(self, shard: str) -> Path:
        """The file of this name, complete."""
        ...

    def give_back(self, shard: str) -> None:
        """The file is not needed any more; also called for files that were packed before."""
        ...

    def disk_bytes(self, shards: Collection[str]) -> int:
        """Room on the disk that these files will take, as far as they are not there yet."""
        ...


@dataclass(frozen=True, slots=True)
class LocalShards:
    """A checkpoint that is on the disk, and stays there."""

    directory: Path

    def get(self, shard: str) -> Path:
        return self.directory / shard

    def give_back(self, shard: str) -> None:
        pass

    def disk_bytes(self, shards: Collection[str]) -> int:
        return 0


def pack(
    source: Path,
    target: Path,
    plan: Plan,
    *,
    device: torch.device,
    source_name: str,
    told: Told = lambda done, total: None,
    shards: Shards | None = None,
) -> Manifest:
    """Create `target` from `source`, one process at a time; continues an unfinished run.

    `source` has everything but the weights, which come from `shards`, by default from there
    as well.
    """
    with making(target):
        files = _Packing(target, plan, device, shards or LocalShards(source)).run(told)
        draft = draft_of(target)
        for name in (*BESIDE_WEIGHTS, README):
            if (source / name).is_file():
                shutil.copyfile(source / name, draft / name)
        parameters = plan.checkpoint.tensors.parameters
        manifest = Manifest(parameters, source_name, plan.fingerprint, files)
        manifest.write(draft)
        remember_checked(draft, manifest)
        os.replace(draft, target)
        # Last, because without it an interrupted run would have to start again.
        (target / PROGRESS).unlink()
    return manifest


def draft_of(target: Path) -> Path:
    """Where a model is while it is packed."""
    return target.with_name(f".{target.name}.partial")


def packed_shards(target: Path, fingerprint: str | None = None) -> set[str]:
    """The shards that an interrupted run, of this source if it is given, has finished."""
    try:
        record = read_json(draft_of(target) / PROGRESS)
        if fingerprint in (None, record["fingerprint"]):
            return {str(shard) for shard in record["shards"]}
    except (CheckpointError, KeyError, TypeError):
        pass
    return set()


class _Packing:
    """One run, in which the draft always has what its record says."""

    def __init__(self, target: Path, plan: Plan, device: torch.device, shards: Shards) -> None:
        self._draft, self._plan = draft_of(target), plan
        self._device, self._shards = device, shards
        self._files = _taken_up(self._draft, plan.fingerprint)
        """Size and hash of everything that is written, pieces included."""

    def run(self, told: Told) -> dict[str, tuple[int, str]]:
        """Pack what is missing; returns size and hash of each packed file."""
        self._check_room()
        pieces = self._plan.pieces()
        sizes = {
            piece: sum(2 * torch.Size(self._plan.shapes[n]).numel() for n in piece.tensors)
            for piece in pieces
        }
        total, done = sum(sizes.values()), 0
        for shard, own in itertools.groupby(pieces, lambda piece: piece.shard):
            path: Path | None = None
            for piece in own:
                if not {piece.name, piece.file} & self._files.keys():
                    path = path or self._shards.get(shard)
                    tensors = _packed_tensors(path, piece, self._plan, self._device)
                    self._write(piece.name, tensors)
                done += sizes[piece]
                told(done, total)
                self._join(piece.file, [p for p in pieces if p.file == piece.file])
            self._shards.give_back(shard)
        return {file: self._files[file] for file in self._plan.files()}

    def _join(self, file: str, pieces: list[Piece]) -> None:
        """Put a file together if all its pieces are there."""
        names = [piece.name for piece in pieces]
        if file in self._files or not all(name in self._files for name in names):
            return
        tensors: dict[str, Tensor] = {}
        for name in names:
            tensors |= load_file(self._draft / name)
        self._write(file, tensors, instead_of=names)
        for name in names:
            (self._draft / name).unlink()

    def _write(
        self, name: str, tensors: dict[str, Tensor], instead_of: Collection[str] = ()
    ) -> None:
        """Write a file so that it is complete before it is recorded."""
        try:
            self._write_whole(name, tensors, instead_of)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{self._draft / name} could not be written: {one_line(error)}; what has been "
                "packed is kept, so run the command again once there is room",
                ReasonCode.DISK_FULL,
            ) from error

    def _write_whole(
        self, name: str, tensors: dict[str, Tensor], instead_of: Collection[str]
    ) -> None:
        path = self._draft / name
        writing = path.with_suffix(".writing")
        save_file({key: t.cpu().contiguous() for key, t in tensors.items()}, writing)
        with writing.open("rb+") as file:
            os.fsync(file.fileno())
        self._files[name] = writing.stat().st_size, hash_file(writing)
        os.replace(writing, path)
        for old in instead_of:
            del self._files[old]
        left = self._plan.unpacked_shards(self._files)
        record = {
            "fingerprint": self._plan.fingerprint,
            "files": self._files,
            "shards": [shard for shard in self._plan.shards if shard not in left],
        }
        write_json(self._draft / PROGRESS, record)

    def _check_room(self) -> None:
        plan, layout = self._plan, self._plan.checkpoint.tensors
        largest = max(packed_bytes(layout, names) for names in plan.files().values())
        done = sum(size for size, _ in self._files.values())
        needed = max(0, packed_bytes(layout) - done)
        needed += self._shards.disk_bytes(plan.unpacked_shards(self._files))
        if any(piece.name != piece.file for piece in plan.pieces()):
            needed += largest
        check_disk(self._draft, needed)
        # The largest file stays in host memory until it is written, besides quantizing.
        quantizing = BYTES_PER_VALUE * VALUES_AT_ONCE[self._device.type]
        host = torch.device("cpu")
        check_free(host, largest + (quantizing if self._device == host else 0), "packing")
        if self._device != host:
            check_free(self._device, largest + quantizing, "packing")


def _taken_up(draft: Path, fingerprint: str) -> dict[str, tuple[int, str]]:
    """The complete files of an interrupted run of the same source; removes all others."""
    files: dict[str, tuple[int, str]] = {}
    try:
        progress = read_json(draft / PROGRESS)
        if progress["fingerprint"] == fingerprint:
            for name, (size, digest) in progress["files"].items():
                path = draft / name
                if path.is_file() and path.stat().st_size == size and hash_file(path) == digest:
                    files[name] = (size, digest)
    except (CheckpointError, AttributeError, KeyError, TypeError, ValueError):
        files = {}
    draft.mkdir(exist_ok=True)
    for path in draft.iterdir():
        if path.name not in files and path.name != PROGRESS:
            path.unlink()
    return files


def _packed_tensors(
    path: Path, piece: Piece, plan: Plan, device: torch.device
) -> dict[str, Tensor]:
    """What the shard at this path has of a packed file, as it is stored."""
    tensors: dict[str, Tensor] = {}
    for name in piece.tensors:
        there, shape = plan.origin[name][1], plan.shapes[name]
        try:
            with safe_open(path, framework="pt") as file:
                if plan.checkpoint.tensors.is_packed(name, shape):
                    weight = quantize(
                        _parts(file.get_slice(there), shape, device), shape, device
                    )
                    tensors |= to_tensors(name, weight, torch.bfloat16)
                else:
                    tensors[name] = file.get_tensor(there).to(torch.bfloat16)
        except QuantizationError as error:
            raise CheckpointError(
                f"{path}: {there} can't be packed: {error}", error.code
            ) from error
        except Exception as error:  # Reading a file from elsewhere may raise anything.
            raise CheckpointError(f"{path} could not be read: {one_line(error)}") from error
    return tensors


def _parts(stored: object, shape: tuple[int, ...], device: torch.device) -> Iterator[Tensor]:
    """A tensor in slices of its first dimension, each small enough."""
    each = torch.Size(shape[1:]).numel()
    step = max(1, VALUES_AT_ONCE[device.type] // each)
    for start in range(0, shape[0], step):
        yield stored[start : start + step]  # type: ignore[index]


def check_disk(directory: Path, needed: int) -> None:
    """Refuse to start if the disk has too little room."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise CheckpointError(
            f"{directory.parent} has {size_in_words(free)} free, but {size_in_words(needed)} "
            "are needed; free some, or set DG_LSP_MODELS_DIR to another disk",
            ReasonCode.DISK_FULL,
        )
