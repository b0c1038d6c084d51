"""The methods that are compared, and how their outcomes become figures."""

from __future__ import annotations

import pytest

from dg_lsp.evaluation.methods import (
    METHODS,
    Outcome,
    by_length,
    summarize,
)
from dg_lsp.evaluation.spans import TrueSpan
from dg_lsp.models.loading import load

SPAN = TrueSpan(
    path="shapes.py",
    prefix="def area(self, radius):\n    return ",
    suffix=" ** 2\n",
    text="3.14 * radius",
    kind="1-4 words",
)


@pytest.fixture(scope="module")
def model(tiny_checkpoint):
    return load(str(tiny_checkpoint), "cpu")


@pytest.mark.parametrize("name", METHODS)
def test_every_method_fills_a_span(model, name):
    outcome = METHODS[name](model, SPAN)

    assert isinstance(outcome.text, str)
    assert outcome.steps >= 1
    assert 0 < outcome.first_draft_ms <= outcome.milliseconds


def test_figures_are_means_of_matches_and_medians_of_costs():
    outcomes = [
        Outcome("3.14 * radius", 0.9, 4, 100.0, 10.0),
        Outcome("3.14", 0.5, 8, 300.0, 20.0),
        Outcome("", 0.5, 6, 1000.0, 90.0),
    ]
    row = summarize("ours", "all", [(SPAN, outcome) for outcome in outcomes])

    assert (row.spans, row.exact_match) == (3, pytest.approx(1 / 3))
    assert (row.steps, row.milliseconds, row.first_draft_ms) == (6, 300.0, 20.0)


def test_rows_by_the_length_of_the_true_span(model):
    outcome = Outcome("x", 0.9, 4, 100.0, 10.0)
    words = [
        TrueSpan("a.py", "", "", text, "1-4 words")
        for text in ("x", "x + y", "x" * 3 + " + y" * 40)
    ]
    rows = by_length(model.codec, "ours", [(span, outcome) for span in words])

    assert sum(row.spans for row in rows) == 3
    assert rows[0].kind == "1"
    assert rows[-1].kind == "13 or more"
