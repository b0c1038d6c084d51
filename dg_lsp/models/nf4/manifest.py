"""What a packed checkpoint says of itself, and whether its files are as it says.

The manifest is written last, so a directory without one is not finished and is never used.
Checksums are computed only where a file changed since they last were. Needs no tensor library.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dg_lsp.models.checkpoint import CheckpointError, one_line, read_json

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


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, content: Any) -> None:
    """All of it or nothing, whatever happens meanwhile."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(draft, path)


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
