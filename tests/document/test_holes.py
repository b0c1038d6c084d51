"""Holes of a document: where they are, which are refused, and what becomes of them."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document.holes import (
    MAX_HOLES,
    HolesError,
    between,
    checked,
    find_marks,
    within,
)
from dg_lsp.document.reasons import why_nothing
from dg_lsp.document.request import RequestRefusedError, build_job
from dg_lsp.document.suggestions import InsertionSite, Standard, suggestions_for
from dg_lsp.job import Candidate, Infill, PinnedText, Span
from dg_lsp.reason import ReasonCode
from tests.document.test_request import ASKED, CONTEXT, MODEL, TOKEN

STACK = (
    "class Stack:\n    def __init__(self):\n        self.items = …\n\n    def push(self, x):\n"
)
STACK += "        self.items.…(x)\n"


def site(marked: str, mark: str = "…", **changes) -> InsertionSite:
    """All marks of a document."""
    holes = checked(marked, find_marks(marked, mark))
    start, end = holes[0].start, holes[-1].end
    made = InsertionSite(
        uri="file:///a.py",
        path="a.py",
        language="python",
        newline="\n",
        prefix=marked[:start],
        suffix=marked[end:],
        replaced=marked[start:end],
        holes=within(holes),
    )
    return dataclasses.replace(made, **changes)


def filled(place: InsertionSite, *holes: str, score: float = 0.0) -> Candidate:
    pinned = between(place.replaced, place.holes)
    text = "".join(a + b for a, b in zip(holes, [*pinned, ""], strict=True))
    return Candidate(text, 0.5, score, segments=holes)


@pytest.mark.parametrize(
    ("text", "mark", "found"),
    [
        ("a = …\nb = …\n", "…", [(4, 5), (10, 11)]),
        ("…", "…", [(0, 1)]),
        # With nothing between them, they are one; in a string and a comment, they are marks.
        ("f(……)", "…", [(2, 4)]),
        ("'…'  # …", "…", [(1, 2), (7, 8)]),
        ("a = ???\n", "???", [(4, 7)]),
        ("a = <FILL><FILL>;", "<FILL>", [(4, 16)]),
        ("🙂 = …", "…", [(4, 5)]),
        ("nothing", "…", []),
    ],
)
def test_a_mark_is_a_hole_wherever_it_stands(text, mark, found):
    assert find_marks(text, mark) == [Span(*one) for one in found]


def test_only_a_part_of_a_text_is_looked_at():
    assert find_marks("… … … …", "…", 1, 5) == [Span(2, 3), Span(4, 5)]


def test_not_more_marks_than_needed_are_looked_for():
    assert len(find_marks("… " * 10_000, "…")) == MAX_HOLES + 1


@pytest.mark.parametrize(
    ("holes", "code"),
    [
        ([], ReasonCode.NO_HOLES),
        ([(0, 1), (0, 1)], ReasonCode.OVERLAPPING_HOLES),
        ([(3, 6), (0, 4)], ReasonCode.OVERLAPPING_HOLES),
        ([(0, 2), (2, 4)], ReasonCode.OVERLAPPING_HOLES),
        ([(5, 5), (5, 5)], ReasonCode.OVERLAPPING_HOLES),
        ([(2 * n, 2 * n + 1) for n in range(MAX_HOLES + 1)], ReasonCode.TOO_MANY_HOLES),
    ],
)
def test_what_cannot_be_filled_together_is_refused(holes, code):
    with pytest.raises(HolesError) as refused:
        checked("x" * 100, [Span(*one) for one in holes])

    assert refused.value.code is code


def test_holes_may_come_in_any_order_and_be_empty():
    assert checked("abcdef", [Span(4, 4), Span(0, 2)]) == (Span(0, 2), Span(4, 4))


def test_the_job_pins_what_is_between_the_holes():
    job = build_job(site(STACK), ASKED, MODEL, CONTEXT)

    assert job.prefix.endswith("self.items = ")
    assert job.pinned == (PinnedText("\n\n    def push(self, x):\n        self.items."),)
    assert job.suffix == "(x)\n"
    assert (job.replaced, job.seeds) == (None, ())


def test_one_hole_is_an_infill():
    job = build_job(site("x = …\n"), ASKED, MODEL, CONTEXT)

    assert (job.prefix, job.pinned, job.suffix, job.replaced) == ("x = ", (), "\n", None)


@pytest.mark.parametrize(
    "marked", [f'a = …\nkey = "{TOKEN[:20]}…{TOKEN[20:]}"\n', f'key = "{TOKEN}…"\nb = …\n']
)
def test_a_hole_in_a_secret_is_refused(marked):
    with pytest.raises(RequestRefusedError) as refused:
        build_job(site(marked), ASKED, MODEL, CONTEXT)

    assert refused.value.code is ReasonCode.SECRET


def test_a_secret_between_holes_is_masked_for_the_model_and_stays_in_the_document():
    place = site(f'a = …\nkey = "{TOKEN}"\nb = …\n')
    job = build_job(place, ASKED, MODEL, CONTEXT)

    [pinned] = job.pinned
    assert TOKEN not in pinned.text
    assert "****" in pinned.text
    [one] = suggestions_for([filled(place, "1", "2")], place, Standard(), job)
    assert one.text == f'1\nkey = "{TOKEN}"\nb = 2'


def test_a_suggestion_says_what_is_in_each_hole_and_changes_nothing_between():
    place = site(STACK)
    [one] = suggestions_for([filled(place, "[]", "append")], place, Standard())

    assert one.holes == ("[]", "append")
    assert place.prefix + one.text + place.suffix == STACK.replace("…", "[]", 1).replace(
        "…", "append"
    )


def test_a_text_that_leaves_the_code_valid_comes_first():
    place = site("def f(a):\n    x = …\n    return …\n")
    broken, whole = filled(place, "(a", "x", score=0.0), filled(place, "a", "x", score=-1.0)

    [one] = suggestions_for([broken, whole], place, Standard())
    assert one.holes == ("a", "x")


@pytest.mark.parametrize("nothing", [("", ""), ("", "\n"), (" ", "  ")])
def test_nothing_in_any_hole_is_no_suggestion(nothing):
    place = site("def f(a):\n    return …\n\ndef g(a):\n    return …\n")
    empty, full = filled(place, *nothing, score=1.0), filled(place, "", "a", score=0.0)

    assert suggestions_for([empty], place, Standard()) == ()
    infill = Infill((empty,), 1)
    assert why_nothing(infill, place, Standard()).code is ReasonCode.BLANK
    [one] = suggestions_for([empty, full], place, Standard())
    assert one.holes == ("", "a")


def test_a_secret_between_holes_is_not_taken_for_one_that_was_written():
    place = site(f'a = …\nkey = "{TOKEN}"\nb = …\n')
    job = build_job(place, ASKED, MODEL, CONTEXT)
    empty = Candidate(job.pinned[0].text, 0.5, 0.0, segments=("", ""))

    infill = Infill((empty,), 1)
    assert why_nothing(infill, place, Standard(), job).code is ReasonCode.BLANK


def test_what_stands_after_a_hole_is_not_written_twice():
    place = site("print(…)\nprint(…)\n")
    [one] = suggestions_for([filled(place, "a)", "b)")], place, Standard())

    assert one.holes == ("a", "b")


def test_line_ends_are_those_of_the_document():
    place = site("a = …\r\nb = …\r\n", newline="\r\n")
    [one] = suggestions_for([filled(place, "[\n    1,\n]", "2")], place, Standard())

    assert one.text == "[\r\n    1,\r\n]\r\nb = 2"


pieces = st.text(st.sampled_from("ab …()\n\r\"'*é🙂"), max_size=12)


@given(st.lists(pieces, min_size=1, max_size=5), st.lists(pieces, min_size=8, max_size=8))
def test_nothing_outside_the_holes_ever_changes(texts, written):
    document = "…".join(texts) + "…"
    place = site(document)
    segments = tuple(written[: len(place.holes)])
    for one in suggestions_for(
        [filled(place, *segments)] if len(segments) == len(place.holes) else [],
        place,
        Standard(),
    ):
        pinned = between(place.replaced, place.holes)
        assert one.text == "".join(a + b for a, b in zip(one.holes, [*pinned, ""], strict=True))
