"""Drafts whose tokens are decided one after the other, and what is shown of them."""

from __future__ import annotations

import pytest

from dg_lsp.document.suggestions import InsertionSite, MultiLine, Standard
from dg_lsp.job import Draft, MaskedPlace
from dg_lsp.server.suggest.draft_suggestions import (
    cut_typed,
    settled_lines,
    suggest_draft,
    suggest_gaps,
)

SITE = InsertionSite("file:///a.py", "a.py", "python", "\n", prefix="x = ", suffix="")


def draft(text: str, *masked: tuple[int, int], share: float = 0.99) -> Draft:
    places = tuple(MaskedPlace(at, width) for at, width in masked)
    return Draft(text, (share,) * len(text), 2, 64, masked=places)


def test_gaps_keep_their_places_and_never_become_text():
    found = suggest_draft(None, draft("a + b", (4, 3), (5, 6)), SITE, MultiLine.AUTO)

    assert found.suggestion.text == "a + b"
    assert [(place.at, place.width) for place in found.masked] == [(4, 3), (5, 6)]


def test_gaps_beyond_what_is_inserted_are_left_out():
    raw = draft("a +\nb", (3, 2), (5, 6))
    found = suggest_draft(None, raw, SITE, MultiLine.NEVER)

    assert found.suggestion.text == "a +"
    assert [(place.at, place.width) for place in found.masked] == [(3, 2)]


@pytest.mark.parametrize(
    ("raw", "least", "is_shown"),
    [
        (draft("a", (1, 9)), 0.2, True),
        # Nothing is decided yet, or nothing that can be seen.
        (draft("", (0, 9)), 0.2, False),
        (draft("  ", (2, 9)), 0.2, False),
        # Not as sure as a suggestion must be.
        (draft("a", (1, 9), share=0.1), 0.2, False),
        (draft("a", (1, 9), share=0.1), 0.0, True),
        # A family that revises everything shows candidates instead.
        (draft("a"), 0.2, False),
    ],
)
def test_a_completion_shows_what_is_decided_once_it_is_sure(raw, least, is_shown):
    found = suggest_gaps(None, raw, SITE, Standard(min_confidence=least))

    assert (found is not None) == is_shown


@pytest.mark.parametrize(
    ("typed", "places"), [("", [(3, 2)]), ("ab", [(1, 2)]), ("abc", [(0, 2)]), ("abcd", None)]
)
def test_typed_text_moves_the_gaps_and_text_beyond_one_ends_the_draft(typed, places):
    whole = suggest_draft(None, draft("abcdef", (3, 2)), SITE, MultiLine.AUTO)
    found = cut_typed(whole, typed)

    assert (found and [(one.at, one.width) for one in found.masked]) == places


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (draft("a\nb\nc"), "a\nb\nc"),
        (draft("a\nb\nc", (5, 3)), "a\nb\n"),
        (draft("a\nb\nc", (3, 3)), "a\n"),
        (draft("a\nb\nc", (0, 3)), ""),
    ],
)
def test_no_line_has_settled_from_the_first_gap_on(raw, lines):
    assert settled_lines(raw, raw) == lines
