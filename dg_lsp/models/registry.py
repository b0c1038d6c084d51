"""Selects the family that reads a checkpoint directory."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dg_lsp.models.checkpoint import CheckpointError, one_line, read_json, shown
from dg_lsp.models.config_fields import ANOTHER
from dg_lsp.models.family import Dimensions, ModelFamily, TensorLayout
from dg_lsp.models.formats import BFLOAT16, WeightFormat, unread_files, weight_format
from dg_lsp.models.tokenizer import FileCodec
from dg_lsp.models.tokenizer_file import TokenizerError
from dg_lsp.reason import ReasonCode

GEMMA, QWEN2 = "dg_lsp.models.gemma.family", "dg_lsp.models.qwen2.family"
FAMILIES = {"diffusion_gemma": GEMMA, "Dream": QWEN2, "dream": QWEN2, "qwen2": QWEN2}
"""The module of each family by the `model_type` of its checkpoints."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint directory, its family and its configuration."""

    directory: Path
    family: ModelFamily
    config: Any
    """An instance of the family's own class."""
    weights: WeightFormat = BFLOAT16
    """As `config.json` declares it; what `dg-lsp pull` packed to NF4 was in 16 bits."""

    @cached_property
    def dimensions(self) -> Dimensions:
        return self.family.dimensions(self.config)

    @cached_property
    def tensors(self) -> TensorLayout:
        try:
            return self.family.tensors(self.config)
        except CheckpointError:
            raise
        except Exception as error:  # torch and transformers raise whatever their checks raise.
            raise CheckpointError(
                f"{self.directory / 'config.json'} describes no network that can be built: "
                f"{one_line(error)}; {ANOTHER}"
            ) from error

    def read_codec(self) -> FileCodec:
        """The tokenizer; raises `CheckpointError` if it does not fit the model."""
        vocabulary = self.dimensions.vocab_size
        try:
            codec = self.family.read_codec(self.directory, self.config)
        except TokenizerError as error:
            raise CheckpointError(
                f"{error}; copy the one that belongs to the checkpoint"
            ) from error
        if codec.vocab_size > vocabulary:
            raise CheckpointError(
                f"{self.directory}: the tokenizer has {codec.vocab_size} tokens, the model "
                f"only {vocabulary}; they do not belong together"
            )
        return codec


def open_checkpoint(directory: Path) -> Checkpoint:
    """The checkpoint in a directory; raises `CheckpointError` if no family reads it."""
    if not directory.exists():
        raise CheckpointError(
            f"model {str(directory)!r} does not exist; "
            "give a checkpoint directory or 'bundled'; dg-lsp models lists what is installed",
            ReasonCode.NO_MODEL,
        )
    path = directory / "config.json"
    if not path.is_file():
        sizes = {each.name: each.stat().st_size for each in directory.glob("*.gguf")}
        if sizes:
            raise unread_files(sizes, str(directory))
        raise CheckpointError(
            f"{directory} is not a checkpoint directory: it has no config.json",
            ReasonCode.NO_MODEL,
        )
    raw = read_json(path)
    found = raw.get("model_type")
    module = FAMILIES.get(found) if isinstance(found, str) else None
    if module is None:
        known = " or ".join(map(repr, FAMILIES))
        raise CheckpointError(
            f"{directory} holds a {shown(found)} model; only {known} checkpoints can infill",
            ReasonCode.UNKNOWN_FAMILY,
        )
    weights = weight_format(raw, str(directory), {p.name: 0 for p in directory.glob("*.json")})
    family: ModelFamily = importlib.import_module(module).FAMILY
    try:
        config = family.parse_config(directory)
    except CheckpointError:
        raise
    except Exception as error:  # The config classes raise whatever their validation raises.
        raise CheckpointError(f"{path} is not valid: {one_line(error)}") from error
    return Checkpoint(directory, family, config, weights)
