"""The one `JobHandle`: a job whose drafts and end come from elsewhere.

It belongs to the event loop that it was made on. What feeds it may run on any thread: the
engine's own, which denoises, or the loop itself, which reads a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from dg_lsp.job import Draft, Infill, InfillJob, JobResult, JobState
from dg_lsp.reason import Reason, ReasonCode

T = TypeVar("T")
OnDraft = Callable[[Draft], None]
OnResult = Callable[[JobResult], None]

CANCELLED = Reason(ReasonCode.CANCELLED, "the request was cancelled")
SUPERSEDED = Reason(ReasonCode.SUPERSEDED, "a newer request for the same document came in")
_OPEN = (JobState.WAITING, JobState.RUNNING)


def _tell_nobody(handle: FedJob) -> None:
    pass


class FedJob:
    """A new draft replaces one that nobody has read, and only the first end counts."""

    def __init__(self, job: InfillJob, on_end: Callable[[FedJob], None] = _tell_nobody) -> None:
        """`on_end` is called once, on the loop, whatever the end is."""
        self.job = job
        self.submitted = time.perf_counter()
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._state = JobState.WAITING
        self._result: asyncio.Future[JobResult] = self._loop.create_future()
        self._draft: Draft | None = None
        self._news = asyncio.Event()
        self._followers: list[tuple[OnDraft, OnResult]] = []

    @property
    def state(self) -> JobState:
        return self._state

    @property
    def is_open(self) -> bool:
        return self._state in _OPEN

    async def drafts(self) -> AsyncIterator[Draft]:
        while True:
            await self._news.wait()
            draft, self._draft = self._draft, None
            # Once the job has ended, the event stays set, so that later readers do not wait.
            if not self._result.done():
                self._news.clear()
            if draft is not None:
                yield draft
            elif self._result.done():
                return

    async def result(self) -> JobResult:
        return await asyncio.shield(self._result)

    def follow(self, on_draft: OnDraft, on_result: OnResult) -> None:
        if self._draft is not None:
            on_draft(self._draft)
        if self._result.done():
            on_result(self._result.result())
        else:
            self._followers.append((on_draft, on_result))

    def cancel(self, reason: Reason = CANCELLED) -> None:
        self.end(JobResult(JobState.CANCELLED, Infill((), 0, reason=reason)))

    def supersede(self) -> None:
        """A newer job for the same document took its place."""
        self.end(JobResult(JobState.SUPERSEDED, Infill((), 0, reason=SUPERSEDED)))

    def fail(self, reason: Reason) -> None:
        self.end(JobResult(JobState.FAILED, Infill((), 0, reason=reason)))

    def finish(self, infill: Infill) -> None:
        self.end(JobResult(JobState.DONE, infill))

    def start(self) -> bool:
        """It is being worked on from now on; false where it was already, or has ended."""
        with self._lock:
            if self._state is not JobState.WAITING:
                return False
            self._state = JobState.RUNNING
            return True

    def publish(self, draft: Draft) -> None:
        """A new draft; a slow reader gets the newest there is."""
        self.start()
        self._on_loop(self._take_draft, draft)

    def end(self, result: JobResult) -> None:
        """The first end counts; later ones change nothing."""
        with self._lock:
            if not self.is_open:
                return
            # Whoever denoises looks at this after each step; the rest can wait for the loop.
            self._state = result.state
        self._on_loop(self._settle, result)

    def _on_loop(self, callback: Callable[[T], None], argument: T) -> None:
        # The loop may be gone at exit; then nobody waits for the answer.
        if self._loop.is_closed():
            return
        if threading.get_ident() == self._thread:
            callback(argument)
            return
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, argument)

    def _take_draft(self, draft: Draft) -> None:
        if not self._result.done():
            self._draft = draft
            self._news.set()
            for on_draft, _ in self._followers:
                on_draft(draft)

    def _settle(self, result: JobResult) -> None:
        if result.state is not JobState.DONE:
            self._draft = None
        self._result.set_result(result)
        self._news.set()
        followers, self._followers = self._followers, []
        for _, on_result in followers:
            on_result(result)
        self._on_end(self)
