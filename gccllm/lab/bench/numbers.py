"""The few statistics of the benchmark: medians with an interval, geometric means, the best of k answers.

No distribution is assumed.
"""

from __future__ import annotations

import math
import random
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


def pass_at(n: int, passed: int, k: int) -> float:
    """Probability that one of `k` answers passes, from `n` >= k independent ones of which `passed` did: unbiased.

    Source: Chen et al., arXiv 2107.03374, section 2.1. Raises ValueError for k outside 1..n.
    """
    return sum(w for w, i in zip(best_weights(n, k), range(n), strict=True) if i >= n - passed)


def best_weights(n: int, k: int) -> list[float]:
    """For `n` answers ranked from worst to best: the probability of each to be the best of `k` drawn without return.

    A sum of any quantity with these weights is its unbiased estimate for the best of k. Raises ValueError for k outside
    1..n.
    """
    if not 1 <= k <= n:
        raise ValueError(f"the best of {k} from {n} answers")
    ways = math.comb(n, k)
    return [math.comb(i, k - 1) / ways for i in range(n)]


def bootstrap_interval(values: Sequence[float], *, rounds: int = 1000, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile interval of the mean of `values` (one a row) when rows are drawn again; the same for the same values.

    Covers the choice of rows, not the draw of the answers within a row. (nan, nan) for no values.
    """
    if not values:
        return math.nan, math.nan
    rng = random.Random(len(values))
    means = sorted(statistics.fmean(rng.choices(values, k=len(values))) for _ in range(rounds))
    cut = int(rounds * (1 - confidence) / 2)
    return means[cut], means[rounds - 1 - cut]
