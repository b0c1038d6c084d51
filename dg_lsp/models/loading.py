"""Loads a model, by its name or directory, until it is ready to infill.

Every fault of a checkpoint raises a `CheckpointError` with a one-line message that names the
file and the remedy.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import platformdirs
import torch

from dg_lsp.config import CacheSettings, EngineSettings, model_directory
from dg_lsp.engine.denoiser import Denoiser, OutOfMemoryError
from dg_lsp.engine.family import Family
from dg_lsp.job import ModelInfo
from dg_lsp.models import device as devices
from dg_lsp.models import likelihood, store
from dg_lsp.models.checkpoint import (
    METADATA,
    CheckpointError,
    list_shards,
    read_headers,
    read_json,
    size_in_words,
    verify_sums,
)
from dg_lsp.models.family import ModelFamily, RunnableModel
from dg_lsp.models.files import Stamps, changed_file, stamp
from dg_lsp.models.memory import (
    MemoryPlan,
    check_budget,
    default_budget,
    fit_prompt,
    limit_memory,
    packed_in_memory,
    plan_memory,
    prompt_tokens,
    weight_dtype,
)
from dg_lsp.models.nf4.manifest import (
    has_manifest,
    is_packed_checkpoint,
    read_manifest,
    verify,
)
from dg_lsp.models.own_settings import read_settings
from dg_lsp.models.registry import Checkpoint, open_checkpoint
from dg_lsp.models.store import BUNDLED, BUNDLED_DIRECTORY
from dg_lsp.models.tensors import check_depth, find_tensors
from dg_lsp.models.tokenizer import FileCodec
from dg_lsp.models.w4a16.reading import plan_reading
from dg_lsp.reason import Reason, ReasonCode

log = logging.getLogger(__name__)

GIVES_WAY = (
    ReasonCode.KERNEL_FAILED,
    ReasonCode.WRONG_NUMBERS,
    ReasonCode.WRONG_WEIGHTS,
    ReasonCode.OUT_OF_MEMORY,
    ReasonCode.DOES_NOT_FIT,
)
"""Why a model that was chosen, rather than asked for, gives way to the next. Memory may run out
although it was planned: another program takes it meanwhile."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory, with everything that the engine needs to know about it."""

    info: ModelInfo
    kind: ModelFamily
    denoiser: RunnableModel
    codec: FileCodec
    settings: EngineSettings
    memory: MemoryPlan
    config: Any = None
    """The checkpoint's, an instance of the family's own class."""
    reasons: tuple[Reason, ...] = ()
    """Why it is this model on this device; the other notes of `info` are the denoiser's."""
    directory: Path = Path()
    stamps: Stamps = dataclasses.field(default_factory=dict)
    """The state of its files when they were loaded."""

    def info_now(self) -> ModelInfo:
        """The information about the model with what its denoiser says of itself by now."""
        return dataclasses.replace(
            self.info,
            notes=self.reasons + self.denoiser.notes,
            runs_as=self.denoiser.runs_as,
        )

    def changed(self) -> Reason | None:
        """Why it must be loaded again."""
        file = changed_file(self.directory, self.stamps)
        if file is None:
            return None
        said = f"{file} was changed while the model was in use, so the model is loaded again"
        return Reason(ReasonCode.MODEL_CHANGED, said)

    def family(
        self, settings: EngineSettings | None = None, denoiser: Denoiser | None = None
    ) -> Family:
        """How the model fills spans, by default with its own settings."""
        return self.kind.strategies(
            self.config, settings or self.settings, denoiser or self.denoiser, self.codec
        )


def load(
    name_or_path: str | None = None,
    device: str | None = None,
    report: Callable[[float], None] = lambda share: None,
    vram: int | None = None,
) -> LoadedModel:
    """Load a model of the store, a checkpoint directory or "bundled"; `None` means the best.

    `report` is called with the share of the weights loaded so far. `vram` limits the model's
    memory on its device, in bytes; by default it may use all that is free. The notes of the
    model's information say why another model or device than the first choice is used.
    """
    notes: tuple[Reason, ...] = ()
    if device is None:
        chosen, obstacle = devices.default_device(devices.look())
        if obstacle is not None:
            said = Reason(obstacle.code, f"{obstacle}; the CPU is used")
            log.warning("%s", said)
            notes = (said,)
    else:
        chosen = devices.choose_device(device)
    with devices.entered(chosen):
        if vram is not None:
            check_budget(chosen, vram)
            limit_memory(chosen, vram)
        budget = default_budget(chosen) if vram is None else vram
        if name_or_path is not None:
            chosen = _device_for(name_or_path, chosen, is_asked=device is not None)
        is_gpu = chosen.type == "cuda"
        if is_gpu:
            # Where compiled steps are kept; torch's own default is a temporary directory.
            cache = platformdirs.user_cache_path("dg-lsp", appauthor=False) / "compiled"
            os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache))
        if name_or_path is None:
            return _load_best(chosen, device is not None, budget, report, notes)
        planned = _plan(name_or_path, is_gpu, budget, weight_dtype(on_gpu=chosen.type != "cpu"))
        return _load(planned, chosen, report, notes)


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """A model that fits into the budget, before anything of it is loaded."""

    name: str
    directory: Path
    checkpoint: Checkpoint
    metadata: dict[str, Any]
    settings: EngineSettings
    memory: MemoryPlan
    follows_instructions: bool
    notes: tuple[Reason, ...]


