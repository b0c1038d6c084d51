"""The interface of a model family: how its checkpoints are read, sized and run.

Each family is a folder beside this file, whose module `family` defines `FAMILY`. The
`model_type` in a checkpoint's `config.json` selects the family (`registry.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from dg_lsp.config import CacheSettings, EngineSettings
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import Denoiser
from dg_lsp.engine.family import Family
from dg_lsp.models.formats import WeightFormat
from dg_lsp.models.tokenizer import FileCodec
from dg_lsp.reason import Reason


class RunnableModel(Denoiser, Protocol):
    """A denoiser that can prepare itself for the first job."""

    notes: tuple[Reason, ...]
    """Why it does not run in the fastest way that its device offers; may change in a call."""
    runs_as: str
    """The way it runs in, for the user; empty if there is no choice. May change in a call."""

    def surprise(self, ids: Sequence[int]) -> float:
        """How unlikely the model finds a text, in nats per token after the first."""
        ...

    def warm_up(self, prompt_tokens: int, on_progress: Callable[[int, int], None]) -> None:
        """Prepare the usual steps after prompts of up to `prompt_tokens`.

        `on_progress` is called with the number of steps ready and the total.
        """
        ...


@dataclass(frozen=True, slots=True)
class Dimensions:
    """What a model's configuration says about it."""

    vocab_size: int
    canvas_tokens: int
    """Longest canvas."""
    context_tokens: int
    """Longest prompt and canvas together."""
    layers: int


@dataclass(frozen=True, slots=True)
class Instructions:
    """Whether a model follows a user's instructions."""

    is_tuned: bool
    """Whether it was trained to, unless `dg_lsp.json` says otherwise."""
    obstacle: str | None = None
    """Why it cannot be given any, whatever it was trained for."""


@dataclass(frozen=True, slots=True)
class TensorLayout:
    """Which tensors make up a model, and under which names they are kept."""

    shapes: dict[str, tuple[int, ...]]
    """Every tensor, once, under its own name."""
    own_name: Callable[[str], str]
    """The name under which a tensor is kept, if checkpoints have several names for it."""
    is_ignored: Callable[[str], bool]
    """Whether a checkpoint's tensor does not belong to the text model."""
    is_packed: Callable[[str, tuple[int, ...]], bool]
    """Whether a tensor, by own name and shape, is kept in 4 bits."""
    is_bulk: Callable[[str], bool]
    """Whether a tensor is one of the large ones that packing is meant for."""
    embedding: str | None = None
    """Own name of the embedding, if the family can keep it in int8."""

    @property
    def parameters(self) -> int:
        return sum(torch.Size(shape).numel() for shape in self.shapes.values())


class ModelFamily(Protocol):
    """One model family. `Any` stands for its configuration class."""

    name: str
    """The name in messages to the user."""
    is_plain: bool
    """Whether torch alone runs its models from 16-bit weights at full speed, so that 4 bits
    help only where memory is short."""

    def instructions(self, config: Any) -> Instructions: ...

    def parse_config(self, directory: Path) -> Any:
        """The configuration of a checkpoint; raises whatever the class raises for a bad one."""
        ...

    def dimensions(self, config: Any) -> Dimensions: ...

    def read_codec(self, directory: Path, config: Any) -> FileCodec:
        """The tokenizer of a checkpoint; raises `TokenizerError`."""
        ...

    def tensors(self, config: Any) -> TensorLayout: ...

    def weight_bytes(self, directory: Path, config: Any, dtype: torch.dtype) -> int:
        """Bytes in memory of the weights of a checkpoint in 16 or 32 bits."""
        ...

    def cache_bytes(self, config: Any, tokens: int) -> int:
        """Bytes of cache for one document with the given number of tokens."""
        ...

    def working_bytes(self, config: Any) -> int:
        """Bytes that one step needs besides weights and caches."""
        ...

    def load(
        self,
        directory: Path,
        config: Any,
        device: torch.device,
        dtype: torch.dtype,
        cache: CacheSettings,
        report: Callable[[float], None],
        weights: WeightFormat,
        *,
        int8_embedding: bool,
    ) -> RunnableModel:
        """The model of a checkpoint, packed or not; raises `CheckpointError`.

        With `int8_embedding`, which only a checkpoint in 4 bits allows, the embedding is
        quantized while it is loaded. `report` is called with the share of the weights loaded
        so far.
        """
        ...

    def strategies(
        self, config: Any, settings: EngineSettings, denoiser: Any, codec: Codec
    ) -> Family:
        """How the model fills spans."""
        ...
