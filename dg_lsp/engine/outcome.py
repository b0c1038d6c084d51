"""What a job ends with: the candidates that are worth showing, or why there are none."""

from __future__ import annotations

from collections.abc import Sequence

from dg_lsp.job import NOTHING_MISSING, Candidate, InfillJob
from dg_lsp.reason import Reason, ReasonCode


def outcome(
    job: InfillJob,
    ranked: Sequence[Candidate],
    least_confidence: float,
    steps: int,
    *,
    is_cut_short: bool,
    is_undecided: bool,
) -> tuple[tuple[Candidate, ...], Reason | None]:
    """The best of the ranked candidates, and a reason if none is good enough.

    `is_cut_short` says that the deadline ended the job, `is_undecided` that tokens of a text
    were still undecided when the steps were used up.
    """
    is_empty = bool(ranked) and not ranked[0].text
    written = [] if is_empty else [one for one in ranked if one.text]
    sure = [candidate for candidate in written if candidate.confidence >= least_confidence]
    if sure:
        return tuple(sure[: job.candidates + job.extra_candidates]), None
    if is_cut_short:
        over = f"the {job.deadline_s:g} s were over before there was a usable text"
        return (), Reason(ReasonCode.DEADLINE, over)
    if is_undecided and not written:
        undecided = f"some tokens were still undecided after {steps} steps"
        return (), Reason(ReasonCode.UNDECIDED, undecided)
    if is_empty:
        return (), NOTHING_MISSING
    if not written and job.shown:
        again = "the model wrote nothing that has not been shown already"
        return (), Reason(ReasonCode.ALREADY_SHOWN, again)
    if not written:
        return (), Reason(ReasonCode.BLANK, "the model wrote bytes that form no text")
    unsure = f"confidence {written[0].confidence:.2f} is below {least_confidence:.2f}"
    return (), Reason(ReasonCode.LOW_CONFIDENCE, unsure)