def _device_for(name: str, device: torch.device, *, is_asked: bool) -> torch.device:
    """The CPU instead of a Mac's GPU that cannot run this model, unless it was asked for."""
    if device.type != "mps":
        return device
    checkpoint = open_checkpoint(_find(name))
    family = checkpoint.family
    if not family.is_plain:
        obstacle = f"{family.name} models run on a CPU or on an NVIDIA GPU"
    elif is_packed_checkpoint(checkpoint.directory) or checkpoint.weights.groups:
        obstacle = "its weights are in 4 bits, whose products exist only for CPUs and CUDA"
    else:
        return device
    if is_asked:
        raise CheckpointError(
            f"{name} cannot run on {device}: {obstacle}; use --device cpu, or dg-lsp pull on "
            "this Mac for a masked model in 16 bits",
            ReasonCode.NO_DEVICE,
        )
    return torch.device("cpu")


def _load_best(
    device: torch.device,
    is_asked: bool,
    budget: int,
    report: Callable[[float], None],
    notes: tuple[Reason, ...],
) -> LoadedModel:
    """The best installed model that fits and passes the self-test."""
    failed: dict[str, Reason] = {}
    while True:
        planned, more = choose_model(device.type == "cuda", budget, failed)
        try:
            suited = _device_for(planned.name, device, is_asked=is_asked)
            return _load(planned, suited, report, notes + more)
        except CheckpointError as error:
            if error.code not in GIVES_WAY or planned.name == BUNDLED:
                raise
            failed[planned.name] = error.reason
        devices.release(device)


def choose_model(
    is_gpu: bool, budget: int, failed: Mapping[str, Reason] = MappingProxyType({})
) -> tuple[PlannedModel, tuple[Reason, ...]]:
    """The best installed model that fits, and why a better one is not used.

    `failed` has the models, by name, that were tried in vain.
    """
    refused: list[Reason] = []
    for model in store.candidates(is_gpu):
        if model.name in failed:
            refused.append(failed[model.name])
            continue
        try:
            planned = _plan(model.name, is_gpu, budget)
            log.info("%s is the best installed model that fits", planned.name)
            break
        except CheckpointError as error:
            if error.code is not ReasonCode.DOES_NOT_FIT:
                raise
            refused.append(error.reason)
    else:
        planned = _plan(BUNDLED, is_gpu, budget)
        log.info(
            "no model in %s suits this machine, so the bundled model is used, which is only a "
            "demonstration; dg-lsp models --available lists larger ones",
            store.models_directory(),
        )
    notes = tuple(Reason(r.code, f"{planned.name} is used, because {r}") for r in refused)
    for note in notes:
        log.warning("%s", note)
    return planned, notes


def _plan(
    name: str, is_gpu: bool, budget: int, dtype: torch.dtype | None = None
) -> PlannedModel:
    """Read everything but the weights, and divide the memory; raises if it is too little."""
    directory = _find(name)
    checkpoint = open_checkpoint(directory)
    metadata = read_json(directory / METADATA) if (directory / METADATA).is_file() else {}
    settings = read_settings(directory, metadata)
    memory = plan_memory(
        name,
        checkpoint,
        _weight_bytes(checkpoint, dtype or weight_dtype(on_gpu=is_gpu)),
        budget,
        prompt_tokens(settings.prompt, checkpoint.dimensions.canvas_tokens),
        on_gpu=is_gpu,
        may_quantize=bool(checkpoint.weights.groups) or is_packed_checkpoint(directory),
    )
    follows, notes = _instructions(name, checkpoint, metadata)
    return PlannedModel(name, directory, checkpoint, metadata, settings, memory, follows, notes)


def _instructions(
    name: str, checkpoint: Checkpoint, metadata: dict[str, Any]
) -> tuple[bool, tuple[Reason, ...]]:
    """Whether a model follows instructions, and why it does not although it was trained to."""
    found = checkpoint.family.instructions(checkpoint.config)
    said = metadata.get("follows_instructions")
    wanted = found.is_tuned if said is None else bool(said)
    if not wanted or found.obstacle is None:
        return wanted, ()
    if said is not None:
        raise CheckpointError(
            f"{checkpoint.directory / METADATA} says that the model follows instructions, but "
            f"{found.obstacle}; remove follows_instructions from the file"
        )
    told = f"{name} is not given any instructions: {found.obstacle}"
    return False, (Reason(ReasonCode.NO_INSTRUCTIONS, told),)


