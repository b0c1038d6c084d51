"""Work that is done once for all who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Shared:
    """Work for whoever waits for it; the first one starts it.

    It continues if that one is superseded, as happens while the user types.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._task: asyncio.Task[None] | None = None

    async def wait(self) -> None:
        """Wait until the work is done; raises what it raises."""
        if self._task is None:
            self._task = asyncio.create_task(self._work())
            self._task.add_done_callback(self._is_done)
        await asyncio.shield(self._task)

    async def cancel(self) -> None:
        """Cancel the work, if it is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _is_done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled():
            # Whoever waits sees it; if nobody does any more, asyncio would log it.
            task.exception()
