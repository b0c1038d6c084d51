"""Records a trace of each request: sizes, times and the reason for its answer.

A handler opens a trace and ends it with the answer, which says where it came from. The `Tracer`
passes the trace to the journal, however the request ends. A trace contains the user's text only
if the settings ask for it, and then without secrets.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote

from lsprotocol import types

from dg_lsp.diagnosis.records import Record, source_record, work_record
from dg_lsp.document.holes import joined
from dg_lsp.document.suggestions import Suggestion
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server.settings import TraceDetail
from dg_lsp.server.suggest.answer import WITHDRAWN, Answer, Outcome, WithdrawnError, Work

log = logging.getLogger(__name__)

KEEPING_S = 0.01
"""How long after its end a trace is stored, so that the answer goes out first."""
MAX_DOCUMENTS = 100
"""Number of documents whose last request is remembered."""


class Journal(Protocol):
    """Where traces are stored (`diagnosis.journal.Journal`). No method may wait or
    raise."""

    def add(self, record: Record) -> None: ...

    def note_usage(self, record: Record) -> None:
        """Record what became of a suggestion."""
        ...

    def note_client(self, facts: Record) -> None:
        """Record the last editor and its capabilities."""
        ...


class Forgetful:
    """A `Journal` that stores nothing."""

    def add(self, record: Record) -> None:
        pass

    def note_usage(self, record: Record) -> None:
        pass

    def note_client(self, facts: Record) -> None:
        pass


@dataclass(slots=True)
class Trace:
    """One request, from its arrival to its answer."""

    method: str
    uri: str
    position: types.Position
    trigger: str
    language: str
    detail: TraceDetail
    began: float = field(default_factory=time.perf_counter)
    began_at: float = field(default_factory=time.time)
    check_ms: float | None = None
    total_ms: float | None = None
    answer: Answer | None = None

    @property
    def so_far_ms(self) -> float:
        return (time.perf_counter() - self.began) * 1e3

    def checked(self) -> None:
        """Record that the checks before asking the model are done."""
        self.check_ms = self.so_far_ms

    def end(self, answer: Answer) -> None:
        """Record the answer; called once."""
        self.answer = answer

    def over(self) -> None:
        """The answer is about to go out."""
        self.total_ms = self.so_far_ms


class Tracer:
    """The traces of one session."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.detail = TraceDetail.SIZES
        self.client = ""
        """Name and version of the editor."""
        self._ended: list[Trace] = []
        """Traces that are not stored yet."""
        self._last: dict[str, Record] = {}
        """The last trace of each document, the most recent document last."""

    @contextlib.contextmanager
    def request(
        self,
        method: str,
        uri: str,
        position: types.Position,
        trigger: str,
        language: str,
    ) -> Iterator[Trace]:
        """Follow a request; its trace is stored whatever happens inside."""
        trace = Trace(method, uri, position, trigger, language, self.detail)
        try:
            yield trace
        except asyncio.CancelledError as error:
            trace.end(error.answer if isinstance(error, WithdrawnError) else WITHDRAWN)
            raise
        except Exception as error:
            if trace.answer is None:
                failed = f"the server failed: {type(error).__name__}"
                trace.end(Answer(Outcome.FAILED, Reason(ReasonCode.DEFECT, failed)))
            raise
        finally:
            trace.over()
            self._ended.append(trace)
            if len(self._ended) == 1:
                asyncio.get_running_loop().call_later(KEEPING_S, self.flush)

    def last_of(self, uri: object) -> Record | None:
        """The last request of a document; without a URI, of all of them."""
        self.flush()
        if isinstance(uri, str):
            return self._last.get(uri)
        return next(reversed(self._last.values()), None)

    def flush(self) -> None:
        """Store the traces of all requests that have ended."""
        ended, self._ended = self._ended, []
        for trace in ended:
            self._keep(trace)

    def _keep(self, trace: Trace) -> None:
        if trace.detail is TraceDetail.OFF:
            return
        try:
            record = _record(trace, self.client)
        except Exception:
            # An error in tracing must not affect the request.
            log.exception("a trace could not be made")
            return
        self._last.pop(trace.uri, None)
        self._last[trace.uri] = record
        if len(self._last) > MAX_DOCUMENTS:
            del self._last[next(iter(self._last))]
        self.journal.add(record)


def _record(trace: Trace, client: str) -> Record:
    answer = trace.answer or Answer(Outcome.NOTHING)
    work, reason, how = answer.work or Work(), answer.reason, answer.how
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
        "outcome": answer.outcome.value,
        "reason": reason.message if reason else None,
        "reason_code": reason.code.value if reason else None,
        "how": how.value if how else None,
        "suggestions": [
            {
                "chars": len(one.text),
                "confidence": round(one.confidence, 3),
                **source_record(one.source),
            }
            for one in answer.suggestions
        ],
        **work_record(work.job, work.infill, timings_ms, work.engine_ms),
        "total_ms": round(trace.total_ms or 0.0, 3),
    }
    if trace.detail is TraceDetail.TEXT:
        record["text"] = _text_record(trace.uri, answer)
    return record


def _text_record(uri: str, answer: Answer) -> Record:
    """The texts of a request; the replaced text and the model's output are masked here too."""
    from dg_lsp.document.secrets import mask_secrets

    text: Record = {"uri": uri}
    work = answer.work or Work()
    text["suggestions"] = [mask_secrets(_as_seen(one, work)) for one in answer.suggestions]
    sources = [one.source.seed for one in answer.suggestions]
    text["source_paths"] = [(seed and seed.path) or None for seed in sources]
    if work.job is not None:
        job = work.job
        for name in ("prefix", "suffix", "replaced", "instruction"):
            value: str | None = getattr(job, name)
            text[name] = None if value is None else mask_secrets(value)
        for name, others in (("snippets", job.snippets), ("seeds", job.all_seeds)):
            text[name] = [[one.path, mask_secrets(one.text)] for one in others]
    if work.infill is not None:
        text["candidates"] = [mask_secrets(one.text) for one in work.infill.candidates]
    return text


def _as_seen(one: Suggestion, work: Work) -> str:
    """The text of a suggestion; what is between its holes as the model saw it, because a
    secret there may no longer be beside the name that tells."""
    if work.job is None or not one.holes:
        return one.text
    return joined(one.holes, [pinned.text for pinned in work.job.pinned])
