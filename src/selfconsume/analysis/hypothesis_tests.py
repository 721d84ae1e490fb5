"""Is there a trend over generations, and is it small enough not to matter? Tests whose independent units are seeds.

Generations of one chain depend on each other, each being trained on samples of the one before. So a chain is first reduced to
one number, its least-squares slope, and only the slopes of different seeds are compared: their t test is right whatever the
dependence within a chain. If the chain is stationary and looks the same read backwards (every linear Gaussian chain does), a
slope is as likely as its negative, so the t test holds well even for few seeds and skewed values.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import stdtr, stdtrit


class Mean(NamedTuple):
    """A mean of independent numbers and its standard error, with ``count - 1`` degrees of freedom."""

    mean: float
    error: float
    count: int


def slopes(
    values: Float[np.ndarray, "seeds generations"], generations: Float[np.ndarray, " generations"]
) -> np.ndarray:
    """Least-squares slope of each row, per generation; two distinct generations at least."""
    centred = generations - generations.mean()
    return (values - values.mean(axis=1, keepdims=True)) @ (centred / (centred @ centred))


def mean_of(x: Float[np.ndarray, " n"]) -> Mean:
    """Mean and standard error of at least two numbers."""
    return Mean(float(x.mean()), float(x.std(ddof=1) / np.sqrt(len(x))), len(x))


def greater(x: Mean, bound: float) -> float:
    """One-sided p value of the t test of ``mean <= bound`` against ``mean > bound``.

    With no spread at all it is 0 or 1: then the numbers themselves are the answer.
    """
    distance = x.mean - bound
    if x.error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(stdtr(x.count - 1, -distance / x.error))


def differs(x: Mean) -> float:
    """Two-sided p value of the t test of mean 0."""
    return min(1.0, 2 * min(greater(x, 0.0), greater(Mean(-x.mean, x.error, x.count), 0.0)))


def equivalent(x: Mean, margin: float) -> float:
    """p value of the two one-sided t tests (TOST) that the mean lies strictly between ``-margin`` and ``margin``.

    Below alpha exactly when the interval of level ``1 - 2 alpha`` lies inside the margins. A mean without spread that is 0 is
    equivalent to 0 for every margin, 0 included.

    References:
        Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15:657.
    """
    if x.error == 0 and x.mean == 0:
        return 0.0
    return max(greater(x, -margin), greater(Mean(-x.mean, x.error, x.count), -margin))


def bounds(x: Mean, level: float) -> tuple[float, float]:
    """The t interval of a mean."""
    half = float(stdtrit(x.count - 1, (1 + level) / 2)) * x.error
    return x.mean - half, x.mean + half


def holm(p: Float[np.ndarray, " n"]) -> np.ndarray:
    """Holm's adjusted p values: rejecting those of at most alpha errs anywhere with probability alpha at most.

    Needs no independence: cells that share seeds, and metrics of the same samples, depend on each other. Nan (a test that
    could not be made) stays nan and counts for nothing.

    References:
        Holm 1979, Scandinavian Journal of Statistics 6:65.
    """
    p = np.asarray(p, np.float64)
    adjusted = np.full(len(p), np.nan)
    made = np.flatnonzero(~np.isnan(p))
    order = made[np.argsort(p[made], kind="stable")]
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1.0)
    return adjusted
