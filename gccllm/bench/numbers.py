"""The few statistics of the benchmark: medians with an interval, geometric means. No distribution is assumed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """A median and the order statistics around it."""

    median: float
    low: float
    high: float


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The median of independent `values` with a distribution-free interval.

    The k-th smallest and k-th largest values enclose the true median with probability 1 - 2 P(X < k), X binomial
    (n, 1/2); the largest k that keeps `confidence` is taken. With fewer than six values no k does at 95%, and the
    interval is the range. Raises ValueError for no values.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    n = len(ordered)
    outside, k = 0.0, 0
    for below in range(n // 2):
        outside += math.comb(n, below) / 2.0**n
        if 1 - 2 * outside < confidence:
            break
        k = below
    return Interval(statistics.median(ordered), ordered[k], ordered[n - 1 - k])


def geometric_mean(values: Iterable[float]) -> float:
    """1.0 for no values: nothing was changed."""
    logs = [math.log(v) for v in values]
    return math.exp(sum(logs) / len(logs)) if logs else 1.0


def correlation(pairs: Sequence[tuple[float, float]]) -> float:
    """Pearson's correlation of the logarithms; 0.0 when either side does not vary."""
    if len(pairs) < 2:
        return 0.0
    xs, ys = ([math.log(p[i]) for p in pairs] for i in (0, 1))
    try:
        return statistics.correlation(xs, ys)
    except statistics.StatisticsError:
        return 0.0
