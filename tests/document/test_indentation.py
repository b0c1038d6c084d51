"""Infills indented as the document around them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dg_lsp.document.indentation import match_indentation

CODE = st.text(alphabet=st.sampled_from("ab1 \t\r\n(){}[]\"';:,<>/e\u0301"), max_size=40)


@pytest.mark.parametrize(
    ("document", "infill", "expect"),
    [
        # Agrees, or nothing to go by.
        ("if a:\n    b\n    |", "c\n    d", "c\n    d"),
        ("|", "a\n\tb", "a\n\tb"),
        ("a\n|\nb", "a:\n        b", "a:\n        b"),
        # Tabs from spaces, by the step, by guess; alignment stays.
        ("f {\n\ta\n\t|", "x {\n        b\n    }", "x {\n\t\tb\n\t}"),
        ("f {\n\ta\n\t|", "x {\n      b\n  }", "x {\n\t\t\tb\n\t}"),
        ("f {\n\ta\n\t|", "/*\n     * b", "/*\n\t * b"),
        ("f {\n\ta\n}\ng {|", "\n  b {\n    c\n  }\n", "\n\tb {\n\t\tc\n\t}\n"),
        ("f {\n\t|", "a\n    b", "a\n\tb"),
        ("f {\n\t|", "a\n\tb(c,\n\t  d)", "a\n\tb(c,\n\t  d)"),
        ("/*\n\t * a\n\t|", "b\n\t * c", "b\n\t * c"),
        # Spaces from tabs.
        ("if a:\n  b\n  |", "c\n\t\td", "c\n    d"),
        # Another width, where openers prove it.
        ("f {\n  a {\n    |", "b {\n        c", "b {\n      c"),
        ("f {\n  a\n  |", "b(c,\n      d)", "b(c,\n      d)"),
        ("f {\n  a\n  |", "b {\n      c {\n        d", "b {\n      c {\n        d"),
        # The first line only at the start of a line; text in a docstring not at all.
        ("f {\n\ta\n|", "    b\n    c", "\tb\n\tc"),
        ('"""a\n\tb\n\t|', "c:\n    d", "c:\n    d"),
    ],
)
def test_match_indentation(document: str, infill: str, expect: str) -> None:
    prefix, suffix = document.split("|")
    assert match_indentation(infill, prefix, suffix) == expect
    assert match_indentation(expect, prefix, suffix) == expect


@settings(deadline=None)
@given(CODE, CODE, CODE)
def test_indenting_changes_only_the_beginnings_of_lines(
    infill: str, prefix: str, suffix: str
) -> None:
    indented = match_indentation(infill, prefix, suffix)
    lines = [line.lstrip(" \t") for line in re.split("[\r\n]", infill)]
    assert [line.lstrip(" \t") for line in re.split("[\r\n]", indented)] == lines
