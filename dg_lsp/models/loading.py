"""From a name or a directory to a model that is ready to infill.

Every way in which a checkpoint can be wrong ends in a `CheckpointError` of one line that
names the file and the way out. Knows nothing of jobs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import DiffusionGemmaConfig
from transformers.utils import logging as transformers_logging

from dg_lsp.config import (
    CacheSettings,
    EngineSettings,
    LengthSettings,
    PromptSettings,
    PromptStyle,
    SamplerSettings,
    model_directory,
)
from dg_lsp.engine.denoiser import CausalDenoiser
from dg_lsp.engine.family import Family
from dg_lsp.engine.gemma import gemma_family
from dg_lsp.models import store
from dg_lsp.models.checkpoint import (
    GENERATION,
    METADATA,
    CheckpointError,
    list_shards,
    one_line,
    read_config,
    read_fitting_codec,
    read_headers,
    read_json,
)
from dg_lsp.models.denoiser import GemmaDenoiser
from dg_lsp.models.device import choose_device
from dg_lsp.models.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.experts import ALL_EXPERTS
from dg_lsp.models.memory import (
    MemoryPlan,
    check_budget,
    default_budget,
    fit_prompt,
    limit_memory,
    plan_memory,
    prompt_tokens,
)
from dg_lsp.models.packed import is_packed_checkpoint, load_packed, read_manifest
from dg_lsp.models.quantization import parameters_of
from dg_lsp.models.store import BUNDLED, BUNDLED_DIRECTORY
from dg_lsp.models.tokenizer import FileCodec

log = logging.getLogger(__name__)

MOST_EXPERTS_AT_ONCE = 8
"""Up to so many experts a CPU is faster with all of them than with a grouped product."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory and all that the engine needs to know of it."""

    name: str
    device: str
    denoiser: GemmaDenoiser
    codec: FileCodec
    settings: EngineSettings
    follows_instructions: bool
    memory: MemoryPlan

    def family(
        self, settings: EngineSettings | None = None, denoiser: CausalDenoiser | None = None
    ) -> Family:
        """How the model fills spans, under its own settings and by itself unless given."""
        return gemma_family(settings or self.settings, denoiser or self.denoiser, self.codec)


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
    config = read_config(directory)
    is_packed = is_packed_checkpoint(directory)
    if not is_packed:
        read_headers(list_shards(directory))
    codec = read_fitting_codec(directory, config)
    metadata = read_json(directory / METADATA) if (directory / METADATA).is_file() else {}
    settings = _settings(directory, metadata)
    # float16 products are slow on CPUs; GPUs are at home in bfloat16.
    dtype = torch.float32 if chosen.type == "cpu" else torch.bfloat16
    memory = plan_memory(
        name,
        config,
        read_manifest(directory).weight_bytes
        if is_packed
        else parameters_of(config) * dtype.itemsize,
        budget,
        prompt_tokens(settings.prompt, config.canvas_length),
        on_gpu=chosen.type == "cuda",
    )
    log.info("%s on %s: %s", name, chosen, memory)
    if is_packed:
        model = load_packed(directory, config, chosen, dtype, report)
    else:
        model = _load_weights(directory, config, chosen, dtype, report)
    prompt = fit_prompt(settings.prompt, memory.context_tokens, config.canvas_length)
    return LoadedModel(
        name=name if name == BUNDLED else directory.name,
        device=str(chosen),
        denoiser=GemmaDenoiser(model, _cache_settings(chosen, memory)),
        codec=codec,
        settings=dataclasses.replace(settings, prompt=prompt),
        follows_instructions=bool(metadata.get("follows_instructions", True)),
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
            f"checkpoint directory is given as an absolute path or as ./{name}"
        )
    return directory


def _load_weights(
    directory: Path,
    config: DiffusionGemmaConfig,
    device: torch.device,
    dtype: torch.dtype,
    report: Callable[[float], None],
) -> TextDiffusionGemma:
    with _quiet(report):
        try:
            model, found = TextDiffusionGemma.from_pretrained(
                directory,
                config=config,
                dtype=dtype,
                device_map={"": device},
                output_loading_info=True,
                # Told below in one line, with the other ways in which tensors can be wrong.
                ignore_mismatched_sizes=True,
            )
        except Exception as error:  # Whatever the loader meets in a foreign file.
            raise CheckpointError(
                f"{directory} could not be loaded: {one_line(error)}"
            ) from error
    problems = {
        kind: sorted(
            key if isinstance(key, str) else str(key[0])
            for key in found.get(f"{kind}_keys", ())
        )
        for kind in ("missing", "mismatched", "unexpected")
    }
    for kind, keys in problems.items():
        if keys:
            raise CheckpointError(
                f"{directory} has {len(keys)} {kind} tensors, the first is {keys[0]}; "
                "it is not a whole DiffusionGemma checkpoint"
            )
    text = config.text_config
    if device.type == "cpu" and text.num_experts <= MOST_EXPERTS_AT_ONCE:
        model.set_experts_implementation(ALL_EXPERTS)
    loaded: TextDiffusionGemma = model
    return loaded


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


@contextlib.contextmanager
def _quiet(report: Callable[[float], None]) -> Iterator[None]:
    """Keep bars and reports of the loader off the terminal; what matters is raised or told."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    hook = transformers_logging.set_tqdm_hook(
        lambda factory, args, kwargs: _Reporting(report, *args, **kwargs)
    )
    try:
        yield
    finally:
        transformers_logging.set_tqdm_hook(hook)
        transformers_logging.set_verbosity(verbosity)


class _Reporting(transformers_logging.EmptyTqdm):  # type: ignore[misc]
    """A bar of the loader that is not drawn: what it counts is reported."""

    def __init__(self, report: Callable[[float], None], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._report = report

    def __iter__(self) -> Iterator[Any]:
        items = list(super().__iter__())
        for done, item in enumerate(items):
            self._report(done / len(items))
            yield item
        self._report(1.0)
