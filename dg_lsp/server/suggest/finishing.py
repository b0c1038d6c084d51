"""Turns the engine's infill into an answer, for infills and rewrites alike."""

from __future__ import annotations

from dg_lsp.document.reasons import why_nothing
from dg_lsp.document.suggestions import InsertionSite, Standard, suggestions_for
from dg_lsp.job import JobResult, JobState
from dg_lsp.server.suggest.answer import Answer, Outcome, Work, suggested


def answer_of(result: JobResult, site: InsertionSite, standard: Standard, work: Work) -> Answer:
    """The candidates that may be suggested at the site, or the reason why there are none."""
    work.rest()
    suggestions = suggestions_for(result.infill.candidates, site, standard, work.job)
    work.lap("finish")
    if suggestions:
        return suggested(suggestions)
    failed = result.state is JobState.FAILED
    reason = why_nothing(result.infill, site, standard, work.job)
    return Answer(Outcome.FAILED if failed else Outcome.NOTHING, reason)
