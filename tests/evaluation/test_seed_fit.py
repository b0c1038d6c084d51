"""How far texts from elsewhere are believed, fitted on made-up spans."""

from __future__ import annotations

import math
import random

import pytest

from dg_lsp.evaluation.seed_fit import RankedText, first_of, fit, rank_all
from dg_lsp.evaluation.spans import TrueSpan
from dg_lsp.models.loading import load


def made_up(count: int) -> list[list[RankedText]]:
    """A model that is half deaf, and seeds that are right as often as their score says."""
    rng = random.Random(1)
    spans = []
    for _ in range(count):
        score = rng.uniform(0, 8)
        is_right = rng.random() < 1 / (1 + math.exp(4 - score))
        seed = RankedText(rng.gauss(-20, 3), score, is_right)
        spans.append([RankedText(rng.gauss(-12, 3), None, not is_right), seed])
    return spans


def test_the_fitted_prior_finds_more_than_the_likelihood_alone():
    spans = made_up(400)
    settings = fit(spans, lanes=4)

    found = sum(first_of(span, settings).is_right for span in spans)
    by_likelihood = sum(max(span, key=lambda one: one.likelihood).is_right for span in spans)
    assert found > 1.2 * by_likelihood
    assert settings.prior_nats_per_score > 0


def test_the_confidence_rises_with_the_score():
    settings = fit(made_up(400), lanes=4)
    assert settings.log_odds_per_score > 0
    assert settings.log_odds + 8 * settings.log_odds_per_score > 1


def test_without_a_seed_that_is_right_there_is_nothing_to_fit():
    with pytest.raises(ValueError, match="elsewhere"):
        fit([[RankedText(-1.0, None, True), RankedText(-2.0, 3.0, False)]], lanes=4)


def test_what_stands_elsewhere_is_told_from_what_the_model_wrote():
    before = "def one():\n    return wibble(quux)\n\n\ndef two():\n    return wibble("
    span = TrueSpan("a.py", before, ")\n", "quux", "line")
    ranked = rank_all(load("bundled", "cpu"), span)
    copied = [one for one in ranked if one.is_right]
    assert len(copied) == 1
    assert copied[0].seed_score is not None
