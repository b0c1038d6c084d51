"""What an infill writes a second time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dg_lsp.document.repetition import trim_to_suffix

CODE = st.text(alphabet=st.sampled_from("ab1 \t\r\n(){}[]\"';:,<>/e\u0301"), max_size=40)


@pytest.mark.parametrize(
    ("infill", "suffix", "expect"),
    [
        ("", "", ""),
        ("a", "", "a"),
        ("a\n\n", "", "a\n\n"),
        # The rest of the line, at the end of a line or of the file, mid-word too.
        ("a + b;", ";\n", "a + b"),
        ("1 if x else 0", " else 0", "1 if x"),
        ("import warnings", "ngs\n", "import warni"),
        ("return x", "return x\n", ""),
        # A letter, a digit, a blank, or the beginning of the rest is none.
        ("max", "x\n", "max"),
        ("a ", " b\n", "a "),
        ("a, b", ", b, c\n", "a, b"),
        ("a_", "_\n", "a_"),
        # Closing brackets and quotes, also before other text.
        ("a)", ") + b\n", "a"),
        ("a))", "))\n", "a"),
        ("f(a))", "))\n", "f(a)"),
        ("f(a)", ")\n", "f(a)"),
        ('a"', '")\n', "a"),
        ('x + "a"', '")\n', 'x + "a"'),
        ("a</b>", "</b> c\n", "a"),
        ("<b>a</b>", "</b> c\n", "<b>a</b>"),
        ("x */", " */ y", "x"),
        ("f(1)  # a)", ")\n", "f(1)  # a)"),
        # Lines: the next one, a begun one of 4 characters, one behind blank lines.
        ("a\nreturn x\n", "\nreturn x\n", "a"),
        ("a\nretu", "\nreturn x\n", "a"),
        ("a\nret", "\nreturn x\n", "a\nret"),
        ("a\nreturn x", "\n\n  \nreturn x\n", "a"),
        ("a\n\n\nreturn x", "\nreturn x\n", "a"),
        ("if (x) {\n  a();\n}\n", "\n}\n", "if (x) {\n  a();\n}"),
        # Blank lines.
        ("a\n", "\n", "a"),
        ("a\n  \n\n", "\n", "a"),
        ("a\r\n\r\n", "\r\nb", "a"),
        ("a\n", "b", "a\n"),
        # Never inside what reads as one character.
        ("a) \u0301)", "\u0301)", "a) \u0301)"),
    ],
)
def test_trim_to_suffix(infill: str, suffix: str, expect: str) -> None:
    assert trim_to_suffix(infill, suffix) == expect


@settings(deadline=None)
@given(CODE, CODE)
def test_trimming_drops_only_what_the_suffix_begins_with(infill: str, suffix: str) -> None:
    trimmed = trim_to_suffix(infill, suffix)
    assert infill.startswith(trimmed)
    dropped = "".join(infill[len(trimmed) :].split())
    assert "".join(suffix.split()).startswith(dropped)


@settings(deadline=None)
@given(st.text(alphabet="ab(){} \n", max_size=30), st.text(alphabet='XY[];"', min_size=1))
def test_trimming_leaves_alone_what_does_not_overlap(infill: str, suffix: str) -> None:
    assert trim_to_suffix(infill, suffix) == infill
