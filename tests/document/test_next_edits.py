import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document.next_edits import next_edits
from dg_lsp.document.recent_edits import noted
from dg_lsp.document.trees import parsed_site
from tests.document.test_next_renames import OTHERS, PYTHON
from tests.editing import replaced
from tests.fuzzing import effort

TEXTS = [("python", PYTHON), *((language, text) for language, text, *_ in OTHERS)]


def test_the_nearest_place_comes_first_and_of_two_the_one_below() -> None:
    text = "print(1)\ndef f(a):\n    return a\n\n\n\n" + "x = f(1)\n" * 3
    edited, cursor = replaced(text, "def f", "def g")
    found = next_edits(edited, "python", noted((), text, edited), cursor)
    assert [edited[: one.start].count("\n") for one in found] == [6, 7, 8]


def test_an_older_edit_counts_when_nothing_follows_from_the_newest() -> None:
    text = "def f(a):\n    return 1\n\n\nx = f(1)\n"
    first, _ = replaced(text, "def f", "def g")
    second, cursor = replaced(first, "return 1", "return 2")
    recent = noted(noted((), text, first), first, second)
    [one] = next_edits(second, "python", recent, cursor)
    assert (one.old, one.text) == ("f", "g")


def test_what_the_user_has_undone_elsewhere_since_is_not_done() -> None:
    text = "def f(a):\n    return 1\n\n\nx = f(1)\n\n\ny = g(2)\n"
    first, _ = replaced(text, "def f", "def g")
    recent = noted((), text, first)
    assert next_edits(first, "python", recent, 0)
    second, cursor = replaced(first, "y = g", "y = f")
    assert next_edits(second, "python", noted(recent, first, second), cursor) == []


def test_without_an_edit_nothing_follows() -> None:
    assert next_edits(PYTHON, "python", (), 0) == []


@effort(150)
@given(st.sampled_from(TEXTS), st.integers(0, 2**32), st.text("abx_ (),.=\n", max_size=8))
def test_an_edit_changes_what_it_names_and_nothing_that_was_just_changed(
    which: tuple[str, str], seed: int, new: str
) -> None:
    language, text = which
    rng = random.Random(seed)
    start = rng.randrange(len(text))
    end = min(len(text), start + rng.randrange(8))
    edited = text[:start] + new + text[end:]
    recent = noted((), text, edited)
    for one in next_edits(edited, language, recent, start):
        assert edited[one.start : one.end] == one.old != one.text
        assert all(one.end < edit.start or one.start > edit.end for edit in recent)
        then = edited[: one.start] + one.text + edited[one.end :]
        was, now = parsed_site(edited, "", language), parsed_site(then, "", language)
        assert was is not None
        assert now is not None
        assert len(now.faults()) <= len(was.faults())


@pytest.mark.parametrize("text", ["", "\n", "é = 1\nprint(é)\n", "def f(\n", "\ud800x = 1\n"])
def test_odd_documents(text: str) -> None:
    edited = "q" + text
    next_edits(edited, "python", noted((), text, edited), 0)
