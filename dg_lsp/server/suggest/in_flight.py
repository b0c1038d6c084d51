"""One job of a document while it runs: the delay before it, its drafts, and its answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from dg_lsp.document.request import RequestRefusedError
from dg_lsp.document.suggestions import (
    InsertionSite,
    Standard,
    Suggestion,
    finish_at,
    one_line,
    suggestions_for,
    writes_mask,
)
from dg_lsp.job import Candidate, Draft, Earlier, JobResult, JobState, source_of
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server.settings import Settings
from dg_lsp.server.suggest.answer import Answer, Outcome, Work, refused, suggested
from dg_lsp.server.suggest.decide import JobUnderWay, Request
from dg_lsp.server.suggest.draft_suggestions import (
    DraftListener,
    DraftSuggestion,
    cut_typed,
    remainders,
    settled_lines,
    suggest_gaps,
    typed_between,
)
from dg_lsp.server.suggest.finishing import answer_of
from dg_lsp.server.suggest.jobs import Jobs
from dg_lsp.server.suggest.speculation import Ahead

log = logging.getLogger(__name__)

BUILDING_S = 0.03
"""How long before the end of a pause a job is built: it is ready when the pause is over, but a
key early in the pause costs nothing."""


class InFlightJob:
    """A job that runs until it ends or is cancelled, even if no request waits for it."""

    def __init__(
        self,
        jobs: Jobs,
        request: Request,
        settings: Settings,
        wait_s: float,
        earlier: Earlier | None,
        on_end: Callable[[InFlightJob], None],
        ahead: Ahead | None = None,
    ) -> None:
        """It begins after `wait_s`; with `ahead` it is speculative."""
        self.request = request
        self._options = replace(request.options, earlier=earlier)
        self._ahead = ahead
        self.is_waiting = wait_s > 0
        """Whether it waits for a pause in typing, so that the engine does not have it yet."""
        self.work = Work()
        self._jobs, self._settings, self._wait_s = jobs, settings, wait_s
        self._listener: DraftListener | None = None
        self._listening_at = request.site
        self._before: Draft | None = None
        self._latest: Draft | None = None
        is_automatic = request.options.may_be_empty
        self._standard = Standard(
            request.options.candidates,
            settings.min_confidence if is_automatic else 0.0,
            may_break=not is_automatic,
            one_line=one_line(request.site, settings.multi_line),
        )
        self._judged: tuple[Candidate, Suggestion | None] | None = None
        """The candidate of the last drafts, and the suggestion if the job ended with it."""
        self.shown: Suggestion | None = None
        """The suggestion that the user saw last."""
        self._answer: Answer | None = None
        self.task = asyncio.create_task(self._run())
        self.task.add_done_callback(lambda task: on_end(self))

    @property
    def under_way(self) -> JobUnderWay:
        """Its state, for a decision while it runs."""
        texts = [] if self.shown is None else [self.shown.text]
        if self._latest is not None:
            texts.append(self._latest.text)
        return JobUnderWay(self.request, tuple(texts), self.is_speculative)

    @property
    def is_speculative(self) -> bool:
        """Whether nobody waits for it yet."""
        return self._ahead is not None and not self._ahead.wanted.is_set()

    @property
    def steps(self) -> int:
        """Denoising steps until now."""
        if self.work.infill is not None:
            return self.work.infill.steps
        return 0 if self._latest is None else self._latest.step

    def want(self) -> None:
        """Somebody waits for it from now on."""
        if self._ahead is not None:
            self._ahead.wanted.set()

    @property
    def is_answered(self) -> bool:
        """Whether it ended with an answer of the model, even an empty one."""
        if not self.task.done() or self.task.cancelled() or self.task.exception() is not None:
            return False
        return self.task.result().state is JobState.DONE

    def listen(self, site: InsertionSite, listener: DraftListener | None) -> None:
        """Report drafts to the listener from now on, adapted to the site."""
        self._listening_at, self._listener = site, listener

    def cancel(self) -> None:
        self.task.cancel()

    def settled(self) -> tuple[Suggestion, ...]:
        """What can be suggested before the end: the whole lines that have settled."""
        if self._latest is None:
            return ()
        text, best = settled_lines(self._before, self._latest), self._latest.candidate
        standard, job = Standard(one_line=self._standard.one_line), self.work.job
        found = suggestions_for([Candidate(text, 1.0, 0.0)], self.request.site, standard, job)
        if best is None or job is None or not best.text.startswith(text):
            return found
        source = source_of(best, job.all_seeds)
        return tuple(replace(suggestion, source=source) for suggestion in found)

    def answer(self) -> Answer:
        """The job's answer, once it has ended, for the site that it began at."""
        if self._answer is None:
            self._answer = self._judge_outcome()
        return self._answer

    def answer_to(self, request: Request) -> Answer | None:
        """The answer to a later request, without the text typed since.

        `None` if the job wrote something else.
        """
        answer = self.answer()
        typed = typed_between(self.request.site, request.site) or ""
        if not typed or answer.failed:
            return answer
        left = remainders(answer.suggestions, typed)
        return suggested(left) if left else None

    def _judge_outcome(self) -> Answer:
        """The job's answer; a text that was shown stays the first, unless the best goes on from
        it."""
        if self.task.cancelled():
            cancelled = Reason(ReasonCode.CANCELLED, "the job was cancelled")
            return Answer(Outcome.NOTHING, cancelled)
        error = self.task.exception()
        if isinstance(error, RequestRefusedError):
            return refused(error.reason)
        if error is not None:
            log.error("a job could not be handed to the engine", exc_info=error)
            defect = Reason(ReasonCode.DEFECT, "the server failed; its log says how")
            return Answer(Outcome.FAILED, defect)
        answer = answer_of(self.task.result(), self.request.site, self._standard, self.work)
        if self.shown is None or not self.is_answered:
            return answer
        if any(best.text.startswith(self.shown.text) for best in answer.suggestions[:1]):
            return answer
        others = [one for one in answer.suggestions if one.text != self.shown.text]
        return suggested((self.shown, *others[: self.request.options.candidates - 1]))

    async def _run(self) -> JobResult:
        pause = None
        if self._wait_s:
            clock = asyncio.get_running_loop().time
            ends_at = clock() + self._wait_s
            building_s = BUILDING_S if self._ahead is None else 0.0
            await asyncio.sleep(self._wait_s - building_s)
            self.work.lap("debounce")

            async def pause() -> None:
                await asyncio.sleep(ends_at - clock())
                self.is_waiting = False

        return await self._jobs.fill(
            self.request.site,
            self._options,
            self._settings,
            self._take,
            self.work,
            self._ahead,
            pause,
        )

    def _take(self, draft: Draft) -> None:
        if self._latest is None:
            # Caches which brackets the document opens and closes, so that finishing is faster.
            finish_at(draft.text, self.request.site, one_line=self._standard.one_line)
        self._before, self._latest = self._latest, draft
        if self._listener is not None:
            self._listener(self._draft_now)
        if self._may_win(draft):
            # While the engine works: what this finds out is cached until the job ends.
            self._judge(draft)

    def _may_win(self, draft: Draft) -> bool:
        """Whether a draft's candidate is the first, or the same as a step before."""
        if draft.candidate is None:
            return False
        before = None if self._before is None else self._before.candidate
        return before is None or before.text == draft.candidate.text

    def _judge(self, draft: Draft) -> Suggestion | None:
        """The suggestion if the job ended with a draft's candidate."""
        assert draft.candidate is not None
        if self._judged is None or self._judged[0] != draft.candidate:
            found = suggestions_for(
                [draft.candidate], self.request.site, self._standard, self.work.job
            )
            self._judged = draft.candidate, found[0] if found else None
        return self._judged[1]

    def _draft_now(self) -> DraftSuggestion | None:
        """What would be suggested if the job ended now, or what is decided of a text with gaps.

        Other drafts are not shown.
        """
        typed = typed_between(self.request.site, self._listening_at)
        draft = self._latest
        if draft is None or typed is None:
            return None
        if draft.candidate is None:
            gaps = suggest_gaps(self._before, draft, self.request.site, self._standard)
            if gaps is None or writes_mask(
                gaps.suggestion.text, self.request.site, self.work.job
            ):
                return None
            return cut_typed(gaps, typed)
        suggestion = self._judge(draft)
        if self.shown is not None and (
            suggestion is None or not suggestion.text.startswith(self.shown.text)
        ):
            # What the user is reading does not change.
            suggestion = self.shown
        if suggestion is None:
            return None
        left = cut_typed(
            DraftSuggestion(suggestion, len(suggestion.text), draft.step, draft.steps_allowed),
            typed,
        )
        if left is not None:
            self.shown = suggestion
        return left
