"""Pins: where they are found in a wrong suggestion, and what each start is given."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dg_lsp.evaluation import pinning as module
from dg_lsp.evaluation.methods import Outcome
from dg_lsp.evaluation.pinning import fill, pinned_words, pins
from dg_lsp.evaluation.spans import TrueSpan
from dg_lsp.job import Earlier, PinnedText

MODEL = SimpleNamespace(settings=None)


def span(text: str) -> TrueSpan:
    return TrueSpan("a.py", "x = ", "\n", text, "rest of line")


@pytest.mark.parametrize(
    ("truth", "suggested", "found"),
    [
        (
            "self.cats.pop(0)",
            "self.dogs.pop()",
            [("kept", "self.dogs.", "pop", "()"), ("corrected", "self.", "cats", ".pop()")],
        ),
        ("a + b", "c", []),
        ("cats", "dogs", []),
        (
            "max(a, b)",
            "min(a, c)",
            [("kept", "min(", "a", ", c)"), ("corrected", "", "max", "(a, c)")],
        ),
    ],
)
def test_where_pins_are_found(truth, suggested, found):
    assert [
        (one.kind, one.before, one.word, one.after) for one in pins(span(truth), suggested)
    ] == found


def test_only_one_start_has_the_suggestion(monkeypatch):
    jobs, shown = [], ["self.dogs.pop()", 0.5]

    def infiller(settings, job, model):
        jobs.append(job)
        return Outcome(*shown, 1, 1.0, 1.0)

    monkeypatch.setattr(module, "infiller", infiller)
    kept, _ = pinned_words(MODEL, [span("self.cats.pop(0)")], 0.2)
    for is_warm in (False, True):
        fill(MODEL, kept, is_warm=is_warm)
    cold, warm = jobs[-2:]
    assert (cold.pinned, cold.earlier) == ((PinnedText("pop"),), None)
    assert warm.pinned == (PinnedText("pop", Earlier("self.dogs.")),)
    assert warm.earlier == Earlier("()")

    shown[1] = 0.1
    assert pinned_words(MODEL, [span("self.cats.pop(0)")], 0.2) == []
    shown[:] = "self.cats.pop(0)", 0.9
    assert pinned_words(MODEL, [span("self.cats.pop(0)")], 0.2) == []
