"""An event loop whose time stands still until it is told to pass.

The server under test runs on it, so that pauses, deadlines and the speed of the engine are what
the benchmark says, whatever the machine does meanwhile. Work on other threads takes no time of
this clock: `advance` waits for it first.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import Context
from typing import TypeVar, TypeVarTuple

Ts = TypeVarTuple("Ts")
T = TypeVar("T")

REST_S = 0.001
"""How often it is checked whether other threads have finished."""


class ClockedLoop(asyncio.SelectorEventLoop):
    """Runs callbacks as any loop does, but only `advance` moves its time."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._num_timers = 0
        self._num_busy = 0

    def time(self) -> float:
        return self._now_s

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = super().call_at(when, callback, *args, context=context)
        self._num_timers += 1
        heapq.heappush(self._timers, (when, self._num_timers, handle))
        return handle

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self._num_busy += 1
        future.add_done_callback(self._ended)
        return future

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Time does not pass while this is held."""
        self._num_busy += 1
        try:
            yield
        finally:
            self._num_busy -= 1

    async def advance(self, until_s: float) -> float:
        """Let time pass up to the next timer, at most until then; returns what it is now."""
        await self._settle()
        while self._timers and (self._timers[0][2].cancelled() or self._is_past()):
            heapq.heappop(self._timers)
        if self._now_s < until_s:
            due = self._timers[0][0] if self._timers else until_s
            self._now_s = max(self._now_s, min(due, until_s))
            await self._settle()
        return self._now_s

    def _is_past(self) -> bool:
        return self._timers[0][0] <= self._now_s

    async def _settle(self) -> None:
        """Run everything that can run now, and wait for other threads."""
        idle_rounds = 0
        while idle_rounds < 2:
            if self._num_busy:
                await self._real_moment()
            await asyncio.sleep(0)
            # What is ready after this coroutine had its turn belongs to others.
            is_idle = not self._num_busy and not self._ready  # type: ignore[attr-defined]
            idle_rounds = idle_rounds + 1 if is_idle else 0

    async def _real_moment(self) -> None:
        """A moment of real time, for other threads."""
        await super().run_in_executor(None, time.sleep, REST_S)

    def _ended(self, _: object) -> None:
        self._num_busy -= 1
