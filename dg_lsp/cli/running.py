"""Finds a running engine that has the requested model.

Never starts one: a command that runs once would leave a process with a model behind.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dg_lsp.cli.compose import model_for_engine
from dg_lsp.document.request import CHARS_PER_TOKEN
from dg_lsp.job import ModelInfo, OpenedModel

if TYPE_CHECKING:
    from dg_lsp.service.address import Address
    from dg_lsp.service.schema import EngineStatus


def open_running(model: str | None, device: str | None) -> OpenedModel | None:
    """This user's engine that has the model or is loading it; `None` if there is none."""
    from dg_lsp.service.client.infiller import HttpInfiller

    found = asyncio.run(_find(model, device))
    if found is None:
        return None
    address, info = found
    return OpenedModel(HttpInfiller(address), info, lambda text: len(text) // CHARS_PER_TOKEN)


async def _find(model: str | None, device: str | None) -> tuple[Address, ModelInfo] | None:
    from dg_lsp import __version__
    from dg_lsp.service.address import (
        engine_name,
        engine_names,
        local_address,
        runtime_directory,
    )
    from dg_lsp.service.client.infiller import HttpInfiller
    from dg_lsp.service.process.lock import is_held

    asked = engine_name(model_for_engine(model), device)
    try:
        directory = runtime_directory()
        # The engine that was started for exactly this model and device comes first.
        for name in sorted(engine_names(directory), key=lambda name: name != asked):
            address = local_address(directory, name)
            if address is None or not is_held(directory / f"{name}.lock"):
                continue
            client = HttpInfiller(address)
            try:
                status = await client.status()
                is_right = name == asked or _has(status, model, device)
                if is_right and status.version == __version__:
                    ready = await client.wait_ready()
                    return None if ready.model is None else (address, ready.model)
            finally:
                await client.close()
    except (ValueError, OSError):
        # Whatever is wrong with that engine, the model can be loaded in this process.
        return None
    return None


def _has(status: EngineStatus, model: str | None, device: str | None) -> bool:
    """Whether an engine started with other options has the model requested by name."""
    info = status.model
    return info is not None and info.name == model and device in (None, info.device)
