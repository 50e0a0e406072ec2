"""Statistics of the measured figures. Pure functions."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value below which so many of a hundred lie: the nearest that was measured."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    """Return the median of the ratios, round by round: what slows a whole round does not change it."""
    return statistics.median(one / other for one, other in zip(ones, others, strict=True))
