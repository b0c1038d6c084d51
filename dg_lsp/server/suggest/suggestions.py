"""Which answer a cursor gets: the last one's remainder, the job under way, or a new job.

Per document: the newest request wins, whether or not the client cancels the older one; what is
typed in agreement with the last answer is answered at once; a job whose request was answered
at its deadline runs on, and the next request at the same place picks it up. Knows nothing of
LSP, nor of how a job is carried out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from dg_lsp.document.reasons import why_nothing
from dg_lsp.document.request import RequestOptions, RequestRefusedError
from dg_lsp.document.suggestions import (
    InsertionSite,
    Standard,
    Suggestion,
    finish_at,
    suggestions_for,
)
from dg_lsp.job import Candidate, Draft, JobState
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server.settings import Settings
from dg_lsp.server.suggest.draft_suggestions import (
    DraftSuggestion,
    cut_typed,
    one_line,
    remainders,
    settled_lines,
    typed_between,
)
from dg_lsp.server.suggest.jobs import Filled, Jobs
from dg_lsp.server.tracing import How, Outcome, Trace, Work

log = logging.getLogger(__name__)

DraftListener = Callable[[Callable[[], DraftSuggestion | None]], None]
"""Is told that there is a draft, and may ask for it; finishing one costs time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with; with no offers, `reason` says why."""

    suggestions: tuple[Suggestion, ...] = ()
    reason: Reason | None = None
    failed: bool = False


SUPERSEDED = Answer(
    reason=Reason(ReasonCode.SUPERSEDED, "a newer request of the same document came in")
)


class Suggestions:
    """The suggestions of one client, document by document."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._lines: dict[str, _Line] = {}

    async def suggest(
        self,
        site: InsertionSite,
        options: RequestOptions,
        settings: Settings,
        deadline_s: float | None,
        trace: Trace,
        on_draft: DraftListener | None = None,
    ) -> Answer:
        """Answer one request, whose trace says why; cancelling it stops the job.

        1. An older request on the document is answered with nothing.
        2. The last answer, where what was typed since agrees with it.
        3. The job under way, where it is for this place; else a new one.
        4. At the deadline, the whole lines that are settled; the job runs on. Where none are,
           the request waits on, as not every client asks again.
        """
        line = self._lines.setdefault(site.uri, _Line())
        line.supersede_waiter()
        known = line.remainder(site, options)
        if known is not None:
            line.leave_others(site)
            trace.how = How.LAST_ANSWER
            return known
        loop = asyncio.get_running_loop()
        ends_at = None if deadline_s is None else loop.time() + deadline_s
        waiter = line.waiter = loop.create_future()
        try:
            while True:
                ask = line.ask
                if ask is None or not ask.is_for(site, options):
                    ask = line.begin(_Ask(self._jobs, site, options, settings))
                    trace.how = How.NEW_JOB
                elif ask.work is not trace.work:
                    trace.how = How.JOB_UNDER_WAY
                trace.work = ask.work
                ask.listen(site, on_draft)
                left_s = None if ends_at is None else max(0.0, ends_at - loop.time())
                await asyncio.wait(
                    {ask.task, waiter}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED
                )
                if waiter.done():
                    trace.outcome = Outcome.SUPERSEDED
                    return SUPERSEDED
                if not ask.task.done():
                    answer = line.settle_for_less(ask, site)
                    if answer.suggestions:
                        trace.how = How.DEADLINE
                        return answer
                    ends_at = None
                    continue
                typed = typed_between(ask.site, site) or ""
                answer = line.finish(ask, typed)
                if not typed:
                    return answer
                left = remainders(answer.suggestions, typed)
                if left or answer.failed:
                    return Answer(left, answer.reason, answer.failed)
                # It turned out to write something else than what was typed since: once more.
        except asyncio.CancelledError:
            # A newer request may have taken the job over by now.
            if line.waiter is waiter:
                line.stop()
            raise
        finally:
            if line.waiter is waiter:
                line.waiter = None
                if line.ask is not None:
                    line.ask.listen(site, None)

    def forget(self, uri: str) -> None:
        """The document was closed."""
        line = self._lines.pop(uri, None)
        if line is not None:
            line.supersede_waiter()
            line.stop()

    def close(self) -> None:
        for uri in [*self._lines]:
            self.forget(uri)


