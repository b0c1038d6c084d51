"""Pins: where they are found in a wrong suggestion, and what each start is given."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dg_lsp.evaluation import pinning as module
from dg_lsp.evaluation.methods import Outcome
from dg_lsp.evaluation.pinning import STARTS, pinned_words, pins
from dg_lsp.evaluation.spans import TrueSpan
from dg_lsp.job import Earlier, PinnedText

MODEL = SimpleNamespace(settings=None)


def span(text: str) -> TrueSpan:
    return TrueSpan("a.py", "x = self.cats.pop(0)\nx = ", "\n", text, "rest of line")


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


def test_each_start_has_the_suggestion_or_seeds_or_both(monkeypatch):
    jobs, shown = [], ["self.dogs.pop()", 0.5]

    def infiller(settings, job, model):
        jobs.append(job)
        return Outcome(*shown, 1, 1.0, 1.0)

    monkeypatch.setattr(module, "infiller", infiller)
    kept, _ = pinned_words(MODEL, [span("self.cats.pop(0)")], 0.2)
    for fill in STARTS.values():
        fill(MODEL, kept)
    cold, seeded, warm, both = jobs[-4:]
    for job in (cold, seeded):
        assert (job.pinned, job.earlier) == ((PinnedText("pop"),), None)
    for job in (warm, both):
        assert job.pinned == (PinnedText("pop", Earlier("self.dogs.")),)
        assert job.earlier == Earlier("()")
    for job in (cold, warm):
        assert job.all_seeds == ()
    for job in (seeded, both):
        assert [seed.text for seed in job.seeds][:1] == ["self.cats.pop(0)"]
    assert {job.may_be_empty for job in jobs[-4:]} == {True}

    shown[1] = 0.1
    assert pinned_words(MODEL, [span("self.cats.pop(0)")], 0.2) == []
    shown[:] = "self.cats.pop(0)", 0.9
    assert pinned_words(MODEL, [span("self.cats.pop(0)")], 0.2) == []
