"""Lets an engine process fill its jobs from a server of another project.

The engine's tokens, limits and endpoints stay in front, and clients need not know the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dg_lsp.document.request import CHARS_PER_TOKEN
from dg_lsp.job import ModelInfo, OpenedModel
from dg_lsp.service.backend.infiller import BackendInfiller


class BackendLoader:
    """A `ModelLoader` that loads nothing."""

    def __init__(self, connect: Callable[[], BackendInfiller]) -> None:
        self._connect = connect

    def open(self) -> OpenedModel:
        """Ask the server what it has. Raises `EngineError` if it does not answer."""
        info = asyncio.run(self._look())
        return OpenedModel(self._connect(), info, lambda text: len(text) // CHARS_PER_TOKEN)

    async def _look(self) -> ModelInfo:
        # A connection belongs to one event loop, and this one is over in a moment.
        infiller = self._connect()
        try:
            return (await infiller.status()).model
        finally:
            await infiller.close()

    def loading_percent(self) -> int | None:
        return None

    def release(self) -> None:
        pass

    def device_memory_bytes(self) -> int:
        return 0