class _Ask:
    """A job under way for a place."""

    def __init__(
        self, jobs: Jobs, site: InsertionSite, options: RequestOptions, settings: Settings
    ) -> None:
        self.site, self.options, self.settings = site, options, settings
        self.work = Work()
        self._jobs = jobs
        self._listener: DraftListener | None = None
        self._listening_at = site
        self._before: Draft | None = None
        self._latest: Draft | None = None
        is_automatic = options.may_be_empty
        self._standard = Standard(
            options.candidates,
            settings.min_confidence if is_automatic else 0.0,
            may_break=not is_automatic,
            one_line=one_line(site, settings.multi_line),
        )
        self._judged: tuple[Candidate, Suggestion | None] | None = None
        """The candidate of the last drafts, and what would be offered if the job ended so."""
        self._shown: Suggestion | None = None
        """What the user has seen of it so far."""
        self.task = asyncio.create_task(self._run())

    def is_for(self, site: InsertionSite, options: RequestOptions) -> bool:
        """Whether its outcome would answer this request too."""
        if self.task.done() or options.candidates > self.options.candidates:
            return False
        if self.options.may_be_empty and not options.may_be_empty:
            return False
        typed = typed_between(self.site, site)
        if typed is None:
            return False
        return not typed or any(text.startswith(typed) for text in self._texts())

    def listen(self, site: InsertionSite, listener: DraftListener | None) -> None:
        """Tell the listener of drafts from now on, as they would stand at the place."""
        self._listening_at, self._listener = site, listener

    def settled(self) -> tuple[Suggestion, ...]:
        """What can be offered before the end."""
        if self._latest is None:
            return ()
        text = self._finished(settled_lines(self._before, self._latest))
        return (Suggestion(text, 1.0, (1.0,) * len(text)),) if text else ()

    def is_done(self) -> bool:
        """Whether it ended with an answer of the model, be it an empty one."""
        if self.task.cancelled() or self.task.exception() is not None:
            return False
        return self.task.result().state is JobState.DONE

    def answer(self, typed: str) -> Answer:
        """The outcome of the job that has ended, for somebody who has typed that since.

        What was shown and has passed for an offer stands where nothing else comes up to it.
        """
        if self.task.cancelled():
            return Answer(reason=Reason(ReasonCode.CANCELLED, "the job was cancelled"))
        error = self.task.exception()
        if isinstance(error, RequestRefusedError):
            return Answer(reason=error.reason)
        if error is not None:
            log.error("a job could not be handed to the engine", exc_info=error)
            defect = Reason(ReasonCode.DEFECT, "the server failed; its log says how")
            return Answer(reason=defect, failed=True)
        filled = self.task.result()
        self.work.rest()
        candidates, standard = filled.infill.candidates, self._standard
        suggestions = suggestions_for(candidates, self.site, standard)
        shown = () if self._shown is None else (self._shown,)
        if remainders(shown, typed) and not remainders(suggestions, typed) and self.is_done():
            suggestions = shown
        self.work.lap("finish")
        reason = None if suggestions else why_nothing(filled.infill, self.site, standard)
        return Answer(suggestions, reason, filled.state is JobState.FAILED)

    def _finished(self, raw: str) -> str:
        on_one = one_line(self.site, self.settings.multi_line)
        return finish_at(raw, self.site, one_line=on_one)

    async def _run(self) -> Filled:
        if self.options.may_be_empty and self.settings.debounce_ms:
            await asyncio.sleep(self.settings.debounce_ms / 1e3)
            self.work.lap("debounce")
        return await self._jobs.fill(
            self.site, self.options, self.settings, self._take, self.work
        )

    def _take(self, draft: Draft) -> None:
        if self._latest is None:
            # What the document opens and closes is remembered: the answer is finished faster.
            self._finished(draft.text)
        self._before, self._latest = self._latest, draft
        if self._listener is not None:
            self._listener(self._draft_now)

    def _draft_now(self) -> DraftSuggestion | None:
        """What would be offered if the job ended now: nothing else is worth a look."""
        typed = typed_between(self.site, self._listening_at)
        draft = self._latest
        if draft is None or draft.candidate is None or typed is None:
            return None
        if self._judged is None or self._judged[0] != draft.candidate:
            suggestions = suggestions_for([draft.candidate], self.site, self._standard)
            self._judged = draft.candidate, suggestions[0] if suggestions else None
        suggestion = self._judged[1]
        if suggestion is None:
            return None
        left = cut_typed(
            DraftSuggestion(suggestion, len(suggestion.text), draft.step, draft.steps_allowed),
            typed,
        )
        if left is not None:
            self._shown = suggestion
        return left

    def _texts(self) -> list[str]:
        """All that it may turn out to write, for what is known."""
        texts = [] if self._shown is None else [self._shown.text]
        if self._latest is not None:
            texts.append(self._latest.text)
        return texts


