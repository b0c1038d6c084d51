"""A kind of model: how its checkpoints are read, what they weigh, and how they are run.

Each family is one folder beside this file with a module `family` that holds its `FAMILY`; which
one reads a checkpoint is decided by the `model_type` of its `config.json` (`registry.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from dg_lsp.config import CacheSettings, EngineSettings
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import Denoiser
from dg_lsp.engine.family import Family


class RunnableModel(Denoiser, Protocol):
    """A denoiser that can prepare itself for the first job."""

    def warm_up(self, prompt_tokens: int, on_progress: Callable[[int, int], None]) -> None:
        """Prepare the usual steps after prompts of up to `prompt_tokens`.

        `on_progress` is told how many of how many are ready.
        """
        ...


@dataclass(frozen=True, slots=True)
class Dimensions:
    """What is known of a model from its configuration alone."""

    vocab_size: int
    canvas_tokens: int
    """Longest canvas."""
    context_tokens: int
    """Longest prompt and canvas together."""


@dataclass(frozen=True, slots=True)
class TensorLayout:
    """Which tensors make up a model, and under which names they are kept."""

    shapes: dict[str, tuple[int, ...]]
    """Every tensor once, by its own name."""
    own_name: Callable[[str], str]
    """The name under which a tensor is kept, where a checkpoint has several for it."""
    is_ignored: Callable[[str], bool]
    """Whether a tensor of a checkpoint is no part of the text model."""
    is_packed: Callable[[str, tuple[int, ...]], bool]
    """Whether a tensor, by own name and shape, is kept in 4 bits."""
    is_bulk: Callable[[str], bool]
    """Whether a tensor is one of those for whose sake a model is packed at all."""

    @property
    def parameters(self) -> int:
        return sum(torch.Size(shape).numel() for shape in self.shapes.values())


class ModelFamily(Protocol):
    """One kind of model. `Any` is its own configuration class."""

    name: str
    """As messages to the user have it."""

    def parse_config(self, directory: Path) -> Any:
        """The configuration of a checkpoint; raises whatever the class raises for a bad one."""
        ...

    def dimensions(self, config: Any) -> Dimensions: ...

    def tensors(self, config: Any) -> TensorLayout: ...

    def cache_bytes(self, config: Any, tokens: int) -> int:
        """What is kept of one document of so many tokens, in bytes."""
        ...

    def working_bytes(self, config: Any) -> int:
        """What one step takes besides weights and caches, in bytes."""
        ...

    def load(
        self,
        directory: Path,
        config: Any,
        device: torch.device,
        dtype: torch.dtype,
        cache: CacheSettings,
        report: Callable[[float], None],
    ) -> RunnableModel:
        """The model of a checkpoint, packed or not; raises `CheckpointError`.

        `report` is told the share of the weights that is loaded.
        """
        ...

    def strategies(self, settings: EngineSettings, denoiser: Any, codec: Codec) -> Family:
        """How the model fills spans."""
        ...
