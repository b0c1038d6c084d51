"""What a request is answered with, where that comes from, and what its job went through."""

from __future__ import annotations

import asyncio
import enum
import time
from dataclasses import dataclass, replace

from dg_lsp.document.suggestions import Suggestion
from dg_lsp.job import Infill, InfillJob, JobResult, JobState
from dg_lsp.reason import Reason, ReasonCode


class Outcome(enum.Enum):
    """How a request ended."""

    SUGGESTED = "suggested"
    NOTHING = "nothing"
    """The model was asked, now or earlier, and none of its text can be suggested."""
    REFUSED = "refused"
    """The model was not asked, on purpose."""
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    FAILED = "failed"


class How(enum.Enum):
    """Where an answer came from."""

    NEW_JOB = "a new job"
    JOB_UNDER_WAY = "the job under way"
    LAST_ANSWER = "the last answer"
    DEADLINE = "what was settled at the deadline"


class Work:
    """What one job goes through; requests that wait for the same job share it."""

    def __init__(self) -> None:
        self.timings_ms: dict[str, float] = {}
        self.engine_ms: float | None = None
        """What the engine itself says it took, without the wait in its queue."""
        self.job: InfillJob | None = None
        self.infill: Infill | None = None
        self.state: JobState | None = None
        self._mark = time.perf_counter()

    def lap(self, stage: str) -> None:
        """The time since the last lap was spent in this stage."""
        now = time.perf_counter()
        took_ms = (now - self._mark) * 1e3
        self.timings_ms[stage] = self.timings_ms.get(stage, 0.0) + took_ms
        self._mark = now

    def rest(self) -> None:
        """The time since the last lap belongs to no stage."""
        self._mark = time.perf_counter()

    def end(self, result: JobResult) -> None:
        """The job has ended; what the engine does not account for is the way to it and back."""
        self.infill, self.state = result.infill, result.state
        self.lap("socket")
        told = dict(result.infill.timings_ms)
        self.engine_ms = told.pop("total", None)
        if self.engine_ms is not None:
            accounted_ms = self.engine_ms + told.get("queue", 0.0)
            self.timings_ms["socket"] = max(0.0, self.timings_ms["socket"] - accounted_ms)
        self.timings_ms.update(told)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with; without suggestions, `reason` says why."""

    outcome: Outcome
    reason: Reason | None = None
    suggestions: tuple[Suggestion, ...] = ()
    how: How | None = None
    """`None` where the request never came as far as a job or an earlier answer."""
    work: Work | None = None
    """What its job went through; `None` where the request needed no job."""

    @property
    def failed(self) -> bool:
        return self.outcome is Outcome.FAILED

    def dropped(self, reason: Reason) -> Answer:
        """The answer without its suggestions, as they are of no use any more."""
        return replace(self, outcome=Outcome.NOTHING, reason=reason, suggestions=())


def refused(reason: Reason) -> Answer:
    """The model is not asked."""
    return Answer(Outcome.REFUSED, reason)


def suggested(suggestions: tuple[Suggestion, ...]) -> Answer:
    return Answer(Outcome.SUGGESTED, suggestions=suggestions)


WITHDRAWN = Answer(
    Outcome.CANCELLED, Reason(ReasonCode.CANCELLED, "the editor withdrew the request")
)


class WithdrawnError(asyncio.CancelledError):
    """The request was cancelled; its `answer` is for nobody, but says how far it had come."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer
