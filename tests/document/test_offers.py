"""What is offered of an engine's candidates at a place, and what is not."""

from __future__ import annotations

import pytest

from dg_lsp.document.offers import Offer, Place, Standard, offers_of
from dg_lsp.job import Candidate


def place(marked: str, *, newline: str = "\n", replaced: str | None = None) -> Place:
    """A place in Python code, given as text with the cursor as a bar."""
    prefix, suffix = marked.split("|")
    return Place("file:///a.py", "a.py", "python", newline, prefix, suffix, replaced)


def candidate(text: str, confidence: float = 0.5, score: float = 0.0) -> Candidate:
    return Candidate(text, confidence, score)


def texts(offers: tuple[Offer, ...]) -> list[str]:
    return [offer.text for offer in offers]


def test_the_best_come_first_and_no_more_than_are_wanted():
    found = [candidate("a", score=-3.0), candidate("b", score=-1.0), candidate("c", score=-2.0)]

    assert texts(offers_of(found, place("x = |\n"), Standard(2))) == ["b", "c"]


def test_what_is_empty_repeated_or_there_already_is_no_offer():
    found = [candidate(""), candidate("b"), candidate("b"), candidate("old"), candidate("c")]
    at = place("x = |\n", replaced="old")

    assert texts(offers_of(found, at, Standard(9))) == ["b", "c"]


def test_what_breaks_the_code_comes_last_or_not_at_all():
    found = [candidate("1 +"), candidate("2", score=-1.0)]

    assert texts(offers_of(found, place("x = |\n"), Standard(2))) == ["2", "1 +"]
    assert texts(offers_of(found, place("x = |\n"), Standard(2, may_break=False))) == ["2"]


def test_a_worse_text_is_no_way_out_where_the_best_is_unsure():
    found = [candidate("1", confidence=0.1), candidate("2", confidence=0.9, score=-1.0)]

    assert offers_of(found, place("x = |\n"), Standard(min_confidence=0.2)) == ()
    assert texts(offers_of(found, place("x = |\n"), Standard(min_confidence=0.1))) == ["1"]


def test_only_the_first_line_where_one_is_asked_for():
    found = [candidate("1\ny = 2")]

    assert texts(offers_of(found, place("x = |\n"), Standard(one_line=True))) == ["1"]


@pytest.mark.parametrize(
    ("raw", "confidences", "newline", "text", "left"),
    [
        # A doubled blank is cut off at the start.
        (" 1", (0.1, 0.9), "\n", "1", (0.9,)),
        # The carriage return is as sure as the newline that it belongs to.
        ("1\ny", (0.9, 0.2, 0.8), "\r\n", "1\r\ny", (0.9, 0.2, 0.2, 0.8)),
        # Nothing is known of single characters.
        ("1", (), "\n", "1", (0.5,)),
    ],
)
def test_each_character_keeps_its_probability(raw, confidences, newline, text, left):
    found = [Candidate(raw, 0.5, 0.0, confidences)]

    offers = offers_of(found, place(f"x = |{newline}", newline=newline), Standard())
    assert offers == (Offer(text, 0.5, left),)
