"""A packed checkpoint on disk: NF4 in safetensors, one file per layer, and a manifest.

The manifest is written last, so a directory without one is not finished and is never used.
Tensors have the names and the layout that bitsandbytes gives them. Loading maps the files into
memory; checksums are computed only where a file changed since they last were.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dg_lsp.models.checkpoint import CheckpointError, one_line, read_json
from dg_lsp.models.family import TensorLayout
from dg_lsp.models.nf4.format import STATE, Nf4, QuantizationError, from_tensors

MANIFEST, CHECKED = "packed.json", "checked.json"
FORMAT = 1
"""Raised when older versions could not read what this one writes."""
HASHERS = 4
"""Threads that hash files; a disk is no faster with more."""


class Integrity(enum.Enum):
    """What is known of the files of a packed checkpoint."""

    GOOD = "ok"
    """As they were when their checksums were last right."""
    UNCHECKED = "not checked"
    """They changed since, or never were."""
    DAMAGED = "damaged"
    """A file is missing or has the wrong size."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a packed checkpoint says of itself."""

    parameters: int
    source: str
    fingerprint: str
    """Of the headers of the checkpoint that it was made from."""
    files: dict[str, tuple[int, str]]
    """Size and SHA-256 of each."""

    @property
    def weight_bytes(self) -> int:
        return sum(size for size, _ in self.files.values())

    def write(self, directory: Path) -> None:
        files = {name: {"bytes": s, "sha256": h} for name, (s, h) in self.files.items()}
        write_json(
            directory / MANIFEST,
            {
                "format": FORMAT,
                "precision": "nf4",
                "parameters": self.parameters,
                "source": self.source,
                "fingerprint": self.fingerprint,
                "files": files,
            },
        )


def is_packed_checkpoint(directory: Path) -> bool:
    return (directory / MANIFEST).is_file()


def read_manifest(directory: Path) -> Manifest:
    """What `Manifest.write` wrote; another format is refused."""
    path = directory / MANIFEST
    raw = read_json(path)
    if raw.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has format {raw.get('format')!r}, this version reads {FORMAT}; "
            "make it again with dg-lsp pull"
        )
    try:
        files = {
            str(name): (int(each["bytes"]), str(each["sha256"]))
            for name, each in raw["files"].items()
        }
        return Manifest(
            int(raw["parameters"]), str(raw["source"]), str(raw["fingerprint"]), files
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not valid ({one_line(error)}); make it again with dg-lsp pull"
        ) from error


def integrity(directory: Path, manifest: Manifest) -> Integrity:
    """What is known without reading the files."""
    checked = _read_checked(directory)
    for name, (size, digest) in manifest.files.items():
        stamp = _stamp(directory / name)
        if stamp is None or stamp[0] != size:
            return Integrity.DAMAGED
        if checked.get(name) != [*stamp, digest]:
            return Integrity.UNCHECKED
    return Integrity.GOOD


def verify(directory: Path, manifest: Manifest, *, anew: bool = False) -> None:
    """Compare files with their checksums: those that changed since, or `anew` all of them."""
    checked = {} if anew else _read_checked(directory)
    open_files = []
    for name, (size, digest) in manifest.files.items():
        stamp = _stamp(directory / name)
        if stamp is None or stamp[0] != size:
            found = "is missing" if stamp is None else f"has {stamp[0]} bytes, not {size}"
            raise CheckpointError(f"{directory / name} {found}; make it again with dg-lsp pull")
        if checked.get(name) != [*stamp, digest]:
            open_files.append(name)
    if not open_files:
        return
    with ThreadPoolExecutor(HASHERS) as pool:
        digests = list(pool.map(lambda name: hash_file(directory / name), open_files))
    for name, digest in zip(open_files, digests, strict=True):
        if digest != manifest.files[name][1]:
            raise CheckpointError(
                f"{directory / name} has a wrong checksum; make it again with dg-lsp pull"
            )
    remember_checked(directory, manifest)


def remember_checked(directory: Path, manifest: Manifest) -> None:
    """Note that all files are right as they are now."""
    stamps = {
        name: [*(_stamp(directory / name) or ()), digest]
        for name, (_, digest) in manifest.files.items()
    }
    # A store that may not be written is hashed at every start.
    with contextlib.suppress(OSError):
        write_json(directory / CHECKED, stamps)


def read_packed(
    directory: Path,
    layout: TensorLayout,
    device: torch.device,
    report: Callable[[float], None] = lambda share: None,
) -> dict[str, Tensor | Nf4]:
    """All tensors of a packed checkpoint by their own names, which must be those of the layout.

    `report` is told the share of the weights that is loaded.
    """
    manifest = read_manifest(directory)
    verify(directory, manifest)
    expected = layout.shapes
    found: dict[str, Tensor | Nf4] = {}
    done = 0
    for file, (size, _) in manifest.files.items():
        try:
            found.update(_read(directory / file, device))
        except (SafetensorError, OSError, QuantizationError) as error:
            raise CheckpointError(
                f"{directory / file} could not be read: {one_line(error)}"
            ) from error
        done += size
        report(done / manifest.weight_bytes)
    wrong = [n for n in expected if n not in found or tuple(found[n].shape) != expected[n]]
    wrong += [name for name in found if name not in expected]
    if wrong:
        raise CheckpointError(
            f"{directory} does not fit its config.json: {len(wrong)} tensors differ, the first "
            f"is {wrong[0]}; make it again with dg-lsp pull"
        )
    return found


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, content: Any) -> None:
    """All of it or nothing, whatever happens meanwhile."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(draft, path)


def _read(path: Path, device: torch.device) -> Iterator[tuple[str, Tensor | Nf4]]:
    with safe_open(path, framework="pt", device=str(device)) as file:
        names = list(file.keys())
        packed = {name.removesuffix(f".{STATE}") for name in names if name.endswith(STATE)}
        for name in packed:
            own = {key: file.get_tensor(key) for key in names if _belongs(key, name)}
            yield name, from_tensors(name, own, device)
        for name in names:
            if not any(_belongs(name, each) for each in packed):
                yield name, file.get_tensor(name)


def _belongs(key: str, name: str) -> bool:
    return key == name or key.startswith(f"{name}.")


def _read_checked(directory: Path) -> dict[str, Any]:
    try:
        return read_json(directory / CHECKED)
    except CheckpointError:
        return {}


def _stamp(path: Path) -> list[int] | None:
    """Size and time of the last change; None where there is no such file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]
