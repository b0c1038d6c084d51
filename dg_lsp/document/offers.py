"""From what the engine returns to what is offered at a place in a document.

Pure functions. Knows nothing of LSP, of jobs under way or of the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dg_lsp.document.edit import finish
from dg_lsp.document.position import LINE_END
from dg_lsp.document.syntax import breaks_syntax
from dg_lsp.job import Candidate


@dataclass(frozen=True, slots=True)
class Place:
    """A cursor or a selection in a document, and everything around it.

    All of the document, not the model's window of it: brackets may close far below.
    """

    uri: str
    path: str
    """As the user knows it; the model sees it."""
    language: str
    newline: str
    prefix: str
    suffix: str
    replaced: str | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """A text that may be put at a place."""

    text: str
    confidence: float
    confidences: tuple[float, ...]
    """Probability of each character of `text`."""


@dataclass(frozen=True, slots=True)
class Standard:
    """What a candidate must come up to."""

    count: int = 1
    """How many are offered at most."""
    min_confidence: float = 0.0
    may_break: bool = True
    """Whether a text that leaves the code invalid is better than none, as where a user asks."""
    one_line: bool = False
    """Whether only the first line of a text is offered."""


def offers_of(
    candidates: Sequence[Candidate], place: Place, standard: Standard
) -> tuple[Offer, ...]:
    """The finished candidates, best first, without the empty ones and repetitions.

    Those that would break the syntax of the code around come after all others, if at all.
    """
    fitting: dict[str, Offer] = {}
    breaking: dict[str, Offer] = {}
    for candidate in sorted(candidates, key=lambda one: one.score, reverse=True):
        if len(fitting) == standard.count:
            break  # Finishing and judging take time; spares are for where they are needed.
        text = finish_at(candidate.text, place, one_line=standard.one_line)
        if text and text != place.replaced and text not in fitting and text not in breaking:
            sure = candidate.confidences or (candidate.confidence,) * len(candidate.text)
            confidences = left_of(candidate.text, sure, text, candidate.confidence)
            breaks = breaks_syntax(text, place.prefix, place.suffix, place.language)
            kind = breaking if breaks else fitting
            kind[text] = Offer(text, candidate.confidence, confidences)
    last_resort = breaking.values() if standard.may_break else ()
    best = [*fitting.values(), *last_resort][: standard.count]
    # A worse text is no way out where the best one is unsure.
    return tuple(offer for offer in best if offer.confidence >= standard.min_confidence)


def finish_at(text: str, place: Place, *, one_line: bool) -> str:
    """The text as it goes into the document; the whole of it decides what closes."""
    text = finish(text, place.prefix, place.suffix, place.newline, place.language)
    return LINE_END.split(text, maxsplit=1)[0] if one_line else text


def left_of(
    raw: str, confidences: Sequence[float], text: str, otherwise: float
) -> tuple[float, ...]:
    """The probability of each character that finishing has left of a raw text."""
    start = raw.find(text.replace("\r\n", "\n").replace("\r", "\n"))
    if start < 0 or len(confidences) != len(raw):
        return (otherwise,) * len(text)
    left: list[float] = []
    for at in range(len(text)):
        left.append(confidences[min(start, len(confidences) - 1)])
        # A carriage return that finishing has added is as sure as its newline.
        start += not text.startswith("\r\n", at)
    return tuple(left)
