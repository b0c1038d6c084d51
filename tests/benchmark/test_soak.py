"""What counts as growth in a soak."""

from __future__ import annotations

import pytest

from dg_lsp.benchmark.soak import Sample, Soaked


def soaked(memory_mb, descriptors=lambda n: 20, wait_ms=lambda n: 1.0, unanswered=0):
    samples = [
        Sample(
            n,
            {"servers": memory_mb(n), "engine": 500.0},
            {"servers": descriptors(n), "engine": 12},
            {"servers": 8, "engine": 4},
            wait_ms(n),
        )
        for n in range(40)
    ]
    return Soaked(samples, unanswered=unanswered)


@pytest.mark.parametrize(
    ("seen", "grown"),
    [
        pytest.param(soaked(lambda n: 80.0 + n % 5), [], id="it goes up and down"),
        pytest.param(
            soaked(lambda n: 80.0 + 10 * min(n, 9)), [], id="caches fill, then no more"
        ),
        pytest.param(soaked(lambda n: 80.0 + n), ["memory"], id="memory grows on"),
        pytest.param(soaked(lambda n: 80.0, lambda n: 20 + n), ["descriptors"], id="a leak"),
        pytest.param(
            soaked(lambda n: 80.0, wait_ms=lambda n: 10.0 + 4 * n),
            ["waits:"],
            id="slower and slower",
        ),
        pytest.param(
            soaked(lambda n: 80.0, unanswered=1), ["unanswered"], id="one is left out"
        ),
    ],
)
def test_what_grows_on_is_told(seen, grown):
    assert [line.split()[0] for line in seen.grown()] == grown
