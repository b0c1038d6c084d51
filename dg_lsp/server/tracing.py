"""What became of each request: sizes, times and reasons, for whoever asks why nothing came.

A `Trace` goes along with a request and is filled in on the way; the `Tracer` hands it over when
the request ends, however it ends. It holds no text of the user, unless the settings ask for
that, and then without secrets. Knows nothing of where traces are kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote

from lsprotocol import types

from dg_lsp.diagnosis.records import Record, work_record
from dg_lsp.document.suggestions import Suggestion
from dg_lsp.job import Infill, InfillJob, JobState
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server.settings import TraceDetail

log = logging.getLogger(__name__)

MAX_DOCUMENTS = 100
"""Of which the last request is remembered."""


class Outcome(enum.Enum):
    """How a request ended."""

    SUGGESTED = "suggested"
    NOTHING = "nothing"
    """The model was asked, or had been asked before, and nothing is left to offer."""
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


class Journal(Protocol):
    """Where traces are kept (`diagnosis.journal.Journal`). Neither call may wait or raise."""

    def add(self, record: Record) -> None: ...

    def note_client(self, facts: Record) -> None:
        """Remember which editor was here last, and what it can do."""
        ...


class Forgetful:
    """A `Journal` that keeps nothing."""

    def add(self, record: Record) -> None:
        pass

    def note_client(self, facts: Record) -> None:
        pass


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

    def end(self, infill: Infill, state: JobState) -> None:
        """The job has ended; what the engine does not account for is the way to it and back."""
        self.infill, self.state = infill, state
        self.lap("socket")
        told = dict(infill.timings_ms)
        self.engine_ms = told.pop("total", None)
        if self.engine_ms is not None:
            accounted_ms = self.engine_ms + told.get("queue", 0.0)
            self.timings_ms["socket"] = max(0.0, self.timings_ms["socket"] - accounted_ms)
        self.timings_ms.update(told)


@dataclass(slots=True)
class Trace:
    """One request, from its arrival to its answer."""

    method: str
    uri: str
    position: types.Position
    trigger: str
    detail: TraceDetail
    began: float = field(default_factory=time.perf_counter)
    began_at: float = field(default_factory=time.time)
    language: str = ""
    outcome: Outcome | None = None
    reason: Reason | None = None
    how: How | None = None
    suggestions: Sequence[Suggestion] = ()
    work: Work | None = None
    check_ms: float | None = None
    """Until it was clear that something may be offered here."""

    @property
    def so_far_ms(self) -> float:
        return (time.perf_counter() - self.began) * 1e3

    def end(
        self, outcome: Outcome, reason: Reason | None, suggestions: Sequence[Suggestion] = ()
    ) -> None:
        self.outcome, self.reason, self.suggestions = outcome, reason, suggestions

    def answer(
        self, suggestions: Sequence[Suggestion], reason: Reason | None, failed: bool
    ) -> None:
        """What the request is answered with."""
        if self.outcome is not Outcome.SUPERSEDED:
            bad = Outcome.FAILED if failed else Outcome.NOTHING
            self.outcome = Outcome.SUGGESTED if suggestions else bad
        self.reason, self.suggestions = reason, suggestions

    def refuse(self, reason: Reason) -> None:
        """The model is not asked."""
        self.end(Outcome.REFUSED, reason)


class Tracer:
    """The traces of one session."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.detail = TraceDetail.SIZES
        self.client = ""
        """Name and version of the editor."""
        self._last: dict[str, Record] = {}
        """The last one of each document, the document that was asked about last at the end."""

    @contextlib.contextmanager
    def request(
        self, method: str, uri: str, position: types.Position, trigger: str
    ) -> Iterator[Trace]:
        """Follow a request; whatever happens inside, its trace is kept."""
        trace = Trace(method, uri, position, trigger, self.detail)
        try:
            yield trace
        except asyncio.CancelledError:
            withdrawn = Reason(ReasonCode.CANCELLED, "the editor withdrew the request")
            trace.end(Outcome.CANCELLED, withdrawn)
            raise
        except Exception as error:
            if trace.outcome is None:
                failed = f"the server failed: {type(error).__name__}"
                trace.end(Outcome.FAILED, Reason(ReasonCode.DEFECT, failed))
            raise
        finally:
            self._keep(trace)

    def last_of(self, uri: object) -> Record | None:
        """The last request of a document; without a URI, of all of them."""
        if isinstance(uri, str):
            return self._last.get(uri)
        return next(reversed(self._last.values()), None)

    def _keep(self, trace: Trace) -> None:
        if trace.detail is TraceDetail.OFF:
            return
        try:
            record = _record(trace, self.client)
        except Exception:
            # Whatever is wrong with a trace, the request must not suffer.
            log.exception("a trace could not be made")
            return
        self._last.pop(trace.uri, None)
        self._last[trace.uri] = record
        if len(self._last) > MAX_DOCUMENTS:
            del self._last[next(iter(self._last))]
        self.journal.add(record)


def _record(trace: Trace, client: str) -> Record:
    outcome = trace.outcome or Outcome.NOTHING
    work = trace.work or Work()
    timings_ms = {} if trace.check_ms is None else {"check": trace.check_ms}
    timings_ms |= work.timings_ms
    record: Record = {
        "time": trace.began_at,
        "client": client,
        "method": trace.method,
        "trigger": trace.trigger,
        "file": unquote(trace.uri.rsplit("/", 1)[-1])[:100],
        "language": trace.language,
        "position": [trace.position.line, trace.position.character],
        "outcome": outcome.value,
        "reason": trace.reason.message if trace.reason else None,
        "reason_code": trace.reason.code.value if trace.reason else None,
        "how": trace.how.value if trace.how else None,
        "suggestions": [
            {"chars": len(one.text), "confidence": round(one.confidence, 3)}
            for one in trace.suggestions
        ],
        **work_record(work.job, work.infill, timings_ms, work.engine_ms),
        "total_ms": round(trace.so_far_ms, 3),
    }
    if trace.detail is TraceDetail.TEXT:
        record["text"] = _text_record(trace)
    return record


def _text_record(trace: Trace) -> Record:
    """The text itself; a job's is masked but for what it replaces, and a model may guess."""
    from dg_lsp.document.secrets import mask_secrets

    text: Record = {"uri": trace.uri}
    text["suggestions"] = [mask_secrets(one.text) for one in trace.suggestions]
    work = trace.work
    if work is not None and work.job is not None:
        job = work.job
        for name in ("prefix", "suffix", "replaced", "instruction"):
            value: str | None = getattr(job, name)
            text[name] = None if value is None else mask_secrets(value)
        text["snippets"] = [[one.path, mask_secrets(one.text)] for one in job.snippets]
    if work is not None and work.infill is not None:
        text["candidates"] = [mask_secrets(one.text) for one in work.infill.candidates]
    return text
