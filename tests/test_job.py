"""What a candidate says of the seed that it started as."""

from __future__ import annotations

import math

import pytest

from dg_lsp.job import FROM_NOISE, Candidate, Seed, source_of

SEEDS = (Seed("a + b"), Seed("a\r\nb"))


@pytest.mark.parametrize(("number", "seed"), [(0, SEEDS[0]), (1, SEEDS[1]), (None, None)])
def test_a_number_stands_for_a_seed_of_the_job(number, seed):
    assert source_of(Candidate("x", 0.5, 0.0, seed=number), SEEDS).seed == seed


@pytest.mark.parametrize("number", [-1, 2, 2**62, math.nan, math.inf, "0"])
def test_a_number_that_no_seed_has_stands_for_none(number):
    assert source_of(Candidate("x", 0.5, 0.0, seed=number), SEEDS) == FROM_NOISE


@pytest.mark.parametrize(
    ("text", "number", "corrected"),
    [("a + b", 0, False), ("a - b", 0, True), ("a\nb", 1, False), ("a", None, False)],
)
def test_a_correction_differs_in_more_than_line_ends(text, number, corrected):
    candidate = Candidate(text, 0.5, 0.0, seed=number)
    assert source_of(candidate, SEEDS).is_corrected is corrected