class _Line:
    """What is known of one document: who waits, what runs, what was answered."""

    def __init__(self) -> None:
        self.waiter: asyncio.Future[None] | None = None
        self.ask: _Ask | None = None
        self._place: InsertionSite | None = None
        self._wanted = RequestOptions()
        self._answer = Answer()
        self._is_whole = True
        """False for an answer that was cut short by a deadline."""

    def supersede_waiter(self) -> None:
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def remainder(self, site: InsertionSite, options: RequestOptions) -> Answer | None:
        """An answer from what was answered before."""
        if self._place is None or options.candidates > self._wanted.candidates:
            return None
        typed = typed_between(self._place, site)
        if typed is None:
            return None
        if not typed and not self._is_whole:
            # There is more, perhaps on its way.
            return None
        left = remainders(self._answer.suggestions, typed)
        if left:
            return Answer(left)
        # The same question has the same answer, but a user who insists asks another one.
        if not typed and (options.may_be_empty or not self._wanted.may_be_empty):
            return self._answer
        return None

    def begin(self, ask: _Ask) -> _Ask:
        self.stop()
        self.ask = ask
        # A job that nobody waits for at its end leaves its answer for the next request.
        ask.task.add_done_callback(lambda task: self._ended(ask))
        return ask

    def leave_others(self, site: InsertionSite) -> None:
        """Stop a job for another place, as nobody waits for it any more."""
        if self.ask is not None and typed_between(self.ask.site, site) is None:
            self.stop()

    def stop(self) -> None:
        ask, self.ask = self.ask, None
        if ask is not None:
            ask.task.cancel()

    def finish(self, ask: _Ask, typed: str) -> Answer:
        answer = ask.answer(typed)
        if self.ask is ask:
            self.ask = None
        if ask.is_done():
            self._keep(ask, answer, is_whole=True)
        return answer

    def settle_for_less(self, ask: _Ask, site: InsertionSite) -> Answer:
        """What can be answered at the deadline."""
        suggestions = ask.settled()
        if suggestions:
            self._keep(ask, Answer(suggestions), is_whole=False)
        return Answer(remainders(suggestions, typed_between(ask.site, site) or ""))

    def _keep(self, ask: _Ask, answer: Answer, is_whole: bool) -> None:
        self._place, self._wanted = ask.site, ask.options
        self._answer, self._is_whole = answer, is_whole

    def _ended(self, ask: _Ask) -> None:
        if self.ask is ask and self.waiter is None:
            self.finish(ask, "")
        elif not ask.task.cancelled():
            # Retrieved, or asyncio would complain of an error that nobody looked at.
            ask.task.exception()
