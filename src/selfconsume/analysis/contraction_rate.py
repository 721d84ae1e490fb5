"""The rate at which distances shrink or grow from generation to generation."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from selfconsume.analysis import hypothesis_tests


class Rate(NamedTuple):
    """A contraction rate per generation and its t interval over seeds.

    Attributes:
        rate: Geometric mean over seeds; nan where at least half of the seeds diverged or fewer than two are left.
        low: Lower end of the interval.
        high: Upper end.
        first: First generation of the fit.
        last: Last one; after it distances are rounding, or the measurement ends.
        seeds: Seeds it is from.
        diverged: Seeds of which a twin diverged.
    """

    rate: float
    low: float
    high: float
    first: int
    last: int
    seeds: int
    diverged: int

    @property
    def unstable(self) -> bool:
        """Whether the loop is shown to amplify a small step (or to diverge)."""
        return 2 * self.diverged >= self.seeds + self.diverged or self.low > 1

    @property
    def stable(self) -> bool:
        """Whether the loop is shown to forget a small step."""
        return not self.unstable and self.high < 1


def fitted(
    distances: Float[np.ndarray, "seeds generations"],
    rounding: Float[np.ndarray, "seeds generations"],
    alive: Bool[np.ndarray, "seeds generations"] | None = None,
    level: float = 0.95,
) -> Rate:
    """The rate of distances that shrink or grow geometrically, with a t interval of the per-seed slopes of their logarithm.

    Fitted over the second half of the generations that are above rounding in most seeds (from generation 1 on where there
    are few of them). Where only generation 0 is, the rate is 0 and `high` says what could not have been seen.
    """
    gone = ~np.isfinite(distances).all(axis=1) if alive is None else ~(alive & np.isfinite(distances)).all(axis=1)
    kept, floor, lost = distances[~gone], rounding[~gone], int(gone.sum())
    if 2 * lost >= len(distances) or len(kept) < 2:
        return Rate(math.nan, math.nan, math.nan, 0, 0, len(kept), lost)
    above = np.median(kept / np.maximum(floor, np.finfo(np.float64).tiny), axis=0) > 1
    last = int(np.argmin(above)) - 1 if not above.all() else len(above) - 1
    if last < 1:
        seen = floor[:, min(1, floor.shape[1] - 1)] / np.maximum(kept[:, 0], np.finfo(np.float64).tiny)
        return Rate(0.0, 0.0, float(seen.max()), 0, 1, len(kept), lost)
    first = (last + 1) // 2 if last >= 4 else min(1, last - 1)
    t = np.arange(first, last + 1, dtype=np.float64)
    logs = np.log(np.maximum(kept, np.maximum(floor, np.finfo(np.float64).tiny)))[:, first : last + 1]
    mean = hypothesis_tests.mean_of(hypothesis_tests.slopes(logs, t))
    low, high = hypothesis_tests.bounds(mean, level)
    return Rate(*(float(np.exp(min(x, 700.0))) for x in (mean.mean, low, high)), first, last, len(kept), lost)
