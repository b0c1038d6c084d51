"""What is cut out of long documents, and that it stands still while one types."""

from __future__ import annotations

import random

import pytest

from dg_lsp.document.excerpt import GRID_CHARS, REACH_CHARS, excerpt
from dg_lsp.document.nesting import open_text

LINE = "    value = compute(first, second)\n"
LONG = LINE * (4 * (REACH_CHARS + GRID_CHARS) // len(LINE))


@pytest.mark.parametrize("text", ["", "x = 1\n", LINE * 4000])
def test_a_short_document_is_left_whole(text):
    assert len(text) <= REACH_CHARS
    for at in (0, len(text) // 2, len(text)):
        assert excerpt(text, at, at, "python") == (0, len(text))


def test_it_reaches_far_enough_and_no_further_and_begins_and_ends_with_lines():
    rng = random.Random(5)
    for _ in range(200):
        start = rng.randrange(len(LONG))
        end = min(len(LONG), start + rng.choice([0, 1, 5000]))
        first, last = excerpt(LONG, start, end, "javascript")
        for at, reach in ((first, start - first), (last, last - end)):
            is_end = at in (0, len(LONG))
            assert is_end or REACH_CHARS - len(LINE) <= reach < REACH_CHARS + 2 * GRID_CHARS
            assert is_end or LONG[at - 1] == "\n"


def test_it_stands_still_while_one_types():
    at = len(LONG) // 2
    cut = {0}
    text = LONG
    first, last = excerpt(text, at, at, "python")
    for key in range(2000):
        text = text[:at] + "x" + text[at:]
        at += 1
        now, end = excerpt(text, at, at, "python")
        assert text[end:] == LONG[last:] or end != last + key + 1
        cut.add(now)
    assert len(cut - {0, first}) <= 1


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_a_line_without_an_end_is_cut_on_the_grid(language):
    text = "f(1);" * (REACH_CHARS // 2)
    first, last = excerpt(text, len(text) // 2, len(text) // 2, language)
    assert 0 < first < len(text) // 2 < last < len(text)


@pytest.mark.parametrize("quote", ['"""', "'''"])
@pytest.mark.parametrize("num_before", [0, 3])
def test_it_begins_outside_of_docstrings(quote, num_before):
    before = f"def f():\n    {quote}Says so.{quote}\n" * num_before
    inside = f"x = {quote}\n" + "text of a docstring\n" * 8000 + f"{quote}\n"
    code = "y = 1\n" * ((REACH_CHARS + GRID_CHARS) // 6 - 8000)
    text = before + inside + code
    first, _ = excerpt(text, len(text), len(text), "python")
    assert first > 0
    assert open_text(text[first:]) == open_text(text) == ""
