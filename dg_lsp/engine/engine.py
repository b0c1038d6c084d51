"""The engine: one thread that owns the model and runs one job after the other.

Its interface is asynchronous; the thread itself blocks. If a job raises an exception, only
that job ends. A job that runs out of memory is tried once more with all caches freed. If the
device works no more after an exception, the job fails with the code `GPU_LOST`, on which the
engine process exits.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from dg_lsp.config import EngineSettings
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import OutOfMemoryError
from dg_lsp.engine.family import Family
from dg_lsp.engine.infilling import Filling, JobStoppedError
from dg_lsp.engine.scheduler import Scheduler
from dg_lsp.fed_job import FedJob
from dg_lsp.job import Infill, InfillJob, JobResult, JobState
from dg_lsp.reason import Reason, ReasonCode

if TYPE_CHECKING:
    from dg_lsp.engine.denoiser import Denoiser

log = logging.getLogger(__name__)

GPU_LOST = Reason(
    ReasonCode.GPU_LOST,
    "the GPU refuses everything after an error, so the engine ends; the next request starts it "
    "again, in a slower way if there is one",
)


class Engine:
    """An `Infiller` in this process."""

    def __init__(
        self,
        denoiser: Denoiser,
        codec: Codec,
        family: Family,
        settings: EngineSettings,
        model: str,
        device_works: Callable[[], bool] = lambda: True,
    ) -> None:
        """`device_works` is asked, on the engine's thread, after a job raised an exception."""
        self._denoiser, self._codec, self._family = denoiser, codec, family
        self._settings, self._model = settings, model
        self._device_works = device_works
        self._scheduler: Scheduler[EngineJob] = Scheduler()
        self._thread = threading.Thread(target=self._work, name="dg-lsp engine", daemon=True)
        self._thread.start()

    def submit(self, job: InfillJob) -> EngineJob:
        """Queue a job, from within an event loop. Raises `RuntimeError` once closed."""
        ticket = EngineJob(job)
        self._scheduler.put(ticket)
        return ticket

    async def close(self) -> None:
        """Stop the thread within one denoising step, and cancel all open jobs."""
        for ticket in self._scheduler.close():
            ticket.cancel()
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while (ticket := self._scheduler.take()) is not None:
            result = self._fill(ticket)
            # From here on, no other job takes its work over.
            self._scheduler.finish()
            if result is not None:
                ticket.owner.end(result)

    def _fill(self, ticket: EngineJob) -> JobResult | None:
        """The job's result; `None` if nobody wants it any more."""
        queued_ms = (time.perf_counter() - ticket.submitted) * 1e3
        if not ticket.start():
            return None
        try:
            infill = self._infill(ticket) or self._infill_without_caches(ticket)
        except JobStoppedError:
            return None
        except Exception as error:
            log.exception("job for %s failed", ticket.document_key or "a text")
            if self._device_works():
                failure = Reason(ReasonCode.JOB_FAILED, f"the engine failed: {error}")
            else:
                failure = GPU_LOST
            return JobResult(JobState.FAILED, Infill((), 0, reason=failure))
        if infill is None:
            # The next job finds an engine that holds nothing but the model.
            self._denoiser.shrink()
            no_memory = Reason(ReasonCode.OUT_OF_MEMORY, "the engine ran out of memory")
            return JobResult(JobState.FAILED, Infill((), 0, reason=no_memory))
        timings = {"queue": queued_ms, **infill.timings_ms}
        infill = dataclasses.replace(infill, timings_ms=timings, model=self._model)
        return JobResult(JobState.DONE, infill)

    def _infill_without_caches(self, ticket: EngineJob) -> Infill | None:
        freed = self._denoiser.shrink()
        log.warning("freed %.0f MB of caches", freed / 1e6)
        return self._infill(ticket) if freed else None

    def _infill(self, ticket: EngineJob) -> Infill | None:
        """Run a job; `None` if memory ran out, after everything the job held is freed."""
        try:
            return Filling(
                ticket.job,
                self._denoiser,
                self._codec,
                self._family,
                self._settings,
                cancelled=lambda: not ticket.is_wanted,
                on_draft=lambda draft: ticket.owner.publish(draft),
            ).run()
        except OutOfMemoryError as error:
            # Keep only the message: the frames of the traceback hold the tensors.
            log.warning("job for %s: %s", ticket.document_key or "a text", str(error))
            return None


class EngineJob(FedJob):
    """A job as the scheduler sees it."""

    _heir: EngineJob | None = None
    """The job that has taken its work over."""

    @property
    def document_key(self) -> str:
        return self.job.document_key

    @property
    def is_urgent(self) -> bool:
        """Whether the user is waiting while typing; a rewrite may take its time."""
        return self.job.replaced is None

    @property
    def is_speculative(self) -> bool:
        return self.job.is_speculative

    @property
    def owner(self) -> EngineJob:
        """Whose drafts and end the work on this job makes."""
        return self._heir or self

    @property
    def is_wanted(self) -> bool:
        # It is superseded after it has got an heir, so the order matters.
        return self.state is JobState.RUNNING or self.owner.state is JobState.RUNNING

    def hand_over(self, to: EngineJob) -> bool:
        if not self.is_speculative or self.state is not JobState.RUNNING:
            return False
        if dataclasses.replace(self.job, is_speculative=False) != to.job:
            return False
        to.start()
        self._heir = to
        self.supersede()
        return True
