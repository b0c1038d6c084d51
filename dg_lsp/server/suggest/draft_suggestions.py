"""Turns drafts into suggestions, and removes the part of a suggestion that has been typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dg_lsp.document.edit import match_newlines
from dg_lsp.document.holes import between, filled_or_held, joined
from dg_lsp.document.position import LINE_END, common_length
from dg_lsp.document.suggestions import (
    InsertionSite,
    MultiLine,
    Standard,
    Suggestion,
    finish_at,
    left_of,
    one_line,
)
from dg_lsp.job import Draft, MaskedPlace

SETTLED_CONFIDENCE = 0.9
"""Less certain characters still change often; an answer at the deadline omits them."""


@dataclass(frozen=True, slots=True)
class DraftSuggestion:
    """A draft as it would be inserted now."""

    suggestion: Suggestion
    settled: int
    """Characters at the beginning that the last steps have not changed."""
    step: int
    steps_allowed: int
    block: int = 1
    blocks: int = 1
    masked: tuple[MaskedPlace, ...] = ()
    """Where the suggestion has gaps."""


DraftListener = Callable[[Callable[[], DraftSuggestion | None]], None]
"""Called for each draft with a function that finishes it, which takes time, and returns it."""


def suggest_draft(
    before: Draft | None, draft: Draft, site: InsertionSite, multi_line: MultiLine
) -> DraftSuggestion:
    """A draft finished like a candidate, and how much of it has settled."""
    segments = draft.segments or (draft.text,)
    if len(segments) == len(site.holes):
        written = [match_newlines(one, site.newline) for one in segments]
        kept = filled_or_held(written, site.held)
        text = joined(kept, between(site.replaced or "", site.holes))
    else:
        text = finish_at(draft.text, site, one_line=one_line(site, multi_line))
    mean = sum(draft.confidence) / len(draft.confidence) if draft.confidence else 0.0
    confidences = left_of(draft.text, draft.confidence, text, mean)
    # Finishing takes time in a long document; if it cut the start, nothing has settled.
    settled = _kept(draft.text[: _settled(before, draft)], text, site)
    masked = [
        MaskedPlace(len(stands), place.width)
        for place in draft.masked
        if text.startswith(stands := _standing(draft.text[: place.at], site))
    ]
    suggestion = Suggestion(text, mean, confidences)
    return DraftSuggestion(
        *(suggestion, settled, draft.step, draft.steps_allowed, draft.block, draft.blocks),
        masked=tuple(masked),
    )


def suggest_gaps(
    before: Draft | None, draft: Draft, site: InsertionSite, standard: Standard
) -> DraftSuggestion | None:
    """A draft of a completion whose tokens are decided one after the other.

    `None` while there is none, or while what is decided so far is not as sure as a suggestion
    must be.
    """
    decided = [
        confidence
        for character, confidence in zip(draft.text, draft.confidence, strict=False)
        if not character.isspace()
    ]
    if not draft.masked or not decided:
        return None
    if sum(decided) / len(decided) < standard.min_confidence:
        return None
    multi_line = MultiLine.NEVER if standard.one_line else MultiLine.ALWAYS
    return suggest_draft(before, draft, site, multi_line)


def cut_typed(draft: DraftSuggestion, typed: str) -> DraftSuggestion | None:
    """The draft without the part typed since; `None` if it begins differently."""
    left = remainders([draft.suggestion], typed)
    if not left:
        return None
    settled = max(0, draft.settled - len(typed))
    if draft.masked and draft.masked[0].at < len(typed):
        return None
    masked = tuple(replace(place, at=place.at - len(typed)) for place in draft.masked)
    return DraftSuggestion(left[0], settled, draft.step, draft.steps_allowed, masked=masked)


def settled_lines(before: Draft | None, draft: Draft) -> str:
    """The whole lines at the beginning of a draft that can be suggested as they are."""
    length = _settled(before, draft)
    if length == len(draft.text) and not draft.masked:
        return draft.text
    ends = [end.end() for end in LINE_END.finditer(draft.text) if end.end() <= length]
    return draft.text[: ends[-1]] if ends else ""


def remainders(suggestions: Sequence[Suggestion], typed: str) -> tuple[Suggestion, ...]:
    """The rest of the suggestions that begin with the typed text."""
    done = len(typed)
    return tuple(
        replace(
            suggestion,
            text=suggestion.text[done:],
            confidences=suggestion.confidences[done:],
        )
        for suggestion in suggestions
        if suggestion.text.startswith(typed) and len(suggestion.text) > done
    )


def typed_between(asked: InsertionSite, now: InsertionSite) -> str | None:
    """The text typed at a site since, or `None` if anything else has changed."""
    if (
        now.suffix == asked.suffix
        and now.replaced == asked.replaced
        and now.prefix.startswith(asked.prefix)
        and now.before == asked.before
        and now.language == asked.language
        and now.indent_unit == asked.indent_unit
    ):
        return now.prefix[len(asked.prefix) :]
    return None


def _settled(before: Draft | None, draft: Draft) -> int:
    if before is None:
        return 0
    length = 0
    for old, new, confidence in zip(before.text, draft.text, draft.confidence, strict=False):
        if old != new or confidence < SETTLED_CONFIDENCE:
            break
        length += 1
    # What is decided right of a gap does not begin the text.
    return min([length, *(place.at for place in draft.masked)])


def _kept(raw: str, finished: str, site: InsertionSite) -> int:
    """How much of the beginning of a draft a finished text has, in its own characters."""
    stands = _standing(raw, site) if raw else ""
    return common_length(stands, finished, min(len(stands), len(finished)))


def _standing(raw: str, site: InsertionSite) -> str:
    return site.edges[0] + match_newlines(raw, site.newline)
