"""Tests of one sequence without seeds, by the standard errors of its values over examples.

The seed is the unit of all other tests: it alone shows how much training varies. A single sequence has two measures of noise:
the bootstrap over the examples of each generation, and the scatter of generations about the line of their trend, which also
contains what training adds independently in each generation. A trend or its absence is shown only where both agree: the larger
p value and the wider interval count. Noise of training that later generations inherit looks like a trend, and is one of this
sequence; whether another run of the pipeline would show it is unknown.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from selfconsume.analysis import hypothesis_tests
from selfconsume.analysis.hypothesis_tests import Mean
from selfconsume.analysis.stability_tests import COLLAPSE_FACTOR, NEGLIGIBLE, Evidence, equivalence_margin

MIN_GENERATIONS = 5
"""Fewest generations: with fewer, the scatter about a line has a single degree of freedom, or none."""


def examine(
    values: Float[np.ndarray, " generations"],
    errors: Float[np.ndarray, " generations"],
    generations: np.ndarray,
    floor: Float[np.ndarray, " m"] | None,
    better: str | None,
    *,
    resamples: int,
    alpha: float = 0.05,
) -> Evidence:
    """Trend, equivalence and level test of one metric of one sequence; as `stability_tests.examine` gives them for seeds.

    The margin takes the standard error of generation 0 for the deviation of the floor, which a single run does not show.

    Args:
        values: Values by generation; nan where it diverged.
        errors: Their standard errors over examples.
        generations: Ascending generation numbers, starting with 0.
        floor: Noise floor, if measured.
        better: "lower", "higher", or None: then away from the baseline is worse.
        resamples: Resamples behind the errors.
        alpha: Level of the single tests.
    """
    t = np.asarray(generations, np.float64)
    is_finite = bool(np.isfinite(values).all() and np.isfinite(errors).all())
    evidence = Evidence(seeds=1, diverged=int(not is_finite), is_single=True)
    if not is_finite or len(t) < MIN_GENERATIONS:
        return evidence
    floor = np.zeros(0) if floor is None else floor[np.isfinite(floor)]
    baseline, margin = equivalence_margin(floor, values[:1], better, spread=float(errors[0]))
    tested = t >= 1
    span = t[-1] - t[tested][0]
    slopes = _slopes(values[tested], errors[tested], t[tested], resamples)
    trends = slopes
    if margin > 0:
        distance = (values[tested] - baseline) / margin
        trends = _slopes(
            np.arcsinh(distance), errors[tested] / (margin * np.sqrt(1 + distance**2)), t[tested], resamples
        )
    intervals = [hypothesis_tests.t_interval(slope, 1 - alpha) for slope in slopes]
    low, high = min(bounds[0] for bounds in intervals), max(bounds[1] for bounds in intervals)
    changes = [Mean(slope.mean * span, slope.error * span, slope.count) for slope in slopes]
    level = _level(values, errors, t, resamples)
    has_level = len(floor) > 0 or better == "lower"
    levels = baseline, float(values[0])
    return evidence._replace(
        slope=slopes[0].mean,
        low=low,
        high=high,
        margin=margin,
        p=max(hypothesis_tests.t_test(trend) for trend in trends),
        p_equivalence=max(hypothesis_tests.tost(change, margin) for change in changes),
        level=level.mean,
        baseline=baseline,
        span=int(span),
        is_worse=_is_worse(values[tested] - baseline, slopes[0].mean * span, trends[0].mean, better),
        has_collapsed=has_level and _collapsed(level, levels, margin, better, alpha),
        is_negligible=max(abs(low), abs(high)) * span <= NEGLIGIBLE * margin,
    )


def _slopes(values: np.ndarray, errors: np.ndarray, t: np.ndarray, resamples: int) -> tuple[Mean, Mean]:
    """The least-squares slope with its standard error by the bootstrap, and by the scatter about the line."""
    centred = t - t.mean()
    weight = centred / (centred @ centred)
    slope = float(weight @ values)
    residual = values - values.mean() - slope * centred
    degrees = len(t) - 2
    scatter = math.sqrt(residual @ residual / degrees * (weight @ weight))
    return (
        Mean(slope, float(np.sqrt(weight**2 @ errors**2)), resamples),
        Mean(slope, scatter, degrees + 1),
    )


def _level(values: np.ndarray, errors: np.ndarray, t: np.ndarray, resamples: int) -> Mean:
    """The mean over the last third of the generations, with its standard error over examples."""
    last = t > t[-1] - max(1, t[-1] // 3)
    return Mean(float(values[last].mean()), float(np.sqrt((errors[last] ** 2).sum()) / last.sum()), resamples)


def _is_worse(distance: np.ndarray, change: float, trend: float, better: str | None) -> bool:
    """Whether a change is a degradation; without a direction, if it leads away from the baseline."""
    if better is None:
        return bool(abs(distance.mean() + change / 2) > abs(distance.mean() - change / 2))
    return (trend > 0) == (better == "lower")


def _collapsed(level: Mean, levels: tuple[float, float], margin: float, better: str | None, alpha: float) -> bool:
    """Level test: one-sided test of the log degradation factor, in each direction that may be worse (delta method)."""
    if level.mean <= 0:
        return better != "lower" and min(levels) > 0
    error = level.error / level.mean
    logs = []
    if better != "higher" and (upper := max(*levels, margin)) > 0:
        logs.append(Mean(math.log(level.mean / upper), error, level.count))
    if better != "lower" and (lower := min(levels)) > 0:
        logs.append(Mean(math.log(lower / level.mean), error, level.count))
    return any(hypothesis_tests.t_test_greater(log, math.log(COLLAPSE_FACTOR)) <= alpha for log in logs)
