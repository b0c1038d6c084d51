"""Which word a cursor is in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document.words import is_word, word_at


@pytest.mark.parametrize(
    ("marked", "word"),
    [
        ("x = na|me + 1", "name"),
        ("x = |name", "name"),
        ("x = name|", "name"),
        ("f(name|)", "name"),
        ("f|(name)", "f"),
        ("a |** b", "**"),
        ("a **| b", "**"),
        ("a.|b", "b"),
        ("f()|)", ")"),
        ("x = |'a'", "'"),
        ("héll|o wörld", "héllo"),
        ("e\u0301te\u0301| x", "e\u0301te\u0301"),
        ("漢|字 = 1", "漢字"),
        ("a\nb|\nc", "b"),
        ("3.14|", "14"),
    ],
)
def test_the_word_that_a_cursor_touches(marked, word):
    at = marked.index("|")
    text = marked.replace("|", "", 1)
    found = word_at(text, at)

    assert found is not None
    assert text[found.start : found.end] == word


@pytest.mark.parametrize("marked", ["a  |  b", "|", "a\n|\nb", "\t|\t"])
def test_no_word_between_blanks(marked):
    assert word_at(marked.replace("|", ""), marked.index("|")) is None


@given(st.text("ab_ .()\n\té漢'", max_size=200), st.data())
def test_a_word_is_around_the_cursor_on_one_line(text, data):
    at = data.draw(st.integers(0, len(text)))
    found = word_at(text, at)
    if found is not None:
        assert found.start <= at <= found.end
        assert text[found.start : found.end].strip() == text[found.start : found.end] != ""


def test_what_is_no_word():
    assert all(map(is_word, ["a.b", "x"]))
    assert not any(map(is_word, ["", " ", "a\nb", "x" * 65]))
