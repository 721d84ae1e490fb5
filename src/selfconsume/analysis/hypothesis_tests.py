"""Tests of means over seeds: t tests, equivalence (TOST) and Holm's correction, with the seed as the independent unit.

Generations of one chain are dependent, because each model is trained on samples of the previous one. Each chain is therefore
reduced to one number, for trends its least-squares slope, and the t test compares these numbers across seeds: it is valid
whatever the dependence within a chain. For a stationary and time-reversible chain (every linear Gaussian one) a slope is as
likely as its negative, so the t test holds well even with few seeds and skewed values.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from selfconsume.analysis.intervals import t_quantile


class Mean(NamedTuple):
    """Mean of independent numbers and its standard error, with ``count - 1`` degrees of freedom."""

    mean: float
    error: float
    count: int


def slopes(
    values: Float[np.ndarray, "seeds generations"], generations: Float[np.ndarray, " generations"]
) -> np.ndarray:
    """Least-squares slope of each row, per generation; needs at least two distinct generations."""
    centred = generations - generations.mean()
    return (values - values.mean(axis=1, keepdims=True)) @ (centred / (centred @ centred))


def mean_of(x: Float[np.ndarray, " n"]) -> Mean:
    """Mean and standard error of at least two numbers."""
    return Mean(float(x.mean()), float(x.std(ddof=1) / np.sqrt(len(x))), len(x))


def t_test_greater(x: Mean, bound: float) -> float:
    """One-sided p value of the one-sample t test of ``mean <= bound`` against ``mean > bound``.

    Assumes independent values whose mean is roughly normal. Without any spread it is 0 or 1.
    """
    distance = x.mean - bound
    if x.error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(stats.t.sf(distance / x.error, x.count - 1))


def t_test(x: Mean) -> float:
    """Two-sided p value of the one-sample t test of mean 0."""
    return min(1.0, 2 * min(t_test_greater(x, 0.0), t_test_greater(_negated(x), 0.0)))


def tost(x: Mean, margin: float) -> float:
    """p value of the two one-sided t tests (TOST) that the mean lies strictly between ``-margin`` and ``margin``.

    Below alpha exactly when the t interval of level ``1 - 2 alpha`` lies inside the margins. A mean of 0 without spread is
    equivalent to 0 for every margin, including 0.

    References:
        Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15:657.
    """
    if x.error == 0 and x.mean == 0:
        return 0.0
    return max(t_test_greater(x, -margin), t_test_greater(_negated(x), -margin))


def t_interval(x: Mean, level: float) -> tuple[float, float]:
    """Student t interval of a mean."""
    half = float(t_quantile(level, x.count - 1)) * x.error
    return x.mean - half, x.mean + half


def holm(p: Float[np.ndarray, " n"]) -> np.ndarray:
    """Holm's adjusted p values: rejecting those of at most alpha keeps the family-wise error rate at alpha.

    Needs no independence: cells share seeds, and metrics share samples. Nan marks a test that could not be made; it stays
    nan and does not count as a test.

    References:
        Holm 1979, Scandinavian Journal of Statistics 6:65.
    """
    p = np.asarray(p, np.float64)
    adjusted = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1.0)
    return adjusted


def _negated(x: Mean) -> Mean:
    return Mean(-x.mean, x.error, x.count)
