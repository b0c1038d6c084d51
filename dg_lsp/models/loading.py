"""From a name or a directory to a model that is ready to infill.

Every way in which a checkpoint can be wrong ends in a `CheckpointError` of one line that
names the file and the way out. Knows nothing of jobs.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dg_lsp.config import (
    CacheSettings,
    EngineSettings,
    LengthSettings,
    PromptSettings,
    PromptStyle,
    SamplerSettings,
    model_directory,
)
from dg_lsp.engine.denoiser import Denoiser
from dg_lsp.engine.family import Family
from dg_lsp.job import ModelInfo
from dg_lsp.models import store
from dg_lsp.models.checkpoint import (
    GENERATION,
    METADATA,
    CheckpointError,
    list_shards,
    read_headers,
    read_json,
)
from dg_lsp.models.device import choose_device
from dg_lsp.models.family import ModelFamily, RunnableModel
from dg_lsp.models.memory import (
    MemoryPlan,
    check_budget,
    default_budget,
    fit_prompt,
    limit_memory,
    plan_memory,
    prompt_tokens,
)
from dg_lsp.models.nf4.manifest import is_packed_checkpoint, read_manifest
from dg_lsp.models.registry import open_checkpoint
from dg_lsp.models.store import BUNDLED, BUNDLED_DIRECTORY
from dg_lsp.models.tokenizer import FileCodec
from dg_lsp.reason import ReasonCode

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory and all that the engine needs to know of it."""

    info: ModelInfo
    kind: ModelFamily
    denoiser: RunnableModel
    codec: FileCodec
    settings: EngineSettings
    memory: MemoryPlan

    def family(
        self, settings: EngineSettings | None = None, denoiser: Denoiser | None = None
    ) -> Family:
        """How the model fills spans, under its own settings and by itself unless given."""
        return self.kind.strategies(
            settings or self.settings, denoiser or self.denoiser, self.codec
        )


def load(
    name_or_path: str | None = None,
    device: str | None = None,
    report: Callable[[float], None] = lambda share: None,
    vram: int | None = None,
) -> LoadedModel:
    """Load a model of the store, a checkpoint directory or "bundled"; `None`: the best here.

    `report` is told the share of the weights that is loaded. `vram` limits in bytes what the
    model may take on its device; without it the model may take what is free.
    """
    chosen = choose_device(device)
    if vram is not None:
        check_budget(chosen, vram)
        limit_memory(chosen, vram)
    budget = default_budget(chosen) if vram is None else vram
    name = name_or_path or _best_name(chosen, budget)
    directory = _find(name)
    checkpoint = open_checkpoint(directory)
    is_packed = is_packed_checkpoint(directory)
    if not is_packed:
        # A file that is cut off is told before memory is planned for it.
        read_headers(list_shards(directory))
    codec = checkpoint.read_codec()
    metadata = read_json(directory / METADATA) if (directory / METADATA).is_file() else {}
    settings = _settings(directory, metadata)
    # float16 products are slow on CPUs; GPUs are at home in bfloat16.
    canvas_tokens = checkpoint.dimensions.canvas_tokens
    dtype = torch.float32 if chosen.type == "cpu" else torch.bfloat16
    memory = plan_memory(
        name,
        checkpoint,
        read_manifest(directory).weight_bytes
        if is_packed
        else checkpoint.tensors.parameters * dtype.itemsize,
        budget,
        prompt_tokens(settings.prompt, canvas_tokens),
        on_gpu=chosen.type == "cuda",
    )
    log.info("%s on %s: %s", name, chosen, memory)
    cache = _cache_settings(chosen, memory)
    denoiser = checkpoint.family.load(
        directory, checkpoint.config, chosen, dtype, cache, report
    )
    prompt = fit_prompt(settings.prompt, memory.context_tokens, canvas_tokens)
    return LoadedModel(
        info=ModelInfo(
            name=name if name == BUNDLED else directory.name,
            device=str(chosen),
            prefix_tokens=prompt.prefix_tokens,
            suffix_tokens=prompt.suffix_tokens,
            follows_instructions=bool(metadata.get("follows_instructions", True)),
        ),
        kind=checkpoint.family,
        denoiser=denoiser,
        codec=codec,
        settings=dataclasses.replace(settings, prompt=prompt),
        memory=memory,
    )


def _cache_settings(device: torch.device, memory: MemoryPlan) -> CacheSettings:
    """As much as was planned; host memory needs no plan, and its default is little."""
    if device.type == "cpu":
        return CacheSettings()
    return CacheSettings(prefix_bytes=memory.cache)


def _best_name(device: torch.device, budget: int) -> str:
    """The best model that is here, and a word on why."""
    model = store.best(device.type == "cuda", budget)
    if model is not None:
        log.info("%s is the best model here for %s", model.name, device)
        return model.name
    log.info(
        "no model in %s suits %s: the small bundled one is used; "
        "dg-lsp pull gets DiffusionGemma, on a machine with a GPU",
        store.models_directory(),
        device,
    )
    return BUNDLED


def _find(name: str) -> Path:
    if name == BUNDLED:
        return BUNDLED_DIRECTORY
    directory = model_directory(name) or store.find(name)
    if directory is None:
        raise CheckpointError(
            f"no model here is called {name!r}; dg-lsp models lists those that are here, and a "
            f"checkpoint directory is given as an absolute path or as ./{name}",
            ReasonCode.NO_MODEL,
        )
    return directory


def _settings(directory: Path, metadata: dict[str, Any]) -> EngineSettings:
    """Engine settings with what the checkpoint says of itself."""
    try:
        return EngineSettings(
            prompt=_prompt_settings(_section(metadata, "prompt")),
            sampler=_sampler_settings(directory / GENERATION),
            length=_length_settings(_section(metadata, "length")),
            **_section(metadata, "engine"),
        )
    except (TypeError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{directory / METADATA} is not valid: {error}") from error


def _section(metadata: dict[str, Any], name: str) -> dict[str, Any]:
    section = metadata.get(name)
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise ValueError(f"{name!r} is {section!r}, not an object")
    return dict(section)


def _prompt_settings(numbers: dict[str, Any]) -> PromptSettings:
    if "style" in numbers:
        numbers["style"] = PromptStyle(numbers["style"])
    return PromptSettings(**numbers)


def _length_settings(numbers: dict[str, Any]) -> LengthSettings:
    if "lengths" in numbers:
        numbers["lengths"] = tuple(numbers["lengths"])
    if "keep_after" in numbers:
        numbers["keep_after"] = tuple((step, lanes) for step, lanes in numbers["keep_after"])
    return LengthSettings(**numbers)


def _sampler_settings(path: Path) -> SamplerSettings:
    raw = read_json(path) if path.is_file() else {}
    known = {field.name for field in dataclasses.fields(SamplerSettings)}
    numbers = {key: raw[key] for key in known & raw.keys() if raw[key] is not None}
    try:
        bound = _section(raw, "sampler_config").get("entropy_bound")
        if bound is not None:
            numbers["entropy_bound"] = bound
        return SamplerSettings(**numbers)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not valid: {error}") from error
