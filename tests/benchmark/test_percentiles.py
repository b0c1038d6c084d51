"""Percentiles are values that were measured."""

from __future__ import annotations

import pytest

from dg_lsp.benchmark.percentiles import summary


@pytest.mark.parametrize(
    ("values", "p50", "p95"),
    [
        ([3.0], 3, 3),
        ([1, 2], 1, 2),
        ([4, 1, 3, 2], 2, 4),
        ([1.0, 2.0, 3.00049], 2, 3),
        ([*range(20, 0, -1)], 10, 19),
        ([*range(1, 101)], 50, 95),
    ],
)
def test_the_nearest_rank(values, p50, p95):
    assert summary(values) == {"p50": p50, "p95": p95}


def test_of_nothing_there_is_none():
    with pytest.raises(ValueError, match="values"):
        summary([])
