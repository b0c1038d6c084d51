"""The answer to a request, where it comes from, and the course of its job."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from dg_lsp.document.suggestions import Suggestion
from dg_lsp.job import Infill, InfillJob, JobResult, JobState
from dg_lsp.reason import Reason, ReasonCode


class Outcome(enum.Enum):
    """How a request ended."""

    SUGGESTED = "suggested"
    NOTHING = "nothing"
    """The model was asked, now or earlier, but none of its text can be suggested."""
    REFUSED = "refused"
    """The model was deliberately not asked."""
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    FAILED = "failed"


class How(enum.Enum):
    """Where an answer came from."""

    NEW_JOB = "a new job"
    JOB_UNDER_WAY = "the job under way"
    LAST_ANSWER = "the last answer"
    """To the same request."""
    TYPED_THROUGH = "typed through"
    """The rest of the last answer, whose beginning the user has typed."""
    REMEMBERED = "an earlier answer"
    PREPARED = "prepared ahead"
    """What follows a suggestion, asked for while that one was shown."""
    DEADLINE = "what was settled at the deadline"


class Work:
    """The course of one job; requests that wait for the same job share it.

    A rewrite that is tried again has several jobs: their times are added up, and `job` and
    `infill` are those of the last one.
    """

    def __init__(self) -> None:
        self.timings_ms: dict[str, float] = {}
        self.engine_ms: float | None = None
        """The time that the engine itself reports, without its queue."""
        self.job: InfillJob | None = None
        self.infill: Infill | None = None
        self.state: JobState | None = None
        self._mark = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Attribute the time since the last lap to this stage."""
        now = time.perf_counter()
        took_ms = (now - self._mark) * 1e3
        self.timings_ms[stage] = self.timings_ms.get(stage, 0.0) + took_ms
        self._mark = now

    def rest(self) -> None:
        """Attribute the time since the last lap to no stage."""
        self._mark = time.perf_counter()

    def end(self, result: JobResult) -> None:
        """Record the job's result; the time that the engine does not report was spent on the
        way there and back."""
        self.infill, self.state = result.infill, result.state
        self.lap("socket")
        told = dict(result.infill.timings_ms)
        total_ms = told.pop("total", None)
        if total_ms is not None:
            self.engine_ms = (self.engine_ms or 0.0) + total_ms
            accounted_ms = total_ms + told.get("queue", 0.0)
            self.timings_ms["socket"] = max(0.0, self.timings_ms["socket"] - accounted_ms)
        for stage, took_ms in told.items():
            self.timings_ms[stage] = self.timings_ms.get(stage, 0.0) + took_ms


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request; without suggestions, `reason` says why."""

    outcome: Outcome
    because: Reason | Callable[[], Reason] | None = None
    """The reason, or what finds it, if that takes time that the answer need not wait for."""
    suggestions: tuple[Suggestion, ...] = ()
    how: How | None = None
    """`None` if the request never got as far as a job or an earlier answer."""
    work: Work | None = None
    """The course of its job; `None` if the request needed no job."""

    @property
    def reason(self) -> Reason | None:
        because = self.because
        return because() if callable(because) else because

    @property
    def failed(self) -> bool:
        return self.outcome is Outcome.FAILED

    def dropped(self, reason: Reason) -> Answer:
        """The answer without its suggestions, which are no longer useful."""
        return replace(self, outcome=Outcome.NOTHING, because=reason, suggestions=())


def refused(reason: Reason) -> Answer:
    """An answer for which the model is not asked."""
    return Answer(Outcome.REFUSED, reason)


def suggested(suggestions: tuple[Suggestion, ...]) -> Answer:
    return Answer(Outcome.SUGGESTED, suggestions=suggestions)


WITHDRAWN = Answer(
    Outcome.CANCELLED, Reason(ReasonCode.CANCELLED, "the editor withdrew the request")
)


class WithdrawnError(asyncio.CancelledError):
    """The request was cancelled; `answer` is only for the trace."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer
