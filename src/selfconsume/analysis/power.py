"""Power of the paired t test and of TOST, and the number of seeds that decides a comparison."""

from __future__ import annotations

import math

from scipy import stats

MAX_SEEDS = 10_000
"""Comparisons that need more seeds count as not attainable."""


def t_test_power(effect: float, n: int, alpha: float = 0.05) -> float:
    """Power of the two-sided one-sample (or paired) t test for a mean of ``effect`` standard deviations."""
    critical, shift = stats.t.ppf(1 - alpha / 2, n - 1), abs(effect) * math.sqrt(n)
    return float(stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift))


def tost_power(effect: float, margin: float, n: int, alpha: float = 0.05) -> float:
    """Lower bound of the power of TOST for a mean and a margin in standard deviations.

    The sum of the powers of the two one-sided tests minus 1, which is exact where one of them is certain.
    """
    critical, root = stats.t.ppf(1 - alpha, n - 1), math.sqrt(n)
    upper = stats.nct.sf(critical, n - 1, (margin - effect) * root)
    lower = stats.nct.sf(critical, n - 1, (margin + effect) * root)
    return max(0.0, float(upper + lower - 1))


def seeds_to_decide(
    mean: float, std: float, margin: float, alpha: float = 0.05, comparisons: int = 1, power: float = 0.8
) -> int | None:
    """Smallest number of seeds at which a t test or TOST decides with the given power, if the estimates are the truth.

    Args:
        mean: Mean paired difference.
        std: Standard deviation of the paired differences.
        margin: Equivalence margin.
        alpha: Level of the tests.
        comparisons: Size of the family; the t test is at level ``alpha / comparisons``, a bound for Holm's procedure.
        power: Probability of a decision.

    Returns:
        None above `MAX_SEEDS`. The estimated mean is itself uncertain, so the number is a rough guide.
    """
    if not std > 0 or not math.isfinite(std):
        return 2
    effect, width = abs(mean) / std, (margin if margin > 0 else 0.0) / std

    def decides(n: int) -> bool:
        by_test = effect > 0 and t_test_power(effect, n, alpha / comparisons) >= power
        return by_test or (width > effect and tost_power(effect, width, n, alpha) >= power)

    high = 2
    while not decides(high):
        high *= 2
        if high > MAX_SEEDS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high
