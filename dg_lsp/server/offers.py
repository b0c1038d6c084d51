"""From what the engine returns to what is offered at a place in a document.

Pure functions. Knows nothing of LSP, of jobs under way or of the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dg_lsp.document.edit import finish, is_only_closers, match_newlines
from dg_lsp.document.position import LINE_END
from dg_lsp.document.syntax import breaks_syntax
from dg_lsp.job import Candidate, Draft
from dg_lsp.server.documents import common_length
from dg_lsp.server.settings import MultiLine

SETTLED_CONFIDENCE = 0.9
"""Characters less sure than this still change often; a deadline's answer leaves them out."""


@dataclass(frozen=True, slots=True)
class Place:
    """A cursor or a selection in a document, and everything around it."""

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
class DraftOffer:
    """A draft as it would be put at the place now."""

    offer: Offer
    settled: int
    """Characters at the beginning that the last steps have not changed."""
    step: int
    steps_allowed: int


@dataclass(frozen=True, slots=True)
class Standard:
    """What a candidate must come up to."""

    count: int = 1
    """How many are offered at most."""
    min_confidence: float = 0.0
    may_break: bool = True
    """Whether a text that leaves the code invalid is better than none, as where a user asks."""


def offers_of(
    candidates: Sequence[Candidate],
    place: Place,
    multi_line: MultiLine,
    standard: Standard,
) -> tuple[Offer, ...]:
    """The finished candidates, best first, without the empty ones and repetitions.

    Those that would break the syntax of the code around come after all others, if at all.
    """
    fitting: dict[str, Offer] = {}
    breaking: dict[str, Offer] = {}
    for candidate in sorted(candidates, key=lambda one: one.score, reverse=True):
        if len(fitting) == standard.count:
            break  # Finishing and judging take time; spares are for where they are needed.
        text = finish_at(candidate.text, place, multi_line)
        if text and text != place.replaced and text not in fitting and text not in breaking:
            sure = candidate.confidences or (candidate.confidence,) * len(candidate.text)
            confidences = _left_of(candidate.text, sure, text, candidate.confidence)
            breaks = breaks_syntax(text, place.prefix, place.suffix, place.language)
            kind = breaking if breaks else fitting
            kind[text] = Offer(text, candidate.confidence, confidences)
    last_resort = breaking.values() if standard.may_break else ()
    best = [*fitting.values(), *last_resort][: standard.count]
    # A worse text is no way out where the best one is unsure.
    return tuple(offer for offer in best if offer.confidence >= standard.min_confidence)


def offer_draft(
    before: Draft | None, draft: Draft, place: Place, multi_line: MultiLine
) -> DraftOffer:
    """A draft finished like a candidate, and how much of it stands."""
    text = finish_at(draft.text, place, multi_line)
    mean = sum(draft.confidence) / len(draft.confidence) if draft.confidence else 0.0
    confidences = _left_of(draft.text, draft.confidence, text, mean)
    # Finishing costs time in a long document; where it has cut at the start nothing stands.
    stands = match_newlines(draft.text[: _settled(before, draft)], place.newline)
    settled = common_length(stands, text, min(len(stands), len(text)))
    return DraftOffer(Offer(text, mean, confidences), settled, draft.step, draft.steps_allowed)


def cut_typed(draft: DraftOffer, typed: str) -> DraftOffer | None:
    """The draft without its beginning that was typed; `None` where it begins otherwise."""
    left = remainders([draft.offer], typed)
    if not left:
        return None
    settled = max(0, draft.settled - len(typed))
    return DraftOffer(left[0], settled, draft.step, draft.steps_allowed)


def settled_lines(before: Draft | None, draft: Draft) -> str:
    """The whole lines at the beginning of a draft that can be offered as they are."""
    length = _settled(before, draft)
    if length == len(draft.text):
        return draft.text
    ends = [end.end() for end in LINE_END.finditer(draft.text) if end.end() <= length]
    return draft.text[: ends[-1]] if ends else ""


def finish_at(text: str, place: Place, multi_line: MultiLine) -> str:
    """The text as it goes into the document; the whole of it decides what closes."""
    text = finish(text, place.prefix, place.suffix, place.newline, place.language)
    if place.replaced is not None or _has_room(place, multi_line):
        return text
    return LINE_END.split(text, maxsplit=1)[0]


def remainders(offers: Sequence[Offer], typed: str) -> tuple[Offer, ...]:
    """What is left of the offers that begin with what was typed."""
    done = len(typed)
    return tuple(
        Offer(offer.text[done:], offer.confidence, offer.confidences[done:])
        for offer in offers
        if offer.text.startswith(typed) and len(offer.text) > done
    )


def typed_between(asked: Place, now: Place) -> str | None:
    """What was typed at a place since, or `None` where anything else has changed."""
    if (
        now.suffix == asked.suffix
        and now.replaced == asked.replaced
        and now.prefix.startswith(asked.prefix)
        and now.language == asked.language
    ):
        return now.prefix[len(asked.prefix) :]
    return None


def _has_room(place: Place, multi_line: MultiLine) -> bool:
    """Whether several lines may go in: in the middle of a line they would tear it apart."""
    if multi_line is MultiLine.AUTO:
        return is_only_closers(LINE_END.split(place.suffix, maxsplit=1)[0])
    return multi_line is MultiLine.ALWAYS


def _settled(before: Draft | None, draft: Draft) -> int:
    if before is None:
        return 0
    length = 0
    for old, new, confidence in zip(before.text, draft.text, draft.confidence, strict=False):
        if old != new or confidence < SETTLED_CONFIDENCE:
            break
        length += 1
    return length


def _left_of(
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
