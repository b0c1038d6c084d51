"""How hard the property tests try: a little with all other tests, and for minutes with
`make fuzz`.

With `DG_LSP_FUZZ_MINUTES`, all property tests together take about so long: each runs again and
again, with other inputs, until its share of the time is over. This module is then pytest's
plugin (`-p tests.fuzzing`).
"""

from __future__ import annotations

import os
import statistics
import time

import pytest
from hypothesis import HealthCheck, settings

MINUTES = float(os.environ.get("DG_LSP_FUZZ_MINUTES", "0"))
ROUNDS = "rounds"
_share_s = 0.0


def set_defaults() -> None:
    """Property tests that do not say how many inputs they try get 100. No test asserts a
    time."""
    settings.register_profile("dg-lsp", max_examples=100, deadline=None)
    settings.load_profile("dg-lsp")


def effort(examples: int, steps: int = 50) -> settings:
    """`examples` inputs with every run of a test."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    global _share_s
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    properties = sum(item.get_closest_marker("hypothesis") is not None for item in items)
    _share_s = MINUTES * 60 * workers / max(1, properties)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> object:
    """Run the property again while there is time; the first round is pytest's own."""
    ends_at = time.monotonic() + _share_s
    result = yield
    rounds = 1
    while time.monotonic() < ends_at:
        item.runtest()
        rounds += 1
    item.user_properties.append((ROUNDS, rounds))
    return result


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rounds = [
        dict(report.user_properties)[ROUNDS]
        for report in terminalreporter.getreports("passed")
        if report.when == "call"
    ]
    if rounds:
        terminalreporter.write_line(
            f"{len(rounds)} properties held, each with {min(rounds)} to {max(rounds)} times "
            f"the inputs of an ordinary run (median {statistics.median(rounds):.0f})"
        )
