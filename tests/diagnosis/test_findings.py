"""Levels, and that a check that fails is a finding and not the end."""

from __future__ import annotations

import pytest

from dg_lsp.diagnosis.findings import (
    Level,
    guarded,
    ok,
    problem,
    report_json,
    size_of,
    time_of,
    warning,
    worst,
)


def test_the_worst_finding_is_the_level_of_the_report():
    fine, poor, bad = ok("a", "x"), warning("a", "x", "y"), problem("a", "x", "y")

    assert worst([]) is Level.OK
    assert worst([fine, poor]) is Level.WARNING
    assert worst([bad, poor, fine]) is Level.PROBLEM
    assert report_json([fine, bad])["level"] == "problem"


def test_a_check_that_fails_keeps_what_it_found_before():
    def check():
        yield ok("memory", "much")
        raise ZeroDivisionError("division\nby zero")

    first, second = guarded("memory", check)
    assert (first.said, second.level) == ("much", Level.PROBLEM)
    assert second.said == "the examination failed: ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("value", "expect"),
    [(12.6e6, "12.6 MB"), (3e9, "3.0 GB"), (999, "999 bytes"), (1, "1 byte"), (0, "0 bytes")],
)
def test_sizes(value, expect):
    assert size_of(value) == expect


@pytest.mark.parametrize(
    ("value", "expect"),
    [
        (-3, "0 seconds"),
        (1.2, "1 second"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (4e5, "5 days"),
    ],
)
def test_times(value, expect):
    assert time_of(value) == expect
