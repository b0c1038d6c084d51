"""How hard the fuzz tests try: a little with all other tests, and longer with `make fuzz`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("DG_LSP_FUZZ", "1"))


def set_defaults() -> None:
    """Property tests that do not say how many inputs they try get 100, `DG_LSP_FUZZ` times as
    many where that is set. No test asserts a time."""
    settings.register_profile("dg-lsp", max_examples=100 * TIMES, deadline=None)
    settings.load_profile("dg-lsp")


def effort(examples: int, steps: int = 50) -> settings:
    """`examples` inputs with every run of the tests, `DG_LSP_FUZZ` times as many where set."""
    return settings(
        max_examples=examples * TIMES,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
