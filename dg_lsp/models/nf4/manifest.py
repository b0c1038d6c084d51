"""The manifest of a checkpoint in the store, and the check of its files.

The manifest is written last; a directory without one is unfinished and is never used.
Checksums are computed again only for files that have changed. Needs no tensor library.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dg_lsp.files import write_private
from dg_lsp.models.checkpoint import CheckpointError, one_line, read_json
from dg_lsp.reason import ReasonCode

MANIFEST, CHECKED = "packed.json", "checked.json"
PACKED = "nf4"
"""The precision of what `dg-lsp pull` packed."""
FORMAT = 1
"""Incremented when older versions cannot read what this one writes."""
HASHERS = 4
"""Threads that hash files; a disk is no faster with more."""


class Integrity(enum.Enum):
    """The state of a checkpoint's files."""

    GOOD = "ok"
    """Unchanged since their checksums were last verified."""
    UNCHECKED = "not checked"
    """Changed since, or never verified."""
    DAMAGED = "damaged"
    """A file is missing or has the wrong size."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description of a checkpoint in the store."""

    parameters: int
    source: str
    fingerprint: str
    """Hash of the headers of the source checkpoint."""
    files: dict[str, tuple[int, str]]
    """Size and SHA-256 of each file."""
    precision: str = PACKED
    """"nf4", or that of a checkpoint that is kept as it was published, such as "int4"."""

    @property
    def weight_bytes(self) -> int:
        return sum(size for size, _ in self.files.values())

    def write(self, directory: Path) -> None:
        files = {name: {"bytes": s, "sha256": h} for name, (s, h) in self.files.items()}
        write_json(
            directory / MANIFEST,
            {
                "format": FORMAT,
                "precision": self.precision,
                "parameters": self.parameters,
                "source": self.source,
                "fingerprint": self.fingerprint,
                "files": files,
            },
        )


def has_manifest(directory: Path) -> bool:
    """Whether a directory is a finished checkpoint of the store."""
    return (directory / MANIFEST).is_file()


def is_packed_checkpoint(directory: Path) -> bool:
    """Whether a finished checkpoint is in NF4."""
    return has_manifest(directory) and read_manifest(directory).precision == PACKED


@contextlib.contextmanager
def alone(lock: Path, doing: str) -> Iterator[None]:
    """Only one process at a time; another one is refused and told what the first is `doing`."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout as error:
        raise CheckpointError(
            f"another process is {doing}; wait until it has finished", ReasonCode.NAME_TAKEN
        ) from error
    with held:
        yield


@contextlib.contextmanager
def making(target: Path) -> Iterator[None]:
    """Make a new checkpoint, one process at a time."""
    with alone(target.with_name(f".{target.name}.lock"), f"making {target.name}"):
        if has_manifest(target):
            raise CheckpointError(
                f"{target} already exists; choose another --name", ReasonCode.NAME_TAKEN
            )
        yield


def read_manifest(directory: Path) -> Manifest:
    """Read what `Manifest.write` wrote; raises for another format."""
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
            int(raw["parameters"]),
            str(raw["source"]),
            str(raw["fingerprint"]),
            files,
            str(raw.get("precision", PACKED)),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not valid ({one_line(error)}); make it again with dg-lsp pull"
        ) from error


def integrity(directory: Path, manifest: Manifest) -> Integrity:
    """The state of the files, without reading them."""
    checked = _read_checked(directory)
    for name, (size, digest) in manifest.files.items():
        stamp = _stamp(directory / name)
        if stamp is None or stamp[0] != size:
            return Integrity.DAMAGED
        if checked.get(name) != [*stamp, digest]:
            return Integrity.UNCHECKED
    return Integrity.GOOD


def verify(directory: Path, manifest: Manifest, *, anew: bool = False) -> None:
    """Compare files with their checksums: only changed ones, or all if `anew`."""
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
    """Record that all files are correct in their present state."""
    stamps = {
        name: [*(_stamp(directory / name) or ()), digest]
        for name, (_, digest) in manifest.files.items()
    }
    # The files of a read-only store are hashed at every start.
    with contextlib.suppress(OSError):
        write_json(directory / CHECKED, stamps)


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, content: Any) -> None:
    """Write the file as a whole."""
    write_private(path, (json.dumps(content, indent=1) + "\n").encode())


def _read_checked(directory: Path) -> dict[str, Any]:
    try:
        return read_json(directory / CHECKED)
    except CheckpointError:
        return {}


def _stamp(path: Path) -> list[int] | None:
    """Size and modification time; None if there is no such file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]
