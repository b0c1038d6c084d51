"""Percentiles are values that were measured."""

from __future__ import annotations

import pytest

from dg_lsp.benchmark.percentiles import percentile, summary


@pytest.mark.parametrize(
    ("values", "percent", "expect"),
    [([3.0], 95, 3.0), ([4, 1, 3, 2], 50, 2), ([*range(1, 101)], 95, 95), ([1, 2], 100, 2)],
)
def test_the_nearest_rank(values, percent, expect):
    assert percentile(values, percent) == expect


def test_of_nothing_there_is_none():
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_a_summary():
    assert summary([1.0, 2.0, 3.00049]) == {"p50": 2.0, "p95": 3.0}
