"""A `JobHandle` that somebody else feeds: the host from the engine, the client from a socket.

Lives on one event loop, without locks. Knows neither engines nor sockets.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from dg_lsp.job import Draft, Infill, InfillJob, JobState

_ENDLESS = (JobState.WAITING, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class Sender:
    """A tool that sends jobs to the engine by itself; front ends keep account of their own."""

    path: str
    """Of the endpoint."""
    name: str


class FedJob:
    """Behaves as the engine's own handle does: the newest draft wins, the first end stands."""

    def __init__(self, job: InfillJob, on_end: Callable[[FedJob], None]) -> None:
        """`on_end` is called once, whatever the end is."""
        self.job = job
        self.submitted = time.monotonic()
        self.sender: Sender | None = None
        self._on_end = on_end
        self._state = JobState.WAITING
        self._result: asyncio.Future[Infill] = asyncio.get_running_loop().create_future()
        self._draft: Draft | None = None
        self._news = asyncio.Event()

    @property
    def state(self) -> JobState:
        return self._state

    @property
    def is_open(self) -> bool:
        return self._state in _ENDLESS

    async def drafts(self) -> AsyncIterator[Draft]:
        while True:
            await self._news.wait()
            draft, self._draft = self._draft, None
            if self.is_open:
                self._news.clear()
            if draft is not None:
                yield draft
            elif not self.is_open:
                return

    async def result(self) -> Infill:
        return await asyncio.shield(self._result)

    def cancel(self) -> None:
        self.end(JobState.CANCELLED, Infill((), 0, reason="cancelled"))

    def supersede(self) -> None:
        """A newer job for the same document took its place."""
        self.end(JobState.SUPERSEDED, Infill((), 0, reason="superseded by a newer request"))

    def fail(self, reason: str) -> None:
        self.end(JobState.FAILED, Infill((), 0, reason=reason))

    def start(self) -> None:
        """It is being worked on."""
        if self._state is JobState.WAITING:
            self._state = JobState.RUNNING

    def publish(self, draft: Draft) -> None:
        """A new draft; a slow reader gets the newest there is."""
        if self.is_open:
            self.start()
            self._draft = draft
            self._news.set()

    def end(self, state: JobState, infill: Infill) -> None:
        """The first end counts; later ones change nothing."""
        if not self.is_open:
            return
        self._state = state
        if state is not JobState.DONE:
            self._draft = None
        self._result.set_result(infill)
        self._news.set()
        self._on_end(self)
