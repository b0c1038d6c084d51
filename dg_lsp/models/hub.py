"""Lists and downloads checkpoints on the Hugging Face hub.

`huggingface_hub` does the transfer: it resumes after a broken connection, and a later run
downloads only incomplete files. This module chooses the files, counts bytes, compares
checksums, and reports errors in one line.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Collection, Iterator
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

from dg_lsp.models.checkpoint import BESIDE_WEIGHTS, CheckpointError, one_line
from dg_lsp.models.formats import ORIGINAL, unread_files
from dg_lsp.models.nf4.manifest import hash_file
from dg_lsp.models.nf4.planning import Headers
from dg_lsp.reason import ReasonCode

DIFFUSION_GEMMA = ORIGINAL
WANTED = (*BESIDE_WEIGHTS, "*.safetensors", "*.safetensors.index.json", "LICENSE*")
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

    @property
    def is_weights(self) -> bool:
        return self.name.endswith(".safetensors")


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

    @property
    def weights(self) -> list[RemoteFile]:
        return [file for file in self.files if file.is_weights]

    @property
    def weight_bytes(self) -> int:
        return sum(file.size for file in self.weights)


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
    if not any(file.is_weights for file in files):
        raise unread_files({s.rfilename: s.size or 0 for s in info.siblings or ()}, repository)
    licence = (info.card_data.license if info.card_data else None) or "unknown"
    return Remote(repository, info.sha or revision or "main", str(licence), files)


def download_small(
    remote: Remote, directory: Path, wanted: Callable[[str], bool] = lambda name: True
) -> None:
    """Download everything but the weights, to check first whether the model fits."""
    for file in remote.files:
        if not file.is_weights and wanted(file.name):
            _download(remote, file, directory, lambda count: None)


def read_remote_headers(remote: Remote) -> Headers:
    """The headers of the weight files, without the weights."""
    headers: Headers = {}
    for file in remote.weights:
        with _explained(f"{remote.repository}/{file.name}"):
            found = HfApi(endpoint=_endpoint()).parse_safetensors_file_metadata(
                remote.repository, file.name, revision=remote.revision, timeout=TRIES_S
            )
        shapes = {name: tuple(info.shape) for name, info in found.tensors.items()}
        headers[file.name] = (file.size, file.sha256), shapes
    return headers


class RemoteShards:
    """Downloads each weight file when it is needed; implements `nf4.packing.Shards`."""

    def __init__(
        self,
        remote: Remote,
        directory: Path,
        needed: Collection[str],
        told: Callable[[int, int], None],
        *,
        keeps: bool,
    ) -> None:
        """`told` is called with the bytes that are here and the total of what is needed."""
        self._remote, self._directory, self._keeps = remote, directory, keeps
        self._files = {file.name: file for file in remote.weights}
        self._told = told
        self._done, self._total = 0, sum(self._files[name].size for name in needed)

    def get(self, shard: str) -> Path:
        file, within = self._files[shard], 0

        def count(more: int) -> None:
            nonlocal within
            within += more
            self._told(self._done + within, self._total)

        path = _download(self._remote, file, self._directory, count)
        _compare(path, file)
        self._done += file.size
        self._told(self._done, self._total)
        return path

    def give_back(self, shard: str) -> None:
        if not self._keeps:
            (self._directory / shard).unlink(missing_ok=True)

    def disk_bytes(self, shards: Collection[str]) -> int:
        missing = [_missing(self._files[shard], self._directory) for shard in shards]
        return sum(missing) if self._keeps else max(missing, default=0)


def missing_bytes(remote: Remote, directory: Path, needed: Collection[str]) -> int:
    """Bytes that are still to be downloaded, if only these weight files are needed."""
    return sum(
        _missing(file, directory)
        for file in remote.files
        if file.name in needed or not file.is_weights
    )


def _missing(file: RemoteFile, directory: Path) -> int:
    here = 0
    with contextlib.suppress(OSError):
        here = min(file.size, (directory / file.name).stat().st_size)
    return file.size - here


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
            "check the network connection, then run the same command again: "
            "complete files are not downloaded again",
            ReasonCode.DOWNLOAD_FAILED,
        ) from error


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None
