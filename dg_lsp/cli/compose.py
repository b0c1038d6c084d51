"""Builds the infiller for a command: which model, on which device, with what budgets.

This is the only module where commands and the engine meet. Importing it loads no tensor
library; `open_infiller` imports everything heavy.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dg_lsp.config import model_directory
from dg_lsp.job import OpenedModel

if TYPE_CHECKING:
    from dg_lsp.models.loading import LoadedModel

LOADING_SHARE = 0.9
"""Share of loading in the progress; the rest prepares steps, which only a GPU needs."""


def model_for_engine(model: str | None) -> str | None:
    """The model as an engine process, which has another working directory, can find it."""
    directory = None if model is None else model_directory(model)
    return model if directory is None else str(directory)


def open_infiller(
    model: str | None,
    device: str | None,
    report: Callable[[float], None] = lambda share: None,
    vram: str | None = None,
    lost_as: Sequence[str] = (),
    max_jobs: int | None = None,
) -> OpenedModel:
    """Load a model and start its infiller; `None` means the default model or device.

    `report` is called with the share done, from time to time. `vram` is an amount of memory as
    the user writes it; engines that editors start get it from the environment. `lost_as` are
    the ways of running the model in which the GPU was lost; they are avoided. `max_jobs` is how
    many jobs may be under way at a time, by default what suits the device.
    """
    from dg_lsp.engine.engine import Engine
    from dg_lsp.models import ladder
    from dg_lsp.models.device import works

    ladder.avoid(lost_as)
    loaded = load_model(model, device, lambda share: report(LOADING_SHARE * share), vram)
    loaded.denoiser.warm_up(
        loaded.memory.context_tokens,
        lambda done, total: report(LOADING_SHARE + (1 - LOADING_SHARE) * done / total),
    )
    settings = loaded.settings
    if max_jobs is not None:
        sharing = dataclasses.replace(settings.sharing, jobs=max_jobs)
        settings = dataclasses.replace(settings, sharing=sharing)
    engine = Engine(
        loaded.denoiser,
        loaded.codec,
        loaded.family(),
        settings,
        loaded.info.name,
        device_works=functools.partial(works, loaded.denoiser.device),
    )
    return OpenedModel(
        infiller=engine,
        info=loaded.info_now(),
        measure=lambda text: len(loaded.codec.encode(text)),
        look=loaded.info_now,
        changed=loaded.changed,
        counts=engine.counts,
    )


def load_model(
    model: str | None,
    device: str | None,
    report: Callable[[float], None] = lambda share: None,
    vram: str | None = None,
) -> LoadedModel:
    """Load a model, as `open_infiller` does, for commands that fill spans in this thread."""
    from dg_lsp.models.loading import load
    from dg_lsp.models.memory import parse_bytes

    vram = vram or os.environ.get("DG_LSP_VRAM") or None
    return load(model, device, report, None if vram is None else parse_bytes(vram))
