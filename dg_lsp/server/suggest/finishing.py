"""Turns the engine's infill into an answer, for infills and rewrites alike."""

from __future__ import annotations

import functools

from dg_lsp.document.reasons import why_nothing
from dg_lsp.document.suggestions import InsertionSite, Standard, suggestions_for
from dg_lsp.job import JobResult, JobState
from dg_lsp.reason import Reason
from dg_lsp.server.suggest.answer import Answer, Outcome, Work, suggested


def answer_of(result: JobResult, site: InsertionSite, standard: Standard, work: Work) -> Answer:
    """The candidates that may be suggested at the site, or the reason why there are none.

    The reason is found when it is asked for, because judging candidates of which the model is
    too unsure would hold the answer up.
    """
    work.rest()
    infill, job = result.infill, work.job
    is_any_sure = any(one.confidence >= standard.min_confidence for one in infill.candidates)
    suggestions = suggestions_for(infill.candidates, site, standard, job) if is_any_sure else ()
    work.lap("finish")
    if suggestions:
        return suggested(suggestions)
    failed = result.state is JobState.FAILED

    @functools.cache
    def reason() -> Reason:
        return why_nothing(infill, site, standard, job)

    return Answer(Outcome.FAILED if failed else Outcome.NOTHING, reason)
