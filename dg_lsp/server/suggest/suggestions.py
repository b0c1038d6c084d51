"""Carries out the decisions of `decide.py` for each document: reuse, join or start.

The model is asked only where a rule does not speak against it and after a pause in typing.
A job whose request was answered at its deadline continues, and the next request at the same
site joins it or gets its answer.

While a suggestion is shown, `look_ahead` prepares the one that follows its acceptance with a
speculative job, to which the engine prefers every other one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

from dg_lsp.document.suggestions import Suggestion
from dg_lsp.job import InfillJob
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server.settings import Settings
from dg_lsp.server.suggest.answer import (
    WITHDRAWN,
    Answer,
    How,
    Outcome,
    WithdrawnError,
    refused,
    suggested,
)
from dg_lsp.server.suggest.decide import (
    Decision,
    KnownAnswer,
    Request,
    Reuse,
    Start,
    decide,
    earlier_of,
    following,
)
from dg_lsp.server.suggest.draft_suggestions import DraftListener, remainders, typed_between
from dg_lsp.server.suggest.in_flight import InFlightJob
from dg_lsp.server.suggest.jobs import Jobs
from dg_lsp.server.suggest.memory import Memory
from dg_lsp.server.suggest.pace import Pace
from dg_lsp.server.suggest.rules import Situation, reason_not_to_ask
from dg_lsp.server.suggest.savings import ALL, Savings
from dg_lsp.server.suggest.speculation import Ahead, Speculated

LOOK_S = 0.25
"""How often a request that has passed its deadline looks for signs of life of the engine."""

SUPERSEDED = Answer(
    Outcome.SUPERSEDED,
    Reason(ReasonCode.SUPERSEDED, "a newer request for the same document came in"),
)


AHEAD_S = 0.03
"""The answer goes out before work on the next one begins."""


class Suggestions:
    """The suggestions of one client, document by document."""

    def __init__(self, jobs: Jobs, savings: Savings = ALL) -> None:
        self._jobs, self._savings = jobs, savings
        self._documents: dict[str, DocumentSuggestions] = {}
        self.pace = Pace()
        """How fast the user types and the engine works."""
        self.speculated = Speculated()

    async def suggest(
        self,
        request: Request,
        settings: Settings,
        deadline_s: float | None = None,
        on_draft: DraftListener | None = None,
    ) -> Answer:
        """Answer one request; cancelling it stops its job and raises `WithdrawnError`.

        At the deadline, the answer is the whole lines that have settled, unless drafts show
        them. If there are none, the request waits for the end, because not every client asks
        again, but not for an engine that gives no sign of life.
        """
        uri = request.site.uri
        document = self._documents.get(uri)
        if document is None:
            document = self._documents[uri] = DocumentSuggestions(
                self._jobs, self.pace, self._savings, self.speculated
            )
        return await document.suggest(request, settings, deadline_s, on_draft)

    def look_ahead(self, request: Request, answer: Answer, settings: Settings) -> None:
        """Prepare what follows the first suggestion of an answer that is being shown."""
        document = self._documents.get(request.site.uri)
        if document is not None and self._savings.speculation:
            document.look_ahead(request, answer, settings)

    def forget(self, uri: str) -> None:
        """The document was closed."""
        document = self._documents.pop(uri, None)
        if document is not None:
            document.close()

    def text_changed(self, uri: str, typed: str | None = None) -> None:
        """The text of a document changed, which other documents' suggestions may depend on.

        `typed` is the text that was inserted, if nothing else changed.
        """
        for other, document in self._documents.items():
            if other == uri:
                document.text_changed(typed)
            else:
                document.other_changed()

    def close(self) -> None:
        for uri in [*self._documents]:
            self.forget(uri)


@dataclass(slots=True)
class _Turn:
    """A request that waits for its answer."""

    request: Request
    on_draft: DraftListener | None
    ends_at: float | None
    """When it is answered with settled lines, or looks for signs of life again, by the event
    loop's clock."""
    is_late: bool = False
    """Whether the deadline has passed."""
    superseded: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    job: InFlightJob | None = None
    how: How | None = None

    def note(self, answer: Answer) -> Answer:
        """The answer with where it comes from."""
        work = None if self.job is None else self.job.work
        return replace(answer, how=answer.how or self.how, work=work)


