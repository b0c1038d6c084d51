"""Loads the model on the first job, and unloads it when the engine has been idle.

`EngineHost` is an `Infiller` that owns another one, which exists while the model is loaded.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from dg_lsp.fed_job import FedJob
from dg_lsp.job import Draft, InfillJob, JobHandle, JobResult, JobState, ModelInfo, OpenedModel
from dg_lsp.reason import CodedError, Reason, ReasonCode

T = TypeVar("T")

log = logging.getLogger(__name__)

RETRY_LOAD_S = 30.0
"""After a failed load, jobs are refused immediately for this time, because a broken checkpoint
does not repair itself between two keystrokes."""
STALL_S = 300.0
"""A running job without progress for this time hangs; far more than the slowest step on a
CPU."""
MAX_OPEN_JOBS = 256
"""More than any number of editors requests at once."""


CLOSED = Reason(ReasonCode.ENGINE_CLOSED, "the engine is shutting down")


class ModelState(enum.Enum):
    """The states of the model."""

    UNLOADED = "unloaded"
    """Not in memory; the next job loads it."""
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    """The last load failed; jobs are answered with the reason."""


class ModelLoader(Protocol):
    """What the host needs to know about models. Each call blocks, on a thread."""

    def open(self) -> OpenedModel:
        """Load the model; a `CodedError` says what the user can do."""
        ...

    def loading_percent(self) -> int | None:
        """The progress of `open`, called from another thread; `None` if unknown."""
        ...

    def release(self) -> None:
        """Free memory after a model was closed and dropped."""
        ...

    def device_memory_bytes(self) -> int:
        """What is held on the device, 0 on a CPU."""
        ...


class HostClosedError(CodedError):
    """The engine is shutting down."""

    code = ReasonCode.ENGINE_CLOSED


class BusyError(CodedError):
    """The engine has as many open jobs as it accepts."""

    code = ReasonCode.BUSY


@dataclass(frozen=True, slots=True)
class Sender:
    """A tool that sends jobs to the engine by itself; front ends keep account of their own."""

    path: str
    """Of the endpoint."""
    name: str


@dataclass(frozen=True, slots=True)
class EndedJob:
    """The report about a job that has ended."""

    job: InfillJob
    result: JobResult
    took_s: float
    sender: Sender | None


@dataclass(slots=True)
class _Open:
    """The data of a job until it ends."""

    sender: Sender | None
    inner: JobHandle | None = None
    """Of the loaded model's infiller; `None` while the model is being loaded."""
    watch: asyncio.TimerHandle | None = None


