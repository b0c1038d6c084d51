"""Checks that the files of a model are complete, without loading them or torch.

The header of a safetensors file gives its length, which reveals a truncated download. If the
directory has `SHA256SUMS`, its files are compared with that too. A checkpoint of the store
lists the sizes of its files; its checksums are compared when it is loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sized
from pathlib import Path
from typing import Any

from dg_lsp.config import model_directory
from dg_lsp.diagnosis.findings import Finding, ok, one_line, problem, size_of
from dg_lsp.reason import ReasonCode

BUNDLED = "bundled"
BUNDLED_DIRECTORY = Path(__file__).parent.parent / "models" / "bundled"
MODEL_TYPES = ("diffusion_gemma", "Dream", "dream", "qwen2")
"""Of the families that dg-lsp reads (models/registry.py)."""
TOKENIZER, TOKENIZER_PARTS = "tokenizer.json", ("vocab.json", "merges.txt")
MANIFEST = "packed.json"
"""The manifest of a checkpoint in the store (models/nf4/manifest.py)."""
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PACKED = "nf4"
SUMS = "SHA256SUMS"
MAX_HEADER_BYTES = 100_000_000
"""The limit of the safetensors library itself."""
DOWNLOAD_AGAIN = "download the checkpoint again"
PATHS = "a directory is given as an absolute path, or with ./ in front"
PACK_AGAIN = "create it again with dg-lsp pull; dg-lsp models --verify compares all checksums"


class _WrongFileError(ValueError):
    """A file is wrong; the message says how."""


def check_models(name: str | None) -> Iterator[Finding]:
    """The model with that name; without a name, all that may be chosen."""
    if name is not None:
        yield examine_checkpoint(name)
        return
    yield examine_checkpoint(BUNDLED)
    store = models_directory()
    for manifest in sorted(store.glob(f"[!.]*/{MANIFEST}")):
        yield examine_checkpoint(manifest.parent.name)


def models_directory() -> Path:
    """Where models are kept; `DG_LSP_MODELS_DIR` moves it."""
    named = os.environ.get("DG_LSP_MODELS_DIR")
    if named:
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_data_path("dg-lsp", appauthor=False) / "models"


def examine_checkpoint(name: str) -> Finding:
    """Check the bundled model, one of the store by its name, or a checkpoint directory."""
    advice = DOWNLOAD_AGAIN
    given = model_directory(name)
    if name == BUNDLED:
        directory, advice = BUNDLED_DIRECTORY, "install dg-lsp again"
    elif given is None and not (models_directory() / name / MANIFEST).is_file():
        said = f"there is no model {name!r}"
        code = ReasonCode.NO_MODEL.value
        advice = f"`dg-lsp models` lists them; {PATHS}"
        return problem("model", said, advice, reason_code=code)
    else:
        directory = given or models_directory() / name
    if (directory / MANIFEST).is_file():
        return _examine_stored(name, directory)
    try:
        if not directory.is_dir():
            raise _WrongFileError(f"{directory} is not a directory")
        weights = [directory / shard for shard in _read_shards(directory)]
        for path in weights:
            _check_whole(path)
        _check_tokenizer(directory)
        compared = _compare_sums(directory)
        size_bytes = sum(path.stat().st_size for path in weights)
    except (_WrongFileError, OSError) as error:
        said = f"{name}: {one_line(error)}"
        code = ReasonCode.BAD_CHECKPOINT.value
        return problem("model", said, advice, directory=str(directory), reason_code=code)
    said = f"{name}, {size_of(size_bytes)} in {_files(weights)}"
    said += ", checksums agree" if compared else ", complete"
    facts = {
        "name": name,
        "directory": str(directory),
        "weights": [path.name for path in weights],
        "size_bytes": size_bytes,
        "compared": compared,
        "is_packed": False,
    }
    return ok("model", said, **facts)


def _examine_stored(name: str, directory: Path) -> Finding:
    try:
        _check_tokenizer(directory)
        size_bytes = 0
        manifest = _read_json(directory / MANIFEST)
        files = manifest.get("files")
        if not isinstance(files, dict) or not files:
            raise _WrongFileError(f"{directory / MANIFEST} lists no files")
        for file, listed in files.items():
            expected = listed.get("bytes") if isinstance(listed, dict) else None
            path = directory / file
            if not path.is_file():
                raise _WrongFileError(f"{path} is missing")
            if path.stat().st_size != expected:
                found = path.stat().st_size
                raise _WrongFileError(f"{path} has {found} bytes instead of {expected}")
            size_bytes += path.stat().st_size
    except (_WrongFileError, OSError) as error:
        said = f"{name}: {one_line(error)}"
        code = ReasonCode.BAD_CHECKPOINT.value
        return problem("model", said, PACK_AGAIN, directory=str(directory), reason_code=code)
    precision = str(manifest.get("precision", PACKED))
    said = f"{name} in {precision}, {size_of(size_bytes)} in {_files(files)}, complete"
    facts = {"name": name, "directory": str(directory), "size_bytes": size_bytes}
    is_packed = precision == PACKED
    return ok("model", said, **facts, weights=sorted(files), is_packed=is_packed)


def _check_tokenizer(directory: Path) -> None:
    """Masked models may have their vocabulary and its merges instead of `tokenizer.json`."""
    parts = [directory / name for name in TOKENIZER_PARTS]
    if (directory / TOKENIZER).is_file() or not all(path.is_file() for path in parts):
        _read_json(directory / TOKENIZER)
    else:
        _read_json(parts[0])


def _read_shards(directory: Path) -> list[str]:
    config = _read_json(directory / "config.json")
    if (found := config.get("model_type")) not in MODEL_TYPES:
        known = " or ".join(map(repr, MODEL_TYPES))
        raise _WrongFileError(f"{directory} holds a {found!r} model; it must be {known}")
    if (directory / WEIGHTS).is_file() or not (directory / INDEX).is_file():
        return [WEIGHTS]
    listed = _read_json(directory / INDEX).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise _WrongFileError(f"{directory / INDEX} lists no files")
    return sorted({str(shard) for shard in listed.values()})


def _check_whole(path: Path) -> None:
    if not path.is_file():
        raise _WrongFileError(f"{path} is missing")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= MAX_HEADER_BYTES:
            raise _WrongFileError(f"{path} is not a safetensors file")
        try:
            header = json.loads(file.read(length))
            ends = [
                int(tensor["data_offsets"][1])
                for tensor_name, tensor in header.items()
                if tensor_name != "__metadata__"
            ]
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise _WrongFileError(f"{path} has a header that cannot be read") from error
    expected = 8 + length + max(ends, default=0)
    found = path.stat().st_size
    if found != expected:
        raise _WrongFileError(f"{path} has {found} bytes instead of {expected}")


def _compare_sums(directory: Path) -> list[str]:
    """Compare checksums; returns the names of the files compared."""
    try:
        lines = (directory / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    compared = []
    for line in lines:
        expected, _, name = line.partition("  ")
        if not name:
            raise _WrongFileError(f"{directory / SUMS} is not a list of checksums")
        path = directory / name
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected:
            raise _WrongFileError(f"{path} is not the file that {SUMS} lists")
        compared.append(name)
    return compared


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _WrongFileError(f"{path} is missing") from error
    except ValueError as error:
        raise _WrongFileError(f"{path} is not JSON") from error
    if not isinstance(value, dict):
        raise _WrongFileError(f"{path} does not contain a JSON object")
    return value


def _files(files: Sized) -> str:
    return f"{len(files)} file{'s' * (len(files) > 1)}"