def _load(
    planned: PlannedModel,
    device: torch.device,
    report: Callable[[float], None],
    notes: tuple[Reason, ...],
) -> LoadedModel:
    name, checkpoint, memory = planned.name, planned.checkpoint, planned.memory
    log.info("%s on %s: %s", name, device, memory)
    if memory.int8_embedding:
        note = Reason(
            ReasonCode.ROUNDED_EMBEDDING,
            f"the embedding of {name} is kept in int8, because a more precise one leaves too "
            f"little of {size_in_words(memory.budget)} for prompts",
        )
        log.warning("%s", note)
        notes += (note,)
    stamps = stamp(planned.directory)
    codec = checkpoint.read_codec()
    settings = planned.settings
    if planned.directory == BUNDLED_DIRECTORY:
        verify_sums(planned.directory)
    if has_manifest(planned.directory):
        verify(planned.directory, read_manifest(planned.directory))
    try:
        denoiser = checkpoint.family.load(
            planned.directory,
            checkpoint.config,
            device,
            weight_dtype(on_gpu=device.type != "cpu"),
            _cache_settings(device, memory, settings.cache),
            report,
            checkpoint.weights,
            int8_embedding=memory.int8_embedding,
        )
        # On a CPU, a large model would take minutes.
        if device.type == "cuda" or _is_small(checkpoint):
            likelihood.check(
                planned.directory,
                denoiser.surprise(codec.encode(likelihood.TEXT)),
                checkpoint.dimensions.vocab_size,
                # Other directories are the user's own.
                may_store=planned.directory.parent == store.models_directory(),
            )
    except (torch.OutOfMemoryError, OutOfMemoryError) as error:
        free, _ = devices.free_and_total(device)
        raise CheckpointError(
            f"{name} fitted into {size_in_words(memory.budget)} when its memory was planned, "
            f"but {device} ran out of memory while it was loaded ({size_in_words(free)} are "
            "free now): another program has taken memory; close it, or give a smaller --vram",
            ReasonCode.DOES_NOT_FIT,
        ) from error
    canvas_tokens = checkpoint.dimensions.canvas_tokens
    prompt = fit_prompt(settings.prompt, memory.context_tokens, canvas_tokens)
    reasons = notes + planned.notes
    return LoadedModel(
        info=ModelInfo(
            name=name if name == BUNDLED else planned.directory.name,
            device=str(device),
            prefix_tokens=prompt.prefix_tokens,
            suffix_tokens=prompt.suffix_tokens,
            follows_instructions=planned.follows_instructions,
            notes=reasons + denoiser.notes,
            runs_as=denoiser.runs_as,
            sees_other_files=prompt.snippet_tokens > 0,
        ),
        kind=checkpoint.family,
        config=checkpoint.config,
        denoiser=denoiser,
        codec=codec,
        settings=dataclasses.replace(settings, prompt=prompt),
        memory=memory,
        reasons=reasons,
        directory=planned.directory,
        stamps=stamps,
    )


def _is_small(checkpoint: Checkpoint) -> bool:
    """Whether a CPU runs the model at a useful speed."""
    return store.is_small(checkpoint.tensors.parameters)


def _weight_bytes(checkpoint: Checkpoint, dtype: torch.dtype) -> int:
    """Bytes of the weights in memory; reports files that do not fit the configuration before
    memory is planned."""
    directory = checkpoint.directory
    is_packed = is_packed_checkpoint(directory)
    headers = {} if is_packed else read_headers(list_shards(directory))
    if checkpoint.weights.groups:
        check_depth(checkpoint, (name for shapes in headers.values() for name in shapes))
        plan = plan_reading(directory, checkpoint.tensors, checkpoint.weights.groups)
        return plan.bytes(dtype)
    if is_packed:
        stored = read_manifest(directory).weight_bytes
        return packed_in_memory(checkpoint.tensors, stored, dtype)
    find_tensors(checkpoint, headers)
    return checkpoint.family.weight_bytes(directory, checkpoint.config, dtype)


def _cache_settings(
    device: torch.device, memory: MemoryPlan, settings: CacheSettings
) -> CacheSettings:
    """The planned cache on a GPU; on a CPU the default, which is small."""
    if device.type == "cpu":
        return settings
    return dataclasses.replace(settings, prefix_bytes=memory.cache)


def _find(name: str) -> Path:
    if name == BUNDLED:
        return BUNDLED_DIRECTORY
    directory = model_directory(name) or store.find(name)
    if directory is None:
        raise CheckpointError(
            f"there is no model {name!r}; dg-lsp models lists the installed ones, and a "
            f"checkpoint directory must be an absolute path or ./{name}",
            ReasonCode.NO_MODEL,
        )
    return directory