class DocumentSuggestions:
    """One document: the waiting request, the running job, and the last answers.

    The newest request wins, and this is the only place in the front end that decides so: the
    user has typed on, so an answer to an older request would no longer fit the text. The older
    one is answered with nothing at once, whether or not the client cancels it. Which of several
    *jobs* wins is up to the engine's scheduler, because front ends share an engine.
    """

    def __init__(
        self, jobs: Jobs, pace: Pace, savings: Savings, speculated: Speculated
    ) -> None:
        self._jobs, self._pace, self._savings = jobs, pace, savings
        self._speculated = speculated
        self._turn: _Turn | None = None
        self._job: InFlightJob | None = None
        self._last: InfillJob | None = None
        """The last job that the engine got."""
        self._to_come = ""
        """What the user has not yet typed of the text that a speculative job assumes."""
        self.memory = Memory()
        self._prepared: tuple[KnownAnswer, int] | None = None
        """What follows a suggestion that was shown, until it is asked for, and its steps."""

    async def suggest(
        self,
        request: Request,
        settings: Settings,
        deadline_s: float | None,
        on_draft: DraftListener | None,
    ) -> Answer:
        self._supersede()
        loop = asyncio.get_running_loop()
        ends_at = None if deadline_s is None else loop.time() + deadline_s
        turn = self._turn = _Turn(request, on_draft, ends_at)
        try:
            return turn.note(await self._answer(turn, settings))
        except asyncio.CancelledError:
            # A newer request may have taken the job over by now.
            if self._turn is turn:
                self._stop()
            raise WithdrawnError(turn.note(WITHDRAWN)) from None
        finally:
            if self._turn is turn:
                self._turn = None
                if self._job is not None:
                    self._job.listen(request.site, None)

    def look_ahead(self, request: Request, answer: Answer, settings: Settings) -> None:
        """Start a speculative job for the request that follows, unless its answer is known or
        something is under way."""
        target = following(request, answer)
        if target is None or self._turn is not None or self._job is not None:
            return
        if self._last is None:
            return
        if reason_not_to_ask(target.site, Situation()) is not None:
            return
        if isinstance(self._decide(target), Reuse):
            return
        self._to_come = answer.suggestions[0].text
        ahead = Ahead(self._last)
        self._job = InFlightJob(self._jobs, target, settings, AHEAD_S, None, self._ended, ahead)

    def text_changed(self, typed: str | None) -> None:
        """A job that still waits for a pause is about a text of the past; not every editor
        withdraws its request or asks anew at once. What a speculative job assumes may have
        become wrong."""
        if self._job is None:
            return
        if self._job.is_speculative:
            if typed and self._to_come.startswith(typed):
                self._to_come = self._to_come[len(typed) :]
            else:
                self._stop()
        elif self._job.is_waiting:
            self.close()

    def other_changed(self) -> None:
        """Another document changed, of which the answers here may have used something."""
        self.memory.clear()
        self._prepared = None
        if self._job is not None and self._job.is_speculative:
            self._stop()

    def close(self) -> None:
        """Answer the waiting request with nothing, and stop the job."""
        self._supersede()
        self._stop()

    async def _answer(self, turn: _Turn, settings: Settings) -> Answer:
        while True:
            decision = self._decide(turn.request)
            if isinstance(decision, Reuse):
                if not decision.keeps_job:
                    self._stop()
                if decision.answer.how is How.PREPARED:
                    self._use_prepared()
                return decision.answer
            if isinstance(decision, Start):
                reason = self._reason_not_to_ask(turn.request)
                if reason is not None:
                    self._stop()
                    return refused(reason)
                job, how = self._start(turn.request, settings), How.NEW_JOB
            else:
                assert self._job is not None
                job, how = self._job, How.JOB_UNDER_WAY
                if job.is_speculative:
                    how = How.PREPARED
                    self._want(job)
            if job is not turn.job:
                turn.job, turn.how = job, how
            answer = await self._wait(turn, job)
            if answer is not None:
                return answer

    def _start(self, request: Request, settings: Settings) -> InFlightJob:
        wait_s = 0.0
        if request.options.may_be_empty:
            wait_s = settings.debounce_ms / 1e3
            if self._savings.pause:
                now_s = asyncio.get_running_loop().time()
                wait_s = max(wait_s, self._pace.wait_s(now_s))
        # What the job under way has shown is the last suggestion.
        replaced = self._take_job()
        earlier = earlier_of(self.memory, request) if self._savings.warm else None
        job = InFlightJob(self._jobs, request, settings, wait_s, earlier, self._ended)
        if replaced is not None:
            replaced.cancel()
        self._job = job
        return job

    async def _wait(self, turn: _Turn, job: InFlightJob) -> Answer | None:
        """The job's answer at its end or at the deadline, if it applies."""
        job.listen(turn.request.site, turn.on_draft)
        left_s = None
        if turn.ends_at is not None:
            left_s = max(0.0, turn.ends_at - asyncio.get_running_loop().time())
        ends: set[asyncio.Future[Any]] = {job.task, turn.superseded}
        await asyncio.wait(ends, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        if turn.superseded.done():
            return SUPERSEDED
        if job.task.done():
            return job.answer_to(turn.request)
        silence = self._jobs.silence()
        if not turn.is_late and turn.on_draft is None and (left := self._settled(turn, job)):
            return replace(suggested(left), how=How.DEADLINE)
        if silence is not None:
            return Answer(Outcome.FAILED, silence)
        turn.is_late, turn.ends_at = True, asyncio.get_running_loop().time() + LOOK_S
        return None

    def _settled(self, turn: _Turn, job: InFlightJob) -> tuple[Suggestion, ...]:
        """The whole lines that the job has settled, without what was typed since."""
        settled = job.settled()
        if settled:
            self.memory.add(KnownAnswer(job.request, suggested(settled), is_whole=False))
        typed = typed_between(job.request.site, turn.request.site) or ""
        return remainders(settled, typed)

    def _decide(self, request: Request) -> Decision:
        if self._job is not None and self._job.task.done():
            # The loop has not run the callback yet.
            self._ended(self._job)
        under_way = None if self._job is None else self._job.under_way
        prepared = None if self._prepared is None else self._prepared[0]
        return decide(self.memory, under_way, request, self._savings, prepared)

    def _ended(self, job: InFlightJob) -> None:
        """Cache the answer for the next request, even if this one no longer waits."""
        if self._job is not job:
            if not job.task.cancelled():
                # Asyncio logs exceptions that are never retrieved.
                job.task.exception()
            return
        self._job = None
        answer = job.answer()
        self._note(job)
        if job.is_answered:
            known = KnownAnswer(job.request, answer)
            if job.is_speculative:
                self._prepared = known, job.steps
            else:
                self.memory.add(known)
            if job.work.engine_ms is not None:
                self._pace.job_took(job.work.engine_ms / 1e3)

    def _use_prepared(self) -> None:
        """What was prepared is now the last answer."""
        assert self._prepared is not None
        known, steps = self._prepared
        self._prepared = None
        self.memory.add(known)
        self._speculated.hits += 1
        self._speculated.steps_used += steps

    def _want(self, job: InFlightJob) -> None:
        """A request waits for a speculative job from now on."""
        self._note(job)
        job.want()
        self._speculated.hits += 1
        self._speculated.steps_used += job.steps

    def _note(self, job: InFlightJob) -> None:
        """What a job, which is over or no longer speculative, leaves behind."""
        self._last = job.work.job or self._last
        if job.is_speculative and job.work.job is not None:
            self._speculated.jobs += 1
            self._speculated.steps += job.steps

    def _reason_not_to_ask(self, request: Request) -> Reason | None:
        if not self._savings.rules or not request.options.may_be_empty:
            return None
        return reason_not_to_ask(request.site, request.situation)

    def _supersede(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None and not turn.superseded.done():
            turn.superseded.set_result(None)

    def _stop(self) -> None:
        job = self._take_job()
        if job is not None:
            job.cancel()

    def _take_job(self) -> InFlightJob | None:
        """The job under way, no longer followed; what it has shown is remembered, because the
        user may come back to it."""
        job, self._job = self._job, None
        if job is not None:
            self._note(job)
        if job is not None and job.shown is not None:
            self.memory.add(KnownAnswer(job.request, suggested((job.shown,))))
        return job
