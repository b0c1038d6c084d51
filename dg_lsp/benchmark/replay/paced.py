"""The model of the server under test: what it writes is real, how long it takes is given.

A job runs to its end when it is submitted, and its drafts and its end come at a fixed rate of
the benchmark's clock. The same job gives the same text, so it runs once, however many variants
of the server ask for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from dg_lsp.benchmark.replay.clock import ClockedLoop
from dg_lsp.fed_job import FedJob
from dg_lsp.job import Draft, Infill, InfillJob

Fill = Callable[[InfillJob, Callable[[Draft], None]], Infill]
"""Fills a span on the calling thread."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a job takes on the benchmark's clock."""

    start_ms: float
    """Reading the prompt."""
    step_ms: float
    """Each step, and the ranking at the end."""


@dataclass(slots=True)
class Played:
    """What one job wrote, and how long that really took."""

    drafts: list[Draft] = field(default_factory=list)
    drafted_ms: list[float] = field(default_factory=list)
    infill: Infill = field(default_factory=lambda: Infill((), 0))
    took_ms: float = 0.0


@dataclass(slots=True)
class JobRecord:
    """What became of one job."""

    steps: int
    """That it takes to its end."""
    is_speculative: bool
    steps_done: int
    is_done: bool
    first_ms: float | None
    """Real time to the first text that could be shown."""
    took_ms: float
    """Real time to the end."""


class PacedInfiller:
    """An `Infiller` for the benchmark's clock."""

    def __init__(self, fill: Fill, pace: Pace, loop: ClockedLoop) -> None:
        self._fill, self.pace, self._loop = fill, pace, loop
        self._played: dict[InfillJob, Played] = {}
        self._engine = asyncio.Lock()
        self._tasks: dict[FedJob, asyncio.Task[None]] = {}
        self._began: dict[FedJob, float] = {}
        """When the work on each open job began, by the benchmark's clock."""
        self.records: list[JobRecord] = []

    def submit(self, job: InfillJob) -> FedJob:
        """Supersedes older jobs as the engine's scheduler does."""
        handle = FedJob(job, self._ended)
        began_s = self._loop.time()
        for older in [*self._began]:
            if job.is_speculative and not older.job.is_speculative:
                handle.supersede()
                return handle
            is_ahead = older.job.is_speculative and not job.is_speculative
            if is_ahead and replace(older.job, is_speculative=False) == job:
                # Its work goes on.
                began_s = self._began[older]
            if is_ahead or older.job.document_key == job.document_key:
                older.supersede()
        self._began[handle] = began_s
        self._tasks[handle] = asyncio.create_task(self._play(handle, began_s))
        return handle

    async def close(self) -> None:
        for handle in [*self._tasks]:
            handle.cancel()

    def _ended(self, handle: FedJob) -> None:
        self._began.pop(handle, None)
        task = self._tasks.pop(handle, None)
        if task is None:
            # It never ran.
            return
        if task is not asyncio.current_task():
            task.cancel()

    async def _play(self, handle: FedJob, began: float) -> None:
        loop, pace = self._loop, self.pace
        handle.start()
        taken_over_ms = (loop.time() - began) * 1e3 - pace.start_ms
        done_before = max(0, int(taken_over_ms / pace.step_ms))
        played = await self._write(handle.job)
        first = [
            ms
            for ms, draft in zip(played.drafted_ms, played.drafts, strict=True)
            if draft.candidate is not None
        ]
        steps = played.infill.steps
        record = JobRecord(
            steps,
            handle.job.is_speculative,
            0,
            False,
            first[0] if first else None,
            played.took_ms,
        )
        self.records.append(record)
        for number, draft in enumerate(played.drafts, start=1):
            await _until(loop, began + (pace.start_ms + pace.step_ms * number) / 1e3)
            record.steps_done = max(0, min(steps, number) - done_before)
            handle.publish(draft)
        total_ms = pace.start_ms + pace.step_ms * (steps + 1)
        await _until(loop, began + total_ms / 1e3)
        record.steps_done, record.is_done = max(0, steps - done_before), True
        timings_ms = {"encode": pace.start_ms, "denoise": pace.step_ms * steps}
        timings_ms |= {"rank": pace.step_ms, "total": total_ms}
        handle.finish(replace(played.infill, timings_ms=timings_ms))

    async def _write(self, job: InfillJob) -> Played:
        key = replace(job, document="", is_speculative=False)
        # A job that nobody wants any more is still written, for the next variant.
        return await asyncio.shield(asyncio.create_task(self._written(key)))

    async def _written(self, job: InfillJob) -> Played:
        with self._loop.busy():
            async with self._engine:
                if job not in self._played:
                    self._played[job] = await asyncio.to_thread(self._run, job)
                return self._played[job]

    def _run(self, job: InfillJob) -> Played:
        played, began = Played(), time.perf_counter()

        def keep(draft: Draft) -> None:
            played.drafts.append(draft)
            played.drafted_ms.append((time.perf_counter() - began) * 1e3)

        played.infill = self._fill(job, keep)
        played.took_ms = (time.perf_counter() - began) * 1e3
        return played


async def _until(loop: ClockedLoop, when_s: float) -> None:
    if when_s > loop.time():
        await asyncio.sleep(when_s - loop.time())
