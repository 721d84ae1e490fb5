"""Contraction rate of a distance over generations, by log-linear regression."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from selfconsume.analysis import hypothesis_tests

TINY = np.finfo(np.float64).tiny
"""Smallest denominator."""


class Rate(NamedTuple):
    """Contraction rate per generation with its t interval over seeds.

    Attributes:
        rate: Geometric mean over seeds; nan if at least half of the seeds diverged or fewer than two remain.
        low: Lower end of the interval.
        high: Upper end.
        first: First generation of the fit.
        last: Last generation of the fit; later distances are rounding errors or not measured.
        seeds: Number of seeds in the fit.
        diverged: Number of seeds with a diverged twin.
    """

    rate: float
    low: float
    high: float
    first: int
    last: int
    seeds: int
    diverged: int

    @property
    def is_unstable(self) -> bool:
        """Whether the loop amplifies a small perturbation at the level of the interval, or diverges."""
        return 2 * self.diverged >= self.seeds + self.diverged or self.low > 1

    @property
    def is_stable(self) -> bool:
        """Whether the loop contracts a small perturbation at the level of the interval."""
        return not self.is_unstable and self.high < 1


def fit_rate(
    distances: Float[np.ndarray, "seeds generations"],
    rounding: Float[np.ndarray, "seeds generations"],
    alive: Bool[np.ndarray, "seeds generations"] | None = None,
    level: float = 0.95,
) -> Rate:
    """Rate of geometric growth or decay: per-seed least-squares slope of the log distance, with a t interval over seeds.

    The fit covers the second half of the generations whose distance exceeds rounding in most seeds (from generation 1 if
    they are few). If only generation 0 does, the rate is 0 and `high` is the smallest detectable rate.
    """
    finite = np.isfinite(distances) if alive is None else alive & np.isfinite(distances)
    valid = finite.all(axis=1)
    values, floor, diverged = distances[valid], rounding[valid], int((~valid).sum())
    if 2 * diverged >= len(distances) or len(values) < 2:
        return Rate(math.nan, math.nan, math.nan, 0, 0, len(values), diverged)
    above = np.median(values / np.maximum(floor, TINY), axis=0) > 1
    last = int(np.argmin(above)) - 1 if not above.all() else len(above) - 1
    if last < 1:
        detectable = floor[:, min(1, floor.shape[1] - 1)] / np.maximum(values[:, 0], TINY)
        return Rate(0.0, 0.0, float(detectable.max()), 0, 1, len(values), diverged)
    first = (last + 1) // 2 if last >= 4 else min(1, last - 1)
    t = np.arange(first, last + 1, dtype=np.float64)
    logs = np.log(np.maximum(values, np.maximum(floor, TINY)))[:, first : last + 1]
    mean = hypothesis_tests.mean_of(hypothesis_tests.slopes(logs, t))
    low, high = hypothesis_tests.t_interval(mean, level)
    rate, low, high = (float(np.exp(min(x, 700.0))) for x in (mean.mean, low, high))
    return Rate(rate, low, high, first, last, len(values), diverged)
