"""Figures, their intervals, and the table."""

from __future__ import annotations

from typing import Any

import pytest

from dg_lsp.evaluation.figures import figures_of, grouped, share_of, table
from dg_lsp.evaluation.results import Result


def result(number: int, **changes: Any) -> Result:
    fields: dict[str, Any] = {
        "name": f"p{number}",
        "kind": "line",
        "language": "python",
        "cluster": f"c{number}",
        "text": "x",
        "is_quiet": False,
        "is_exact": False,
        "similarity": 0.5,
        "confidence": 0.9,
        "steps": 4,
        "milliseconds": 100.0,
        "tokens": 2,
    }
    return Result(**{**fields, **changes})


def test_shares_are_means_and_costs_are_medians():
    found = figures_of(
        "all",
        [
            result(1, is_exact=True, similarity=1.0, verdict="passed", parses=True),
            result(2, similarity=0.2, verdict="failed", parses=False, milliseconds=300.0),
            result(3, is_quiet=True, similarity=0.0, verdict="timed out", milliseconds=600.0),
        ],
    )

    assert found.n == 3
    assert found.pass_at_1 is not None
    assert found.pass_at_1.value == found.exact_match.value == pytest.approx(1 / 3)
    assert found.edit_similarity.value == pytest.approx(0.4)
    assert found.abstention_rate.value == pytest.approx(1 / 3)
    # Nobody can tell of the third.
    assert found.parses is not None
    assert found.parses.value == 0.5
    assert found.milliseconds == 300.0
    assert found.tokens_per_s == 4.0


def test_without_tests_there_is_no_pass_rate():
    row = figures_of("all", [result(1)])

    assert row.pass_at_1 is None
    assert "pass_at_1" not in row.to_json()
    assert {
        "exact_match",
        "edit_similarity",
        "abstention_rate",
        "interval_95",
    } <= row.to_json().keys()


def test_an_interval_holds_the_mean_and_is_the_same_each_time():
    values = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    share = share_of(values, [str(n) for n in range(8)])

    assert 0 <= share.low < share.value == 0.375 < share.high <= 1
    assert share == share_of(values, [str(n) for n in range(8)])


def test_what_belongs_together_makes_an_interval_wider():
    values = [1.0] * 10 + [0.0] * 10
    alone = share_of(values, [str(n) for n in range(20)])
    together = share_of(values, [str(n // 5) for n in range(20)])

    assert together.high - together.low > alone.high - alone.low


def test_rows_by_kind_and_language_with_all_at_the_end():
    rows = grouped(
        [result(1), result(2, language="go"), result(3, language="go", kind="block")], True
    )

    assert [(row.group, row.n) for row in rows] == [
        ("go: block", 1),
        ("go: line", 1),
        ("python: line", 1),
        ("all", 3),
    ]


def test_the_table_has_the_columns_that_apply():
    plain = table([figures_of("line", [result(1)])], "span").split("\n")
    tested = table([figures_of("line", [result(1, verdict="passed")])], "span").split("\n")

    assert "pass@1" not in plain[0]
    assert "| pass@1 |" in tested[0]
    assert "100.0% (100.0-100.0)" in tested[2]
    assert len({line.count("|") for line in tested}) == 1