class EngineHost:
    """An `Infiller` whose model is loaded on the first job and unloaded when idle."""

    def __init__(
        self,
        loader: ModelLoader,
        *,
        idle_unload_s: float | None = None,
        idle_exit_s: float | None = None,
        on_idle_exit: Callable[[], None] = lambda: None,
        on_stall: Callable[[], None] = lambda: None,
        on_gpu_lost: Callable[[str], None] = lambda runs_as: None,
        on_job_end: Callable[[EndedJob], None] = lambda ended: None,
        retry_load_s: float = RETRY_LOAD_S,
        stall_s: float = STALL_S,
    ) -> None:
        """Without idle times the model stays and the process lives on.

        `on_stall` is called when a step does not come back, and `on_gpu_lost` when the GPU
        refuses everything: only ending the process helps. The latter is told how the model ran.
        """
        self._loader = loader
        self._idle_unload_s, self._idle_exit_s = idle_unload_s, idle_exit_s
        self._on_idle_exit, self._on_stall, self._on_job_end = (
            on_idle_exit,
            on_stall,
            on_job_end,
        )
        self._on_gpu_lost = on_gpu_lost
        self._retry_load_s, self._stall_s = retry_load_s, stall_s
        self._state = ModelState.UNLOADED
        self._error: Reason | None = None
        self._failed_at = 0.0
        self._opened: OpenedModel | None = None
        self._loading: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        """Held while a model is loaded or unloaded, so that two are never in memory."""
        self._jobs: dict[FedJob, _Open] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self._timers: list[asyncio.TimerHandle] = []
        self._closed = False
        self.loads = {"loaded": 0, "failed": 0}
        """How many loads ended how, since the start."""
        self._touched = time.monotonic()

    @property
    def state(self) -> ModelState:
        return self._state

    @property
    def is_closed(self) -> bool:
        """Whether the engine is shutting down."""
        return self._closed

    @property
    def error(self) -> Reason | None:
        """Why the last load failed."""
        return self._error

    @property
    def loading_percent(self) -> int | None:
        """How far a load is; `None` while there is none, or where it cannot tell."""
        return self._loader.loading_percent() if self._state is ModelState.LOADING else None

    @property
    def opened(self) -> OpenedModel | None:
        """The loaded model, while there is one."""
        return self._opened

    @property
    def model(self) -> ModelInfo | None:
        """What the loaded model is, and what it holds on its device now."""
        if self._opened is None:
            return None
        info = self._opened.look() if self._opened.look else self._opened.info
        return replace(info, memory_bytes=self.device_memory_bytes())

    @property
    def idle_s(self) -> float:
        """Seconds since the last job came or ended; 0 while there is one."""
        return 0.0 if self._jobs else time.monotonic() - self._touched

    def count_jobs(self) -> tuple[int, int]:
        """Jobs waiting and running."""
        states = [open_job.inner.state for open_job in self._jobs.values() if open_job.inner]
        running = sum(state is JobState.RUNNING for state in states)
        return len(self._jobs) - running, running

    def count_beside(self, job: InfillJob) -> int:
        """Open jobs of a job's client, without the one that it would supersede."""
        return sum(
            one.job.client == job.client
            and not (job.document_key and one.job.document_key == job.document_key)
            for one in self._jobs
        )

    def device_memory_bytes(self) -> int:
        """What is held on the device."""
        return self._loader.device_memory_bytes()

    def start_loading(self) -> None:
        """Start loading, if that has not started or has failed; returns immediately."""
        if self._state in (ModelState.UNLOADED, ModelState.FAILED) and not self._closed:
            self._begin_loading()

    def submit(self, job: InfillJob, sender: Sender | None = None) -> FedJob:
        """Queue a job; the loaded model's infiller supersedes older ones on its document."""
        if self._closed:
            raise HostClosedError(CLOSED.message)
        if len(self._jobs) >= MAX_OPEN_JOBS:
            raise BusyError(f"the engine has {len(self._jobs)} open jobs and takes no more")
        if self._opened is not None and self._opened.changed is not None:
            change = self._opened.changed()
            if change is not None:
                self._load_again(change)
        handle = FedJob(job, self._job_ended)
        own = self._jobs[handle] = _Open(sender)
        self._touch()
        if self._opened is not None:
            self._hand_on(self._opened, handle, own)
        elif self._error is not None and self._has_just_failed():
            handle.fail(self._error)
        else:
            self.start_loading()
        return handle

    def cancel_jobs(self, reason: Reason = CLOSED) -> None:
        """Cancel all waiting and running jobs."""
        for handle in [*self._jobs]:
            handle.cancel(reason)

    def _load_again(self, why: Reason) -> None:
        log.warning("%s", why)
        for handle in [*self._jobs]:
            handle.fail(why)
        old, self._opened = self._opened, None
        self._begin_loading(old)

    async def unload(self, *, only_if_idle: bool = False) -> bool:
        """Unload the model and cancel open jobs. False if there was no model, or if there are
        open jobs and it should be unloaded `only_if_idle`."""
        async with self._changing:
            if only_if_idle and self._jobs:
                return False
            opened, self._opened = self._opened, None
            if self._state is not ModelState.LOADING:
                self._state, self._error = ModelState.UNLOADED, None
            if opened is None:
                return False
            log.info("unloading %s", opened.info.name)
            self.cancel_jobs(Reason(ReasonCode.UNLOADED, "the model was unloaded"))
            await opened.infiller.close()
            del opened
            await _in_thread(self._loader.release)
        return True

    async def close(self) -> None:
        """Cancel what is open and give the model back; a load under way is not waited for."""
        self._closed = True
        self._disarm()
        self.cancel_jobs()
        if self._loading is not None:
            self._loading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loading
        await self.unload()

    def _has_just_failed(self) -> bool:
        failed_s = time.monotonic() - self._failed_at
        return self._state is ModelState.FAILED and failed_s < self._retry_load_s

    def _begin_loading(self, old: OpenedModel | None = None) -> None:
        self._state, self._error = ModelState.LOADING, None
        self._loading = asyncio.create_task(self._load(old))

    async def _load(self, old: OpenedModel | None) -> None:
        """Load the model, in place of an old one."""
        started = time.perf_counter()
        try:
            async with self._changing:
                if old is not None:
                    await old.infiller.close()
                    del old
                    await _in_thread(self._loader.release)
                opened = self._opened = await _in_thread(self._loader.open)
        except Exception as error:
            if isinstance(error, CodedError):
                failure = error.reason
                log.error("the model was refused")
            else:
                said = f"the model cannot be loaded: {type(error).__name__}: {error}"
                failure = Reason(ReasonCode.LOAD_FAILED, said)
                log.exception("the model cannot be loaded")
            self._error = failure
            self._state, self._failed_at = ModelState.FAILED, time.monotonic()
            self.loads["failed"] += 1
            for handle in [*self._jobs]:
                handle.fail(failure)
            if _is_loss(failure):
                self._on_gpu_lost(getattr(error, "runs_as", ""))
            # What was loaded until then still lies about.
            self._keep(_in_thread(self._loader.release))
            return
        finally:
            self._loading = None
        self._state = ModelState.READY
        self.loads["loaded"] += 1
        took_s = time.perf_counter() - started
        log.info("loaded %s on %s in %.1f s", opened.info.name, opened.info.device, took_s)
        # In the order in which they came: of two on one document the newer one wins.
        for handle, own in [*self._jobs.items()]:
            self._hand_on(opened, handle, own)
        self._touch()

    def _hand_on(self, opened: OpenedModel, handle: FedJob, own: _Open) -> None:
        try:
            own.inner = opened.infiller.submit(handle.job)
        except Exception as error:
            log.exception("a job could not be handed on")
            handle.fail(_job_failed(error))
            return
        self._watch(handle, own, is_silent=False)

        def take_draft(draft: Draft) -> None:
            handle.publish(draft)
            if handle.is_open:
                self._watch(handle, own, is_silent=False)

        def take_result(result: JobResult) -> None:
            handle.end(result)
            if _is_loss(result.infill.reason):
                self._on_gpu_lost(self.model.runs_as if self.model else "")

        own.inner.follow(take_draft, take_result)

    def _watch(self, handle: FedJob, own: _Open, is_silent: bool) -> None:
        """End the job when it is found running twice in a row without news in between."""

        def look() -> None:
            is_running = own.inner is not None and own.inner.state is JobState.RUNNING
            if is_running and is_silent:
                log.error("a job made no step in %g s", self._stall_s)
                handle.fail(
                    Reason(ReasonCode.STALLED, f"the model made no step in {self._stall_s:g} s")
                )
                self._on_stall()
            else:
                self._watch(handle, own, is_running)

        if own.watch is not None:
            own.watch.cancel()
        own.watch = asyncio.get_running_loop().call_later(self._stall_s / 2, look)

    def _job_ended(self, handle: FedJob) -> None:
        own = self._jobs.pop(handle)
        if own.watch is not None:
            own.watch.cancel()
        if own.inner is not None:
            own.inner.cancel()
        self._touch()
        self._keep(self._tell(handle, own.sender))

    async def _tell(self, handle: FedJob, sender: Sender | None) -> None:
        took_s = time.perf_counter() - handle.submitted
        self._on_job_end(EndedJob(handle.job, await handle.result(), took_s, sender))

    def _keep(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _touch(self) -> None:
        """Something happened: the idle times begin anew, once no job is open."""
        self._touched = time.monotonic()
        self._disarm()
        if self._jobs or self._closed:
            return
        loop = asyncio.get_running_loop()
        if self._idle_unload_s is not None and self._opened is not None:
            # A job may come between the end of this time and the unloading.
            self._timers.append(
                loop.call_later(
                    self._idle_unload_s, lambda: self._keep(self.unload(only_if_idle=True))
                )
            )
        if self._idle_exit_s is not None:
            self._timers.append(loop.call_later(self._idle_exit_s, self._on_idle_exit))

    def _disarm(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()


def _job_failed(error: Exception) -> Reason:
    return Reason(ReasonCode.JOB_FAILED, f"the engine failed: {error}")


async def _in_thread(work: Callable[[], T]) -> T:
    """Run blocking work on a thread that does not keep the process alive."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(value)  # type: ignore[arg-type]
        else:
            done.set_exception(error)

    def run() -> None:
        value, error = None, None
        try:
            value = work()
        except Exception as caught:
            error = caught
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, name="dg-lsp loading", daemon=True).start()
    return await done


def _is_loss(reason: Reason | None) -> bool:
    return reason is not None and reason.code is ReasonCode.GPU_LOST
