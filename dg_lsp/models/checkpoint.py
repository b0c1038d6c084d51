"""Reads the headers and JSON of a checkpoint directory, and says what is wrong with it.

Every fault raises a `CheckpointError` with a one-line message that names the file and the
remedy. No weights are loaded.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from dg_lsp.reason import CodedError, ReasonCode

METADATA, GENERATION = "dg_lsp.json", "generation_config.json"
README = "README.md"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
BESIDE_WEIGHTS = (
    *("config.json", GENERATION, METADATA),
    *("tokenizer.json", "tokenizer_config.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "chat_template.jinja"),
)
"""The small files of a checkpoint; which of them there are depends on the model."""


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
        try:
            with safe_open(path, framework="pt") as file:
                names = file.keys()
                headers[path] = {n: tuple(file.get_slice(n).get_shape()) for n in names}
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{path} is cut off or corrupt ({one_line(error)}); download it again"
            ) from error
    return headers


def count_parameters(path: Path) -> int:
    """Number of values in a weight file, according to its header."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(math.prod(one["shape"]) for name, one in header.items() if name[0] != "_")


def read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not readable JSON: {one_line(error)}") from error
    if not isinstance(raw, dict):
        raise CheckpointError(f"{path} does not contain a JSON object")
    return raw


def size_in_words(count: float) -> str:
    """Bytes in words."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def count_in_words(count: float) -> str:
    """Parameters in words."""
    return f"{count / 1e9:.2f} billion" if count >= 1e8 else f"{count / 1e6:.2f} million"


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
