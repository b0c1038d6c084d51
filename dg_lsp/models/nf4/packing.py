"""Packs a checkpoint in full precision, a few experts at a time.

Each layer is quantized, written under a temporary name, flushed, renamed and recorded; an
interrupted run continues after the last record. A checkpoint is not used before it is complete.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from dg_lsp.models.checkpoint import (
    METADATA,
    CheckpointError,
    list_shards,
    one_line,
    read_headers,
    read_json,
    size_in_words,
)
from dg_lsp.models.family import TensorLayout
from dg_lsp.models.memory import check_free
from dg_lsp.models.nf4.format import QuantizationError, quantize, to_tensors
from dg_lsp.models.nf4.manifest import (
    Manifest,
    hash_file,
    is_packed_checkpoint,
    remember_checked,
    write_json,
)
from dg_lsp.models.registry import Checkpoint, open_checkpoint
from dg_lsp.reason import ReasonCode

PROGRESS = "progress.json"
COPIED = ("config.json", "generation_config.json", "tokenizer.json", METADATA, "README.md")
BYTES_PER_VALUE = 48
"""Factor for bitsandbytes' temporary memory, relative to what is quantized at once."""
VALUES_AT_ONCE = {"cpu": 1 << 22, "cuda": 1 << 26}
"""Weights quantized at once: tens of bytes each temporarily, small compared with a layer."""
OVERHEAD = 1.01
"""Overhead of headers and tables, relative to the computed size."""

Told = Callable[[int, int], None]
"""Called with the number of source bytes done and the total."""


@dataclass(slots=True)
class Plan:
    """What is read from where, and into which file it is written."""

    checkpoint: Checkpoint
    origin: dict[str, tuple[Path, str]] = field(default_factory=dict)
    """Shard and the name in it, by own name."""
    fingerprint: str = ""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return self.checkpoint.tensors.shapes

    def files(self) -> dict[str, list[str]]:
        """Own names by file: one for each layer, one for the rest."""
        groups: dict[str, list[str]] = {}
        for name in self.shapes:
            layer = re.search(r"\.layers\.(\d+)\.", name)
            file = f"layer-{int(layer[1]):02}" if layer else "shared"
            groups.setdefault(f"{file}.safetensors", []).append(name)
        return dict(sorted(groups.items()))


def packed_bytes(layout: TensorLayout, names: Iterable[str] | None = None) -> int:
    """Approximate packed size of a model, or of some of its tensors, on disk and in memory."""
    bits = sum(
        torch.Size(layout.shapes[name]).numel()
        * (4.13 if layout.is_packed(name, layout.shapes[name]) else 16)
        for name in (layout.shapes if names is None else names)
    )
    return int(bits / 8 * OVERHEAD)


def plan_packing(source: Path) -> Plan:
    """Read all headers and report faults before any work is done."""
    if is_packed_checkpoint(source):
        raise CheckpointError(f"{source} is packed already; give a checkpoint in bfloat16")
    checkpoint = open_checkpoint(source)
    # Without it, the checkpoint could be packed but not loaded.
    checkpoint.read_codec()
    layout = checkpoint.tensors
    plan = Plan(checkpoint)
    headers = read_headers(list_shards(source))
    digest = hashlib.sha256()
    surplus = []
    for shard, tensors in headers.items():
        stat = shard.stat()
        known = shard.name, stat.st_size, stat.st_mtime_ns, sorted(tensors.items())
        digest.update(repr(known).encode())
        for name, shape in tensors.items():
            own = layout.own_name(name)
            if own not in plan.shapes:
                if not layout.is_ignored(name):
                    surplus.append(name)
            elif shape != plan.shapes[own]:
                raise CheckpointError(
                    f"{shard}: {name} has shape {list(shape)}, config.json wants "
                    f"{list(plan.shapes[own])}; they do not belong together"
                )
            # Both halves may be present; the decoder's name is kept.
            elif own not in plan.origin or name == own:
                plan.origin[own] = (shard, name)
    missing = [name for name in plan.shapes if name not in plan.origin]
    for kind, names in (("missing", missing), ("unexpected", surplus)):
        if names:
            plural = "s" if len(names) > 1 else ""
            raise CheckpointError(
                f"{source} has {len(names)} {kind} tensor{plural}, such as {min(names)}; "
                f"it is not a complete {checkpoint.family.name} checkpoint"
            )
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
    plan.fingerprint = digest.hexdigest()
    return plan


