"""Reads the headers and JSON of a checkpoint directory, and says what is wrong with it.

Every fault raises a `CheckpointError` with a one-line message that names the file and the
remedy. No weights are loaded.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from dg_lsp.reason import CodedError, ReasonCode

METADATA, GENERATION = "dg_lsp.json", "generation_config.json"
README, SUMS = "README.md", "SHA256SUMS"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
BESIDE_WEIGHTS = (
    *("config.json", GENERATION, METADATA),
    *("tokenizer.json", "tokenizer_config.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "chat_template.jinja"),
)
"""The small files of a checkpoint; which of them there are depends on the model."""


MOST_JSON_BYTES = 16 * 2**20
"""Of a file that declares something; that of the largest index of shards has 10 MB."""
MOST_HEADER_BYTES = 16 * 2**20
"""Of a weight file. A model of 26 billion with each expert on its own has 6 MB."""
DTYPES = ("F32", "F16", "BF16", "F64", "I64", "I32", "U8", "I8")
"""Of tensors. Others, such as 8-bit floats, need scales that nobody applies here."""


class CheckpointError(CodedError, ValueError):
    """A model cannot be used; the one-line message says what to do."""

    code = ReasonCode.BAD_CHECKPOINT


def list_shards(directory: Path) -> list[Path]:
    """The weight files. If there are both shards and a single file, the class reads the
    latter."""
    index = directory / INDEX
    if not index.is_file() or (directory / WEIGHTS).is_file():
        return [directory / WEIGHTS]
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index} lists no shards; download the checkpoint again")
    return [directory / shard for shard in sorted(set(map(str, weight_map.values())))]


def read_headers(shards: list[Path]) -> dict[Path, dict[str, tuple[int, ...]]]:
    """Names and shapes of the tensors in each shard; detects a truncated file."""
    headers: dict[Path, dict[str, tuple[int, ...]]] = {}
    for path in shards:
        if not path.is_file():
            raise CheckpointError(f"{path} is missing; download the checkpoint again")
        check_header_length(path)
        try:
            # The library refuses gaps, overlaps and shapes that do not fit the file.
            with safe_open(path, framework="pt") as file:
                slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
                headers[path] = {n: tuple(one.get_shape()) for n, one in slices.items()}
                kinds = {n: str(one.get_dtype()) for n, one in slices.items()}
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{path} is cut off or corrupt ({one_line(error)}); download it again"
            ) from error
        odd = next((name for name, kind in kinds.items() if kind not in DTYPES), None)
        if odd is not None:
            raise CheckpointError(
                f"{path}: {shown(odd)} has values of type {kinds[odd]}, which dg-lsp does not "
                "read; use a checkpoint in bfloat16",
                ReasonCode.UNKNOWN_FORMAT,
            )
    return headers


def check_header_length(path: Path) -> int:
    """The length of a weight file's header; refuses one that would fill the memory."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > MOST_HEADER_BYTES:
        raise CheckpointError(
            f"{path} is corrupt: its header has {length} bytes, and at most "
            f"{MOST_HEADER_BYTES} make sense; download it again"
        )
    return length


def verify_sums(directory: Path) -> None:
    """Compare files with the checksums that were shipped with them."""
    for line in (directory / SUMS).read_text(encoding="utf-8").splitlines():
        expected, name = line.split(maxsplit=1)
        try:
            with (directory / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise CheckpointError(f"{directory / name} cannot be read: {error}") from error
        if found != expected:
            raise CheckpointError(
                f"{directory / name} is not the file that was shipped, because its checksum is "
                "another; install dg-lsp again"
            )


def count_parameters(path: Path) -> int:
    """Number of values in a weight file, according to its header."""
    length = check_header_length(path)
    with path.open("rb") as file:
        file.seek(8)
        header = json.loads(file.read(length))
    return sum(math.prod(one["shape"]) for name, one in header.items() if name[0] != "_")


def read_json(path: Path, most_bytes: int = MOST_JSON_BYTES) -> dict[str, Any]:
    try:
        check_size(path, most_bytes)
        raw = json.loads(path.read_text(encoding="utf-8"))
    except CheckpointError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not readable JSON: {one_line(error)}") from error
    if not isinstance(raw, dict):
        raise CheckpointError(f"{path} does not contain a JSON object")
    return raw


def check_size(path: Path, most_bytes: int) -> None:
    """Refuse a file that is too large to be what it should be."""
    size = path.stat().st_size
    if size > most_bytes:
        raise CheckpointError(
            f"{path} has {size} bytes, and at most {most_bytes} make sense; download it again"
        )


def size_in_words(count: float) -> str:
    """Bytes in words."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def count_in_words(count: float) -> str:
    """Parameters in words."""
    return f"{count / 1e9:.2f} billion" if count >= 1e8 else f"{count / 1e6:.2f} million"


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def shown(value: object) -> str:
    """A value in a message: short, and on one line."""
    if isinstance(value, dict | list):
        kind = "an object" if isinstance(value, dict) else "a list"
        return f"{kind} of {len(value)}" if value else f"{kind} that is empty"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]}..."
