"""What a candidate says of the seed that it started as."""

from __future__ import annotations

import math

import pytest

from dg_lsp.job import Candidate, Seed, is_correction, seed_of

SEEDS = (Seed("a + b"), Seed("a\r\nb"))


@pytest.mark.parametrize(("number", "seed"), [(0, SEEDS[0]), (1, SEEDS[1]), (None, None)])
def test_a_number_stands_for_a_seed_of_the_job(number, seed):
    assert seed_of(Candidate("x", 0.5, 0.0, seed=number), SEEDS) == seed


@pytest.mark.parametrize("number", [-1, 2, 2**62, math.nan, math.inf, "0"])
def test_a_number_that_no_seed_has_stands_for_none(number):
    assert seed_of(Candidate("x", 0.5, 0.0, seed=number), SEEDS) is None


@pytest.mark.parametrize(
    ("text", "seed", "corrected"),
    [("a + b", SEEDS[0], False), ("a - b", SEEDS[0], True), ("a\nb", SEEDS[1], False)],
)
def test_a_correction_differs_in_more_than_line_ends(text, seed, corrected):
    assert is_correction(Candidate(text, 0.5, 0.0), seed) is corrected
