"""An engine that follows a script, for tests only.

Its text depends only on the text before the span; drafts follow one another at a given speed.
It records what happened, so that a test can ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from dg_lsp.fed_job import FedJob
from dg_lsp.job import Candidate, Draft, Infill, InfillJob, JobState, ModelInfo
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server.link.engine_link import (
    EnginePhase,
    EngineState,
    EngineUnavailableError,
    failed,
)

Script = Callable[[InfillJob], list[str]]
"""Candidates for a job, best first."""


@dataclass(slots=True)
class Pace:
    """How a scripted job goes."""

    num_drafts: int = 3
    step_s: float = 0.0
    confidences: tuple[float, ...] = ()
    """Confidences of the candidates, best first; further candidates are certain."""
    seeds: tuple[int, ...] = ()
    """Numbers of the job's seeds that the candidates started as, best first."""
    best_settles_last: bool = False
    """Whether drafts have other candidates first, the worst one at the beginning."""
    blocks: int = 1
    """Number of blocks that drafts go through, as in a long rewrite."""


class ScriptedInfiller:
    """An `Infiller`; implements superseding as the engine does."""

    def __init__(self, script: Script, pace: Pace | None = None) -> None:
        self.script, self.pace = script, pace or Pace()
        self.handles: list[FedJob] = []
        self._tasks: dict[FedJob, asyncio.Task[None]] = {}
        self.gate = asyncio.Event()
        """Jobs wait here before their last step."""
        self.gate.set()
        self.error: Reason | None = None
        """Why the next jobs fail."""

    @property
    def jobs(self) -> list[InfillJob]:
        return [handle.job for handle in self.handles]

    @property
    def states(self) -> list[JobState]:
        return [handle.state for handle in self.handles]

    def submit(self, job: InfillJob) -> FedJob:
        for older in self.handles:
            gives_way = older.job.is_speculative and not job.is_speculative
            if gives_way or older.job.document_key == job.document_key:
                older.supersede()
        handle = FedJob(job, self._job_ended)
        self.handles.append(handle)
        self._tasks[handle] = asyncio.create_task(self._work(handle))
        return handle

    async def close(self) -> None:
        for handle in self.handles:
            handle.cancel()

    def _job_ended(self, handle: FedJob) -> None:
        task = self._tasks.pop(handle)
        if task is not asyncio.current_task():
            task.cancel()

    async def _work(self, handle: FedJob) -> None:
        handle.start()
        job, pace = handle.job, self.pace
        if self.error is not None:
            handle.fail(self.error)
            return
        try:
            written = self.script(job)
        except Exception as error:  # As the engine's thread does.
            handle.fail(Reason(ReasonCode.JOB_FAILED, f"the script failed: {error}"))
            return
        texts = written[: job.candidates + job.extra_candidates]
        if job.alternatives:
            texts = [*written[: job.alternatives], job.replaced or ""]
        sureness = (*pace.confidences, *[0.9] * len(texts))
        seeds = (*pace.seeds, *[None] * len(texts))
        filled = [_filled(job, text) for text in texts]
        candidates = [
            Candidate(text, sure, -float(rank), (sure,) * len(text), seed, segments)
            for rank, ((text, segments), sure, seed) in enumerate(
                zip(filled, sureness, seeds, strict=False)
            )
        ]
        best = candidates[0].text if candidates else ""
        total = pace.blocks * pace.num_drafts
        for number in range(total):
            await asyncio.sleep(pace.step_s)
            block, step = divmod(number, pace.num_drafts)
            sure = _partly_sure(best, (number + 1) / (total + 1))
            draft = "".join(
                one if share > 0.5 else "?" for one, share in zip(best, sure, strict=True)
            )
            candidate = None
            if candidates and job.replaced is None:
                left = len(candidates) * (total - 1 - number) // total
                candidate = candidates[left if pace.best_settles_last else 0]
                shares = _partly_sure(candidate.text, (number + 1) / (total + 1))
                candidate = replace(candidate, confidences=shares)
            place = (step + 1, pace.num_drafts + 1, block + 1, pace.blocks)
            segments = _segments(job, draft, candidates[0].segments if candidates else ())
            handle.publish(Draft(draft, sure, *place, candidate=candidate, segments=segments))
        await self.gate.wait()
        handle.finish(Infill(tuple(candidates), pace.num_drafts + 1, model="scripted"))


def _filled(job: InfillJob, text: str) -> tuple[str, tuple[str, ...]]:
    """What a script's text means: with pinned texts, its free segments, a `|` between them."""
    if not job.pinned:
        return text, ()
    segments = tuple(text.split("|"))
    pinned = [*(one.text for one in job.pinned), ""]
    return "".join(a + b for a, b in zip(segments, pinned, strict=True)), segments


def _segments(job: InfillJob, draft: str, of_best: tuple[str, ...]) -> tuple[str, ...]:
    """The parts of a draft that are as long as the free segments of the best text."""
    found, at = [], 0
    pinned = [*(one.text for one in job.pinned), ""]
    for segment, between in zip(of_best, pinned, strict=False):
        found.append(draft[at : at + len(segment)])
        at += len(segment) + len(between)
    return tuple(found)


def _partly_sure(text: str, share: float) -> tuple[float, ...]:
    """The probabilities of a text whose beginning has settled."""
    done = int(len(text) * share)
    return (0.99,) * done + (0.4,) * (len(text) - done)


class ScriptedLink:
    """An `EngineLink` to a scripted infiller, in whatever state a test wants."""

    def __init__(self, script: Script, pace: Pace | None = None) -> None:
        self._script, self._pace = script, pace
        self._made: ScriptedInfiller | None = None
        self._listeners: list[Callable[[EngineState], None]] = []
        self.model = ModelInfo("scripted", "cpu", 512, 256, follows_instructions=True)
        self.state = EngineState(EnginePhase.IDLE)
        self.refusal: Reason | None = None
        """Why there is no engine."""
        self.ready: asyncio.Event | None = None
        """While this event exists and is not set, the engine is starting."""
        self.silent: Reason | None = None
        """Why no answer may come for now."""
        self.calls: list[str] = []

    @property
    def engine(self) -> ScriptedInfiller:
        if self._made is None:
            self._made = ScriptedInfiller(self._script, self._pace)
        return self._made

    def watch(self, listener: Callable[[EngineState], None]) -> None:
        self._listeners.append(listener)

    def become(self, state: EngineState) -> None:
        self.state = state
        for listener in self._listeners:
            listener(state)

    async def infiller(self) -> ScriptedInfiller:
        if self.refusal is not None:
            self.become(failed(self.refusal))
            raise EngineUnavailableError(self.refusal.message, self.refusal.code)
        if self.state.phase is not EnginePhase.READY:
            if self.ready is not None:
                self.become(EngineState(EnginePhase.STARTING, "loading the model"))
                await self.ready.wait()
            self.become(EngineState(EnginePhase.READY, model=self.model))
        return self.engine

    def silence(self) -> Reason | None:
        return self.silent

    def job_failed(self, reason: Reason) -> None:
        self.calls.append(f"job failed: {reason.code.value}")

    def measure(self, text: str) -> int:
        return len(text) // 3

    async def restart(self) -> None:
        self.calls.append("restart")

    async def unload(self) -> None:
        self.calls.append("unload")
        self.become(EngineState(EnginePhase.IDLE, model=self.model))

    async def close(self) -> None:
        self.calls.append("close")
