"""The methods that are compared, and how their outcomes become figures."""

from __future__ import annotations

import dataclasses

import pytest

from dg_lsp.config import SeedSettings
from dg_lsp.engine.infilling import Filling
from dg_lsp.evaluation import EvaluationError
from dg_lsp.evaluation.methods import (
    METHODS,
    LanesAlone,
    Outcome,
    by_length,
    infiller,
    methods_for,
    summarize,
)
from dg_lsp.evaluation.quiet import ask
from dg_lsp.evaluation.recording import record
from dg_lsp.evaluation.spans import TrueSpan, job_of
from dg_lsp.job import Seed
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


@pytest.mark.parametrize(("filling", "is_seed"), [(Filling, True), (LanesAlone, False)])
def test_seeds_are_not_compared_where_only_lanes_count(model, filling, is_seed):
    seeds = SeedSettings(lanes=0, prior_nats=1e4)
    settings = dataclasses.replace(model.settings, seeds=seeds)
    job = dataclasses.replace(job_of(SPAN), seeds=(Seed(SPAN.text),))

    assert (infiller(settings, job, model, filling).text == SPAN.text) is is_seed


@pytest.fixture(scope="module")
def masked_model(masked_checkpoint):
    return load(str(masked_checkpoint), "cpu")


def test_a_masked_model_has_every_method_that_needs_no_anchor(model, masked_model):
    methods = methods_for(masked_model)

    assert methods_for(model) == METHODS
    assert {"race of lengths (ours)", "oracle length", "oracle length, prefix only"} <= set(
        methods
    )
    assert not any("anchor" in name or "generate" in name for name in methods)


@pytest.mark.parametrize("name", ["race without seeds", "oracle length", "fixed length of 12"])
def test_a_masked_model_fills_a_span(masked_model, name):
    outcome = METHODS[name](masked_model, SPAN)

    assert isinstance(outcome.text, str)
    assert outcome.steps >= 1


def test_a_masked_model_may_stay_silent(masked_model):
    shown = ask(masked_model, SPAN)

    assert shown.kind == SPAN.kind
    assert shown.is_missing


@pytest.mark.parametrize("figure", [METHODS["transformers generate()"], record])
def test_figures_of_other_families_say_that_the_model_has_none(masked_model, figure):
    with pytest.raises(EvaluationError):
        figure(masked_model, SPAN)


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
