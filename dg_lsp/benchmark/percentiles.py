"""Percentiles of measured times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile, each a value that was measured (the nearest rank)."""
    if not values:
        raise ValueError("there are no values to take a percentile of")
    p50, p95 = np.percentile(values, (50, 95), method="inverted_cdf")
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3)}