def pack(
    source: Path,
    target: Path,
    plan: Plan,
    *,
    device: torch.device,
    source_name: str,
    told: Told = lambda done, total: None,
) -> Manifest:
    """Create `target` from `source`, one process at a time; continues an unfinished run."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise CheckpointError(
            f"another process is making {target.name}; wait until it has finished",
            ReasonCode.NAME_TAKEN,
        ) from error
    with lock:
        if is_packed_checkpoint(target):
            raise CheckpointError(
                f"{target} already exists; choose another --name", ReasonCode.NAME_TAKEN
            )
        return _pack(source, target, plan, device, source_name, told)


def _pack(
    source: Path, target: Path, plan: Plan, device: torch.device, source_name: str, told: Told
) -> Manifest:
    draft = target.with_name(f".{target.name}.partial")
    files = _taken_up(draft, plan.fingerprint)
    done = sum(size for size, _ in files.values())
    check_disk(draft, packed_bytes(plan.checkpoint.tensors) - done)
    _check_memory(plan, device)
    sizes = {
        file: sum(torch.Size(plan.shapes[name]).numel() * 2 for name in names)
        for file, names in plan.files().items()
    }
    total, done = sum(sizes.values()), 0
    for file, names in plan.files().items():
        if file not in files:
            files[file] = _write_file(draft / file, names, plan, device)
            write_json(draft / PROGRESS, {"fingerprint": plan.fingerprint, "files": files})
        done += sizes[file]
        told(done, total)
    for name in COPIED:
        if (source / name).is_file():
            shutil.copyfile(source / name, draft / name)
    parameters = plan.checkpoint.tensors.parameters
    manifest = Manifest(parameters, source_name, plan.fingerprint, files)
    (draft / PROGRESS).unlink()
    manifest.write(draft)
    remember_checked(draft, manifest)
    os.replace(draft, target)
    return manifest


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


def _write_file(
    path: Path, names: list[str], plan: Plan, device: torch.device
) -> tuple[int, str]:
    tensors: dict[str, Tensor] = {}
    for name in names:
        shard, there = plan.origin[name]
        shape = plan.shapes[name]
        try:
            with safe_open(shard, framework="pt") as file:
                if plan.checkpoint.tensors.is_packed(name, shape):
                    weight = quantize(
                        _parts(file.get_slice(there), shape, device), shape, device
                    )
                    tensors |= to_tensors(name, weight, torch.bfloat16)
                else:
                    tensors[name] = file.get_tensor(there).to(torch.bfloat16)
        except QuantizationError as error:
            raise CheckpointError(
                f"{shard}: {there} can't be packed: {error}", error.code
            ) from error
        except Exception as error:  # Reading a file from elsewhere may raise anything.
            raise CheckpointError(f"{shard} could not be read: {one_line(error)}") from error
    draft = path.with_suffix(".writing")
    save_file({name: t.cpu().contiguous() for name, t in tensors.items()}, draft)
    with draft.open("rb+") as file:
        os.fsync(file.fileno())
    written = draft.stat().st_size, hash_file(draft)
    os.replace(draft, path)
    return written


def _parts(stored: object, shape: tuple[int, ...], device: torch.device) -> Iterator[Tensor]:
    """A tensor in slices of its first dimension, each small enough."""
    each = torch.Size(shape[1:]).numel()
    step = max(1, VALUES_AT_ONCE[device.type] // each)
    for start in range(0, shape[0], step):
        yield stored[start : start + step]  # type: ignore[index]


def _check_memory(plan: Plan, device: torch.device) -> None:
    """Check memory: the largest file stays in host memory until written, besides quantizing."""
    groups = plan.files().values()
    largest = max(packed_bytes(plan.checkpoint.tensors, names) for names in groups)
    quantizing = BYTES_PER_VALUE * VALUES_AT_ONCE[device.type]
    host = torch.device("cpu")
    on_host = largest + (quantizing if device == host else 0)
    check_free(host, on_host, "packing")
    if device != host:
        check_free(device, largest + quantizing, "packing")


def check_disk(directory: Path, needed: int) -> None:
    """Refuse to start if the disk has too little room."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise CheckpointError(
            f"{directory.parent} has {size_in_words(free)} free, but {size_in_words(needed)} "
            "are needed; free some, or set DG_LSP_MODELS_DIR to another disk",
            ReasonCode.DISK_FULL,
        )
