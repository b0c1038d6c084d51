"""The engine: one thread that owns the model and runs jobs.

Its interface is asynchronous; the thread itself blocks. Jobs stop at each denoising step
(`Filling.steps`), so the thread can answer the steps of several jobs in one forward pass, if
the denoiser is a `SharingDenoiser`. Another job begins between two steps, as long as those
under way leave rows free. With any other denoiser, one job runs after the other.

If a job raises an exception, only that job ends. A step that fails for several jobs together is
made for each one alone. A job that runs out of memory is tried once more, alone and with all
caches freed. If the device works no more after an exception, the job fails with the code
`GPU_LOST`, on which the engine process exits.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dg_lsp.config import EngineSettings
from dg_lsp.engine.alternatives import alternatives
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import OutOfMemoryError, SharingDenoiser
from dg_lsp.engine.denoising import at_once
from dg_lsp.engine.family import Family
from dg_lsp.engine.infilling import Filling, JobStoppedError
from dg_lsp.engine.scheduler import Scheduler
from dg_lsp.fed_job import FedJob
from dg_lsp.job import Infill, InfillJob, JobResult, JobState
from dg_lsp.reason import Reason, ReasonCode

if TYPE_CHECKING:
    from dg_lsp.engine.denoiser import Denoiser, Prediction, StepRequest
    from dg_lsp.engine.denoising import Steps

log = logging.getLogger(__name__)

GPU_LOST = Reason(
    ReasonCode.GPU_LOST,
    "the GPU refuses everything after an error, so the engine ends; the next request starts it "
    "again, in a slower way if there is one",
)

NO_MEMORY = Reason(ReasonCode.OUT_OF_MEMORY, "the engine ran out of memory")


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
        sharing = settings.sharing
        self._most_rows = (
            sharing.cpu_rows if denoiser.device.type == "cpu" else sharing.gpu_rows
        )
        self._sharing = denoiser if isinstance(denoiser, SharingDenoiser) else None
        """The denoiser, if jobs can share its steps."""
        self._most_jobs = sharing.jobs if self._sharing else 1
        self._scheduler: Scheduler[EngineJob] = Scheduler()
        self._running: list[_Running] = []
        """The jobs under way; only the thread looks at them."""
        self._again: list[EngineJob] = []
        """Jobs that ran out of memory beside others, and are to run alone."""
        self._counted: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._work, name="dg-lsp engine", daemon=True)
        self._thread.start()

    def submit(self, job: InfillJob) -> EngineJob:
        """Queue a job, from within an event loop. Raises `RuntimeError` once closed."""
        ticket = EngineJob(job)
        self._scheduler.put(ticket)
        return ticket

    def counts(self) -> dict[str, int]:
        """What was done so far. Of steps, rows and passes: one forward pass makes a step of
        each job that shares it."""
        names = ("denoising_passes", "denoising_steps", "denoising_rows", "tokens_written")
        return {name: self._counted[name] for name in names}

    async def close(self) -> None:
        """Stop the thread within one denoising step, and cancel all open jobs."""
        for ticket in self._scheduler.close():
            ticket.cancel()
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while True:
            for one in [*self._running]:
                if not one.ticket.is_wanted:
                    self._leave(one)
            # One at a time, because the others wait while its prompt is read.
            ticket = self._next()
            if ticket is not None:
                self._begin(ticket)
            elif not self._running:
                return
            self._step()

    def _next(self) -> EngineJob | None:
        """A job that may begin now; waits for one if none is under way."""
        if not self._running:
            return self._again.pop() if self._again else self._scheduler.take()
        if self._again or any(one.ticket.has_run_out for one in self._running):
            return None
        most = self._most_jobs
        if self._sharing is not None:
            most = min(most, self._sharing.prompts_together)
        if len(self._running) >= most:
            return None
        if _rows(self._running) < self._most_rows:
            return self._scheduler.take_beside()
        # While the user types, a rewrite takes no rows.
        typed = [one for one in self._running if one.ticket.is_urgent]
        if _rows(typed) < self._most_rows:
            return self._scheduler.take_beside(only_urgent=True)
        return None

    def _begin(self, ticket: EngineJob) -> None:
        if not ticket.start() and not (ticket.has_run_out and ticket.is_wanted):
            self._scheduler.finish(ticket)
            return
        ticket.queued_ms = (time.perf_counter() - ticket.submitted) * 1e3
        one = _Running(ticket, self._steps_of(ticket))
        self._running.append(one)
        self._continue(one)

    def _steps_of(self, ticket: EngineJob) -> Steps[Infill]:
        job, model = ticket.job, (self._denoiser, self._codec, self._family)
        if job.alternatives:
            temperature = self._settings.alternatives_temperature
            return at_once(lambda: alternatives(job, *model, temperature))
        return Filling(
            job,
            *model,
            self._settings,
            cancelled=lambda: not ticket.is_wanted,
            on_draft=lambda draft: ticket.owner.publish(draft),
        ).steps()

    def _step(self) -> None:
        """One denoising step of all jobs under way."""
        together = [*self._running]
        self._counted["denoising_steps"] += len(together)
        self._counted["denoising_rows"] += _rows(together)
        for one, prediction in zip(together, self._predictions(together), strict=True):
            self._continue(one, prediction)

    def _predictions(self, together: Sequence[_Running]) -> Sequence[Prediction | None]:
        """The answer to the step of each job; `None` where each has to ask alone."""
        if len(together) > 1 and self._sharing is not None:
            try:
                found = self._sharing.denoise_together([one.asked for one in together])
                self._counted["denoising_passes"] += 1
                return found
            except OutOfMemoryError as error:
                self._most_jobs = max(1, len(together) // 2)
                log.warning("%s; %d jobs at a time from now on", str(error), self._most_jobs)
                is_out_of_memory = True
            except Exception:
                log.exception("a step of %d jobs failed; each makes it alone", len(together))
                is_out_of_memory = False
            # Only here, because the traceback holds the tensors.
            if is_out_of_memory:
                self._shrink()
        self._counted["denoising_passes"] += len(together)
        return [None] * len(together)

    def _continue(self, one: _Running, prediction: Prediction | None = None) -> None:
        """Run a job up to its next step, or to its end."""
        ticket = one.ticket
        result = None
        try:
            if one.request is None:
                one.request = next(one.steps)
            else:
                one.request = one.steps.send(prediction or one.asked.on(self._denoiser))
            return
        except StopIteration as end:
            infill: Infill = end.value
            timings = {"queue": ticket.queued_ms, **infill.timings_ms}
            infill = dataclasses.replace(infill, timings_ms=timings, model=self._model)
            best = "".join(candidate.text for candidate in infill.candidates[:1])
            self._counted["tokens_written"] += len(self._codec.encode(best))
            result = JobResult(JobState.DONE, infill)
        except JobStoppedError:
            pass
        except OutOfMemoryError as error:
            # Keep only the message: the frames of the traceback hold the tensors.
            log.warning("job for %s: %s", ticket.document_key or "a text", str(error))
            one.is_out_of_memory = True
        except Exception as error:
            log.exception("job for %s failed", ticket.document_key or "a text")
            if self._device_works():
                failure = Reason(ReasonCode.JOB_FAILED, f"the engine failed: {error}")
            else:
                failure = GPU_LOST
            result = _failed(failure)
        self._leave(one, result)

    def _leave(self, one: _Running, result: JobResult | None = None) -> None:
        """A job is no longer under way, and holds nothing any more; without a result, nobody
        wants it, or it may run once more."""
        self._running.remove(one)
        one.steps.close()
        one.request = None
        if one.is_out_of_memory:
            freed = self._shrink()
            if not one.ticket.has_run_out and (freed or self._running):
                one.ticket.has_run_out = True
                self._again.append(one.ticket)
                return
            result = _failed(NO_MEMORY)
        # From here on, no other job takes its work over.
        self._scheduler.finish(one.ticket)
        if result is not None:
            one.ticket.owner.end(result)

    def _shrink(self) -> int:
        freed = self._denoiser.shrink()
        log.warning("freed %.0f MB of caches", freed / 1e6)
        return freed


class EngineJob(FedJob):
    """A job as the scheduler sees it."""

    queued_ms = 0.0
    has_run_out = False
    """Whether it ran out of memory once, so that it runs alone."""
    _heir: EngineJob | None = None
    """The job that has taken its work over."""

    @property
    def document_key(self) -> str:
        return self.job.document_key

    @property
    def client(self) -> str:
        """Where clients have no names, documents take turns, and all jobs without one are of
        the same client."""
        return self.job.client or self.job.document_key

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


@dataclass(slots=True, eq=False)
class _Running:
    """A job under way, which has stopped at a step."""

    ticket: EngineJob
    steps: Steps[Infill]
    request: StepRequest | None = None
    """What the step asks of the denoiser; `None` before the first one."""
    is_out_of_memory: bool = False

    @property
    def asked(self) -> StepRequest:
        assert self.request is not None
        return self.request


def _rows(some: Iterable[_Running]) -> int:
    """Rows of their next step."""
    return sum(one.asked.rows for one in some)


def _failed(reason: Reason) -> JobResult:
    return JobResult(JobState.FAILED, Infill((), 0, reason=reason))
