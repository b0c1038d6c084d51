"""What is left of a suggestion after the user has typed something else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document.departure import departure
from dg_lsp.job import Earlier

CASES = {
    # suggested, typed: the rest, and how many of its characters are in doubt
    "another word, one letter": ("items.append(x)", "v", Earlier("tems.append(x)", 4)),
    "within a word": ("self.items.append(x)", "self.iv", Earlier("ems.append(x)", 3)),
    "a word as long": ("get(a)", "set", Earlier("(a)")),
    "a longer word": ("get(a)", "gather", Earlier("(a)")),
    "what follows another word": ("self.items.get(x)", "self.cats.", Earlier("get(x)")),
    "a word instead of a bracket": (") or b", "x", Earlier(") or b")),
    "another sign": ("[0] + b", "(", Earlier("0] + b")),
    "several lines": ("a = 1\n    b = 2\n", "x", Earlier(" = 1\n    b = 2\n")),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_rest_of_the_suggestion_is_kept(name):
    suggested, typed, expected = CASES[name]

    assert departure(suggested, typed) == expected


@pytest.mark.parametrize(
    ("suggested", "typed"),
    [
        ("items", "it"),  # not departed
        ("items", "items()"),  # past its end
        ("items", "xtems"),  # nothing is left
        ("items.append(x)", "cats[0]"),  # goes on differently
        ("items.append(x)", "cats, "),
        ("items.append(x)", "b" * 41),
        ("", "x"),
        ("x", ""),
    ],
)
def test_nothing_is_left_that_says_what_follows(suggested, typed):
    assert departure(suggested, typed) is None


@given(st.text("ab(. \n"), st.text("ab(. \n"))
def test_the_rest_ends_the_suggestion(suggested, typed):
    rest = departure(suggested, typed)

    if rest is not None:
        assert rest.text.strip()
        assert suggested.endswith(rest.text)
        assert rest.doubtful <= len(rest.text)
