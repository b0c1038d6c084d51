"""Explains why nothing that a model wrote can be suggested."""

from __future__ import annotations

import math
from dataclasses import replace

from dg_lsp.document.suggestions import (
    InsertionSite,
    Standard,
    is_warm,
    suggestions_for,
    writes_mask,
)
from dg_lsp.job import NOTHING_MISSING, Infill, InfillJob
from dg_lsp.reason import Reason, ReasonCode


def why_nothing(
    infill: Infill, site: InsertionSite, standard: Standard, job: InfillJob | None = None
) -> Reason:
    """The reason why none of an infill's candidates meets the standard.

    The standard is relaxed step by step, in the order in which a user would ask; the reason is
    the first requirement without which something would be suggested.
    """
    written = infill.candidates
    if not written:
        return infill.reason or NOTHING_MISSING
    lowered = replace(standard, min_confidence=0.0)
    if unsure := suggestions_for(written, site, lowered, job):
        best = math.floor(100 * max(one.confidence for one in unsure)) / 100
        least = f"{standard.min_confidence:g}"
        return Reason(ReasonCode.LOW_CONFIDENCE, f"below `minConfidence` {least} ({best:.2f})")
    lowered = replace(lowered, may_break=True)
    if suggestions_for(written, site, lowered, job):
        return Reason(
            ReasonCode.INVALID, "the code would not be valid with what the model wrote"
        )
    texts = [text for one in written for text in one.segments or (one.text,)]
    if any(writes_mask(text, site, job) for text in texts):
        return Reason(
            ReasonCode.SECRET, "the model wrote the asterisks that stand for a secret"
        )
    if job is not None and suggestions_for(written, site, lowered, replace(job, shown=())):
        return Reason(
            ReasonCode.ALREADY_SHOWN, "the model wrote nothing that has not been shown already"
        )
    if suggestions_for(written, site, replace(lowered, one_line=False), job):
        return Reason(
            ReasonCode.ONE_LINE,
            "only one line may go in here (`multiLine`), and the model began with a line end",
        )
    if not any(text.strip() for text in texts):
        return Reason(ReasonCode.BLANK, "the model wrote nothing, or only blanks")
    if is_warm(site, job):
        return Reason(
            ReasonCode.ALREADY_THERE, "the model found nothing better around what stays"
        )
    return Reason(
        ReasonCode.ALREADY_THERE, "everything that the model wrote stands there already"
    )
