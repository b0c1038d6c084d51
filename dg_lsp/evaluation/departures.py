"""Measures warm starts: a suggestion is shown, and the user types another character.

The suggestion is what an editor would show at the start of a span, if it is sure enough. The
user types the true text up to the first character that differs. There the span's rest is asked
for twice: cold, and starting from the rest of the suggestion.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from dg_lsp.document.departure import departure
from dg_lsp.document.position import common_length
from dg_lsp.evaluation.methods import Outcome, infiller
from dg_lsp.evaluation.spans import PUBLIC, TrueSpan, job_of
from dg_lsp.job import Earlier
from dg_lsp.models.loading import LoadedModel


@dataclass(frozen=True, slots=True)
class Departure:
    """A place where the user has departed from a suggestion."""

    span: TrueSpan
    """The rest of the span, after what was typed."""
    earlier: Earlier


def departures(
    model: LoadedModel, spans: Iterable[TrueSpan], min_confidence: float
) -> list[Departure]:
    """The departures in these spans; none where nothing is suggested, where the suggestion is
    right as far as it goes, or where nothing is left of it."""
    found = []
    for span in spans:
        shown = infiller(model.settings, job_of(span, context=PUBLIC), model)
        same = common_length(shown.text, span.text, min(len(shown.text), len(span.text)))
        typed = span.text[: same + 1]
        earlier = departure(shown.text, typed)
        if shown.confidence < min_confidence or earlier is None or typed == span.text:
            continue
        left = dataclasses.replace(
            span, prefix=span.prefix + typed, text=span.text[len(typed) :]
        )
        found.append(Departure(left, earlier))
    return found


def fill(model: LoadedModel, one: Departure, *, is_warm: bool) -> Outcome:
    """What the model writes after a departure."""
    job = job_of(one.span, context=PUBLIC)
    if is_warm:
        job = dataclasses.replace(job, earlier=one.earlier)
    return infiller(model.settings, job, model)
