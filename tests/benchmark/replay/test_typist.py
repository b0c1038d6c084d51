"""The typist writes the target, whatever is suggested, and the same way for the same seed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.benchmark.replay.buffer import Buffer
from dg_lsp.benchmark.replay.typist import (
    Habits,
    Key,
    Kind,
    Pause,
    first_line,
    first_word,
    write,
)

BUSY = Habits(error_share=0.3, away_share=0.5, undo_share=0.5, undo_accept_share=0.5)
TARGET = "def total(rows):\n    return sum(row['n'] for row in rows)\n"


def play(target, suggest=lambda done: "", habits=BUSY, seed="1"):
    """The text that comes of it, and the steps."""
    buffer = Buffer("# first\n\n# last\n", 8, closes_brackets=True)
    steps = []
    home = 8
    for step in write(target, lambda ms: suggest(buffer.text[8 : buffer.cursor]), seed, habits):
        steps.append(step)
        if isinstance(step, Pause):
            assert step.ms > 0
        elif step.kind is Kind.MOVE:
            home, buffer.cursor = (buffer.cursor, 0) if step.lines_up else (home, home)
        elif step.kind is Kind.TYPE:
            buffer.type(step.text)
        elif step.kind is Kind.ACCEPT:
            buffer.insert(step.text)
        elif step.kind is Kind.BACKSPACE:
            buffer.backspace()
        elif step.kind is Kind.UNDO:
            buffer.undo()
        else:
            buffer.redo()
    assert buffer.text[: buffer.cursor] == f"# first\n{target}"
    return buffer.text, steps


@pytest.mark.parametrize("seed", "12345")
def test_the_target_is_written(seed):
    text, steps = play(TARGET, seed=seed)

    assert text == f"# first\n{TARGET}\n# last\n"
    kinds = {step.kind for step in steps if isinstance(step, Key)}
    assert {Kind.TYPE, Kind.BACKSPACE, Kind.UNDO, Kind.REDO} <= kinds


@given(st.integers(0, 60), st.sampled_from([first_line, first_word, lambda text: text]))
def test_right_suggestions_are_accepted_and_wrong_ones_are_not(length, part):
    _, steps = play(TARGET, lambda done: part(TARGET[len(done) :])[:length] or "wrong", BUSY)

    accepted = [
        step.text for step in steps if isinstance(step, Key) and step.kind is Kind.ACCEPT
    ]
    assert not any(one.startswith("wrong") for one in accepted)


def test_the_same_seed_types_the_same_way():
    assert play(TARGET) == play(TARGET)
    assert play(TARGET) != play(TARGET, seed="2")


def test_pauses_do_not_depend_on_what_was_accepted():
    calm = replace(BUSY, error_share=0, away_share=0, undo_share=0, undo_accept_share=0)
    _, alone = play(TARGET, habits=calm)
    _, helped = play(TARGET, lambda done: "total" if done.endswith("def ") else "", calm)
    last = [step for step in alone if isinstance(step, Pause)][-20:]

    assert [step for step in helped if isinstance(step, Pause)][-20:] == last


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("a + b\nc", "a + b", "a"),
        ("\n    x = 1\ny", "\n    x = 1", "\n    x"),
        (" == y", " == y", " =="),
        ("", "", ""),
    ],
)
def test_parts_are_taken_as_the_editors_take_them(text, line, word):
    assert (first_line(text), first_word(text)) == (line, word)
