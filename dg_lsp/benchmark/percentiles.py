"""Percentiles of measured times."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """The percentile by nearest rank, which is always a measured value."""
    if not values:
        raise ValueError("there are no values to take a percentile of")
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(0, rank - 1)]


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    return {f"p{percent}": round(percentile(values, percent), 3) for percent in (50, 95)}
