"""The text of a simulated editor, as an editor changes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.benchmark.replay.buffer import Buffer


def typed(keys, text="", *, closes_brackets=True):
    buffer = Buffer(text, 0, closes_brackets=closes_brackets)
    for key in keys:
        buffer.type(key)
    return buffer


@pytest.mark.parametrize(
    ("keys", "text", "expect", "cursor"),
    [
        ("f(", "", "f()", 2),
        ("f(x)", "", "f(x)", 4),
        ("f([", "", "f([])", 3),
        # Before a name, a bracket stays alone.
        ("(", "name", "(name", 1),
        ("x)", "", "x)", 2),
        ("don't", "", "don't", 5),
        ("'a'", "", "'a'", 3),
        ('"""a."""', "", '"""a."""', 8),
    ],
)
def test_brackets_close_themselves(keys, text, expect, cursor):
    buffer = typed(keys, text)

    assert (buffer.text, buffer.cursor) == (expect, cursor)


def test_an_editor_that_closes_none():
    assert typed("f(", closes_brackets=False).text == "f("


def test_letters_are_undone_together_and_signs_alone():
    buffer = typed("ab + cd")
    texts = []
    while buffer.undo():
        texts.append(buffer.text)

    assert texts == ["ab + ", "ab +", "ab ", "ab", ""]


def test_an_empty_pair_is_taken_back_whole():
    buffer = typed("f(")
    buffer.backspace()

    assert buffer.text == "f"


def test_positions_count_from_the_line():
    buffer = typed("a\nbc")

    assert buffer.position(4) == (1, 2)


@given(st.text("a(b)\n' ", max_size=20))
def test_undo_leads_back_and_redo_forth_again(keys):
    buffer = typed(keys, "x\n")
    last = buffer.text
    while buffer.undo():
        pass
    assert (buffer.text, buffer.cursor) == ("x\n", 0)
    while buffer.redo():
        pass
    assert buffer.text == last
