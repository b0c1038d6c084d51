"""Lists and downloads checkpoints on the Hugging Face hub.

`huggingface_hub` does the transfer: it resumes after a broken connection, and a later run
downloads only incomplete files. This module chooses the files, counts bytes, compares
checksums, and reports errors in one line.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from dg_lsp.models.checkpoint import CheckpointError, one_line
from dg_lsp.models.nf4.manifest import hash_file
from dg_lsp.reason import ReasonCode

DIFFUSION_GEMMA = "google/diffusiongemma-26B-A4B-it"
WANTED = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "dg_lsp.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "LICENSE*",
)
FREE_LICENCES = {"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause"}
"""Licences that need no confirmation; any other must be accepted by name."""
TRIES_S = 30.0


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository."""

    name: str
    size: int
    sha256: str | None
    """Of large files; the hub gives none for small ones."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository at one revision, with the files that a checkpoint needs."""

    repository: str
    revision: str
    licence: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def look_up(repository: str, revision: str | None = None) -> Remote:
    """Ask the hub for the content of a repository."""
    with _explained(repository):
        info = HfApi(endpoint=_endpoint()).model_info(
            repository, revision=revision, files_metadata=True, timeout=TRIES_S
        )
    files = tuple(
        RemoteFile(s.rfilename, s.size or 0, s.lfs.sha256 if s.lfs else None)
        for s in info.siblings or ()
        if any(fnmatch(s.rfilename, wanted) for wanted in WANTED)
    )
    if not any(file.name.endswith(".safetensors") for file in files):
        raise CheckpointError(f"{repository} has no .safetensors files, so it cannot be packed")
    licence = (info.card_data.license if info.card_data else None) or "unknown"
    return Remote(repository, info.sha or revision or "main", str(licence), files)


def download_small(remote: Remote, directory: Path) -> None:
    """Download everything but the weights, to check first whether the model fits."""
    for file in remote.files:
        if not file.name.endswith(".safetensors"):
            _download(remote, file, directory, lambda count: None)


def download_weights(remote: Remote, directory: Path, told: Callable[[int, int], None]) -> None:
    """Download the weights that are missing, and compare each with its checksum.

    `told` is called with the bytes downloaded and the total.
    """
    weights = [file for file in remote.files if file.name.endswith(".safetensors")]
    total, before = sum(file.size for file in weights), 0
    for file in weights:
        within = 0

        def count(more: int, start: int = before) -> None:
            nonlocal within
            within += more
            told(start + within, total)

        path = _download(remote, file, directory, count)
        _compare(path, file)
        before += file.size
        told(before, total)


def missing_bytes(remote: Remote, directory: Path) -> int:
    """Bytes that are still to be downloaded."""
    here = 0
    for file in remote.files:
        with contextlib.suppress(OSError):
            here += min(file.size, (directory / file.name).stat().st_size)
    return max(0, remote.size - here)


def _download(
    remote: Remote, file: RemoteFile, directory: Path, count: Callable[[int], None]
) -> Path:
    with _explained(f"{remote.repository}/{file.name}"):
        return Path(
            hf_hub_download(
                remote.repository,
                file.name,
                revision=remote.revision,
                local_dir=directory,
                endpoint=_endpoint(),
                tqdm_class=_counter(count),
                library_name="dg-lsp",
            )
        )


def _compare(path: Path, file: RemoteFile) -> None:
    size = path.stat().st_size
    if size == file.size and (file.sha256 is None or hash_file(path) == file.sha256):
        return
    path.unlink()
    raise CheckpointError(
        f"{path} arrived damaged ({size} of {file.size} bytes, or a wrong checksum) and was "
        "removed; run the same command again",
        ReasonCode.DOWNLOAD_FAILED,
    )


def _counter(count: Callable[[int], None]) -> Any:
    """Replaces the progress bar of the library."""

    class Counter:
        def __init__(self, *_: object, initial: int = 0, **__: object) -> None:
            count(initial)

        def update(self, more: float | None = 1) -> None:
            count(int(more or 0))

        def __enter__(self) -> Counter:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *args, **kwargs: None

    return Counter


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Convert the library's errors into one line that says what to do."""
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        yield
    except GatedRepoError as error:
        raise CheckpointError(
            f"{what} is gated: accept its terms on the hub, then set HF_TOKEN or run "
            "hf auth login",
            ReasonCode.LICENCE,
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise CheckpointError(
            f"{what} is not on {_endpoint() or 'the hub'}", ReasonCode.NO_REPOSITORY
        ) from error
    except Exception as error:  # Anything that the network and the library's HTTP client raise.
        raise CheckpointError(
            f"{what} could not be fetched ({one_line(error)}); "
            "run the same command again; complete files are not downloaded again",
            ReasonCode.DOWNLOAD_FAILED,
        ) from error


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None
