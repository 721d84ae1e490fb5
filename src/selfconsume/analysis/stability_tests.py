"""Trend test, equivalence test and level test of one metric of one cell; definitions in `analysis.verdicts`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from selfconsume.analysis import hypothesis_tests

SPREADS = 2.0
"""Margin in standard deviations of the noise floor."""
SHARE = 0.25
"""Smallest margin of a distance, as a share of its mean floor."""
NEGLIGIBLE = 0.1
"""Trends whose interval lies within this share of the margin are negligible, whatever their p value."""
COLLAPSE_FACTOR = 4.0
"""Degradation of the level by this factor counts as a collapse."""
MAX_FACTOR = 1e6
"""Factors are clipped to this one, so that a level of exactly 0 does not outweigh all other seeds."""


class Evidence(NamedTuple):
    """Test statistics of one cell and metric; nan for tests that could not be made."""

    slope: float = math.nan
    """Mean over seeds, per generation."""
    low: float = math.nan
    """Lower bound of its t interval of level 1 - alpha."""
    high: float = math.nan
    """Upper bound."""
    margin: float = math.nan
    """Equivalence margin of the change over `span` generations."""
    p: float = math.nan
    """Trend test, uncorrected."""
    p_equivalence: float = math.nan
    """Equivalence test (TOST)."""
    level: float = math.nan
    """Median over seeds of the mean over the last third."""
    baseline: float = math.nan
    """Mean floor, or mean of generation 0 without a floor."""
    span: int = 0
    """Number of generations from the first to the last tested one."""
    seeds: int = 0
    diverged: int = 0
    is_worse: bool = False
    """Whether the trend is a degradation."""
    has_collapsed: bool = False
    """Whether the level test rejects."""
    is_single: bool = False
    """Whether it is of one sequence, by standard errors over examples: see `analysis.single_sequence`."""
    effect: float = math.nan
    """Mean of the tested trend in standard deviations over seeds."""
    std: float = math.nan
    """Standard deviation over seeds of the change over `span` generations."""
    is_negligible: bool = False
    """Whether the interval of the change lies within a tenth of the margin."""


def examine(
    values: Float[np.ndarray, "seeds generations"],
    generations: Sequence[int] | np.ndarray,
    floor: Float[np.ndarray, " m"] | None = None,
    better: str | None = None,
    alpha: float = 0.05,
) -> Evidence:
    """Trend t test, TOST and level t test of one cell and metric; seeds are the independent units.

    Args:
        values: One chain per row; a diverged seed ends in nan.
        generations: Ascending generation numbers of the columns, starting with 0.
        floor: Noise floor, one number per seed, if measured.
        better: "lower", "higher", or None: then away from the baseline is worse.
        alpha: Level of the single tests.
    """
    t = np.asarray(generations, np.float64)
    finite = np.isfinite(values).all(axis=1)
    evidence = Evidence(seeds=len(values), diverged=int((~finite).sum()))
    if 2 * evidence.diverged >= len(values) or finite.sum() < 2 or len(t) < 3:
        return evidence
    chains = values[finite]
    start = chains[:, 0]
    floor = floor[np.isfinite(floor)] if floor is not None else np.zeros(0)
    baseline, margin = equivalence_margin(floor, start, better)
    tested = t >= 1
    span = t[-1] - t[tested][0]
    raw = hypothesis_tests.mean_of(hypothesis_tests.slopes(chains[:, tested], t[tested]))
    # Without a margin there is no scale for asinh.
    scaled = np.arcsinh((chains[:, tested] - baseline) / margin) if margin > 0 else chains[:, tested]
    trend = hypothesis_tests.mean_of(hypothesis_tests.slopes(scaled, t[tested]))
    change = hypothesis_tests.Mean(raw.mean * span, raw.error * span, raw.count)
    last = chains[:, t > t[-1] - max(1, t[-1] // 3)].mean(axis=1)
    low, high = hypothesis_tests.t_interval(raw, 1 - alpha)
    if better is None:
        middle, half = chains[:, tested].mean() - baseline, raw.mean * span / 2
        is_worse = abs(middle + half) > abs(middle - half)
    else:
        is_worse = (trend.mean > 0) == (better == "lower")
    has_level = len(floor) > 0 or better == "lower"
    return evidence._replace(
        slope=raw.mean,
        low=low,
        high=high,
        margin=margin,
        p=hypothesis_tests.t_test(trend),
        p_equivalence=hypothesis_tests.tost(change, margin),
        level=float(np.median(last)),
        baseline=baseline,
        span=int(span),
        is_worse=bool(is_worse),
        has_collapsed=has_level and _collapsed(last, (baseline, float(start.mean())), margin, better, alpha),
        effect=trend.mean / (trend.error * np.sqrt(trend.count)) if trend.error > 0 else math.nan,
        std=change.error * math.sqrt(change.count),
        is_negligible=max(abs(low), abs(high)) * span <= NEGLIGIBLE * margin,
    )


def equivalence_margin(
    floor: np.ndarray, start: np.ndarray, better: str | None, spread: float | None = None
) -> tuple[float, float]:
    """Baseline level and equivalence margin; ``spread`` in place of the deviation of the floor, if given."""
    if spread is None:
        spread = _spread(floor, start)
    baseline = float(floor.mean() if len(floor) else start.mean())
    smallest = SHARE * baseline if better == "lower" and len(floor) else 0.0
    return baseline, float(max(SPREADS * spread, smallest))


def _spread(floor: np.ndarray, start: np.ndarray) -> float:
    """The deviation of the floor over seeds, or of generation 0 where the floor has none."""
    spread = floor.std(ddof=1) if len(floor) > 1 else 0.0
    if spread == 0:
        spread = start.std(ddof=1) if len(start) > 1 else 0.0
    return float(spread)


def _collapsed(last: np.ndarray, levels: tuple[float, float], margin: float, better: str | None, alpha: float) -> bool:
    """Level test: one-sided t test of the log degradation factor, in each direction that may be worse."""
    ratios = []
    if better != "higher" and (upper := max(*levels, margin)) > 0:
        ratios.append(last / upper)
    if better != "lower" and (lower := min(levels)) > 0:
        ratios.append(lower / np.maximum(last, lower / MAX_FACTOR))
    logs = [np.log(np.clip(ratio, 1 / MAX_FACTOR, MAX_FACTOR)) for ratio in ratios]
    threshold = math.log(COLLAPSE_FACTOR)
    return any(hypothesis_tests.t_test_greater(hypothesis_tests.mean_of(log), threshold) <= alpha for log in logs)
