"""Power of the paired t test and of TOST, and the number of seeds that decides a comparison."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import stats

MAX_SEEDS = 10_000
"""Comparisons that need more seeds count as not attainable."""


def t_test_power(effect: float, n: int, alpha: float = 0.05) -> float:
    """Power of the two-sided one-sample (or paired) t test for a mean of ``effect`` standard deviations."""
    critical, shift = stats.t.ppf(1 - alpha / 2, n - 1), abs(effect) * math.sqrt(n)
    # Far below the mean scipy's distribution function is nan instead of 0.
    opposite = stats.nct.cdf(-critical, n - 1, shift)
    return float(stats.nct.sf(critical, n - 1, shift) + (0.0 if math.isnan(opposite) else opposite))


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

    return smallest(decides, 2, MAX_SEEDS)


def smallest(holds: Callable[[int], bool], low: int, high: int) -> int | None:
    """Smallest number from ``low`` to ``high`` for which a monotone condition holds; None if it holds for none."""
    top = low
    while not holds(top):
        top *= 2
        if top > high:
            return None
    bottom = max(low - 1, top // 2)
    while top - bottom > 1:
        middle = (bottom + top) // 2
        bottom, top = (bottom, middle) if holds(middle) else (middle, top)
    return top


def generations_to_decide(
    effect: float, seeds: int, generations: int, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    """Generations at which the t test of a trend has this power, if the trend goes on and the chain is a random walk.

    The deviation of the mean step of a random walk over T generations is that of a step over the root of T, so an effect in
    standard deviations over seeds grows with the root of T. Where the noise is stationary it grows faster, and fewer
    generations do.

    Args:
        effect: Mean trend in standard deviations over seeds.
        seeds: Number of seeds.
        generations: Number of generations of the effect.
        alpha: Level of the test.
        power: Probability of finding it.

    Returns:
        None beyond 1000 times as many.
    """
    if seeds < 2 or not math.isfinite(effect) or effect == 0:
        return None

    def finds(total: int) -> bool:
        return t_test_power(effect * math.sqrt(total / generations), seeds, alpha) >= power

    return smallest(finds, max(1, generations), 1000 * generations)
