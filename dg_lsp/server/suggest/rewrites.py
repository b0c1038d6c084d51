"""A rewrite: a job of its own, tried again while its text would break the code or is not new.

Like an infill, it goes through `jobs.py` and `finishing.py`, but it may take several attempts.
Answers are remembered, so that a user who turns the strength up and down again need not wait
for a text that was there before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from dg_lsp.document.request import RequestRefusedError
from dg_lsp.document.retrying import Try, first_sound
from dg_lsp.document.suggestions import Standard, Suggestion, one_line, writes_mask
from dg_lsp.job import Draft
from dg_lsp.reason import ReasonCode
from dg_lsp.server.settings import Settings
from dg_lsp.server.suggest.answer import WITHDRAWN, Answer, How, WithdrawnError, Work, refused
from dg_lsp.server.suggest.decide import KnownAnswer, Request
from dg_lsp.server.suggest.finishing import answer_of
from dg_lsp.server.suggest.jobs import Jobs
from dg_lsp.server.suggest.memory import Memory


class Rewrites:
    """The rewrites of one client."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._memory = Memory()

    async def rewrite(
        self,
        request: Request,
        settings: Settings,
        on_draft: Callable[[Draft | None, Draft], None],
    ) -> Answer:
        """The answer that the same request was given before, or that of new attempts."""
        known = next((one.answer for one in self._memory if one.request == request), None)
        if known is not None:
            return replace(known, how=How.REMEMBERED)
        answer = await _write(self._jobs, request, settings, on_draft)
        if answer.suggestions:
            self._memory.add(KnownAnswer(request, replace(answer, work=None)))
        return answer

    def text_changed(self, uri: str) -> None:
        """A document changed, which the rewrites of other documents may depend on; those of its
        own that do are other requests from now on."""
        self._memory.drop(lambda one: one.request.site.uri != uri)

    def forget(self, uri: str) -> None:
        """The document was closed."""
        self._memory.drop(lambda one: one.request.site.uri == uri)

    def close(self) -> None:
        self._memory.clear()


async def _write(
    jobs: Jobs,
    request: Request,
    settings: Settings,
    on_draft: Callable[[Draft | None, Draft], None],
) -> Answer:
    """The answer of the first attempt that breaks nothing, or else of the very first one.

    `on_draft` gets each draft with the one before it in the same attempt.
    Cancelling it stops the current attempt and raises `WithdrawnError`.
    """
    site, work = request.site, Work()
    standard = Standard(one_line=one_line(site, settings.multi_line))

    async def write(one: Try) -> tuple[Answer, tuple[Suggestion, ...]]:
        before: Draft | None = None

        def show(draft: Draft) -> None:
            nonlocal before
            older, before = before, draft
            if not writes_mask(draft.text, site, work.job):
                on_draft(older, draft)

        options = replace(request.options, seed=one.seed, deadline_s=one.deadline_s)
        filled = await jobs.fill(site, options, settings, show, work)
        answer = answer_of(filled, site, standard, work)
        return answer, answer.suggestions

    try:
        answer, _ = await first_sound(write, site, request.options.seed, _nothing_new)
    except RequestRefusedError as error:
        answer = refused(error.reason)
    except asyncio.CancelledError:
        raise WithdrawnError(replace(WITHDRAWN, how=How.NEW_JOB, work=work)) from None
    return replace(answer, how=How.NEW_JOB, work=work)


def _nothing_new(answer: Answer) -> bool:
    return answer.reason is not None and answer.reason.code is ReasonCode.ALREADY_SHOWN
