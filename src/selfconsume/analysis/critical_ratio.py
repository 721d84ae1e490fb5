r"""Critical ratio: the largest synthetic / real ratio at which retraining contracts a small perturbation.

Stable means that twin lanes, a small perturbation apart, converge (`analysis.twins`): their contraction rate ρ(λ) crosses 1 at
the critical ratio. Every evaluated ratio has a t test over seeds of log ρ = 0, and the interval contains the ratios that these
tests do not reject: it covers the true crossing as often as the test at the crossing holds, for any search path. All ratios
share seeds and keys, so ρ(λ) is a smooth curve and the search does not follow noise.

Not a bisection: each round evaluates 8 ratios in parallel as lanes of one compiled program, and the next round refines the
bracket between the largest ratio below which all are stable and the smallest ratio above which all are unstable.

With n real examples the crossing of a finite run deviates from that of the population map by about (1 + λ)/n: small relative to
the interval unless seeds are many and examples few.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, cast

import numpy as np

from selfconsume.analysis import twins
from selfconsume.errors import ConfigError
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.loop.run import Run
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.schedules import floor_count
from selfconsume.theory.run_facts import family_facts

POINTS = 8
"""Ratios evaluated in parallel."""
MAX_ROUNDS = 5
MAX_UNDECIDED = 5
"""The search ends with this number of undecided ratios: they resolve the ends of the interval well enough."""
MAX_RATIO = 4.0
"""Default upper end of the search."""
MIN_SEEDS, MIN_GENERATIONS = 4, 8

Outcome = Literal["found", "stable", "unstable", "open"]


class Point(NamedTuple):
    """One ratio (rounded to whole examples) and the contraction rate of its twins."""

    ratio: float
    rate: twins.Rate

    @property
    def verdict(self) -> Literal["stable", "unstable", "undecided"]:
        """Decision of the t test of log ρ = 0."""
        return "stable" if self.rate.is_stable else "unstable" if self.rate.is_unstable else "undecided"


class Threshold(NamedTuple):
    """Estimate of the critical ratio.

    Attributes:
        outcome: "found"; "stable": at every ratio of the search; "unstable": at every ratio above 0; "open": the interval
            does not end below the upper end of the search.
        ratio: Crossing of the mean contraction rate with 1; None without a crossing.
        low: Lower end of its interval: the loop is stable up to this ratio.
        high: Upper end: the loop is unstable from this ratio; None if it is not unstable anywhere.
        max_ratio: Upper end of the search.
        points: All evaluated ratios, ascending.
        space: Space of the twins' distance, "parameters" or "distribution".
    """

    outcome: Outcome
    ratio: float | None
    low: float
    high: float | None
    max_ratio: float
    points: tuple[Point, ...]
    space: str


def search(
    run: Run,
    seeds: Sequence[int],
    generations: int,
    *,
    max_ratio: float = MAX_RATIO,
    layout: DeviceLayout | None = None,
    on_progress: Callable[[float, str], None] = lambda share, text: None,
) -> Threshold:
    """Estimates the critical ratio of a run by a parallel bracket search, all seeds together.

    Args:
        run: A run of the regime `mix`; its ratio is ignored.
        seeds: At least 4; more seeds narrow the interval.
        generations: At least 8, including generation 0. The rate is fitted over the second half.
        max_ratio: Upper end of the search.
        layout: Devices; default: all local ones.
        on_progress: Called with the finished share and a description of the round.

    Raises:
        ConfigError: The regime has no ratio, or seeds, generations or examples are too few.
    """
    check(run, seeds, generations, max_ratio)
    layout = layout or DeviceLayout.default()
    on_progress(0.0, "generation 0")
    start = twins.fit_generation_zero([_at(run, max_ratio, max_ratio)], seeds, layout)
    points: dict[float, Point] = {}
    space, low, high = "", 0.0, max_ratio
    for turn in range(MAX_ROUNDS):
        n = POINTS if turn == 0 else POINTS + 1
        fresh = [x for x in _grid(low, high, n, run.source.size) if x not in points]
        if not fresh:
            break
        # A constant number of lanes, so that all rounds share their compiled programs.
        runs = [_at(run, x, max_ratio) for x in [*fresh, *[fresh[-1]] * POINTS][:POINTS]]
        text = f"round {turn + 1}: ratios {fresh[0]:.4g} to {fresh[-1]:.4g}, {len(fresh) * len(seeds)} pairs of lanes"

        def report_share(share: float, turn: int = turn, text: str = text) -> None:
            on_progress((turn + share) / MAX_ROUNDS, text)

        paths = twins.follow(runs, start, seeds, generations, layout=layout, on_progress=report_share)
        space = paths.space
        points |= {x: Point(x, paths.rate(i)) for i, x in enumerate(fresh[:POINTS])}
        ascending = [points[x] for x in sorted(points)]
        low, high = _bracket(ascending, max_ratio)
        undecided = sum(low < point.ratio < high for point in ascending)
        if all(point.rate.is_stable for point in ascending) or undecided >= MAX_UNDECIDED:
            break
    return estimate_threshold([points[x] for x in sorted(points)], max_ratio, space)


def check(run: Run, seeds: Sequence[int], generations: int, max_ratio: float = MAX_RATIO) -> None:
    """Refuses runs without a critical ratio and settings too small to estimate it.

    Raises:
        ConfigError: The run or the settings are refused.
    """
    if not isinstance(run.regime, Mix):
        raise ConfigError(
            "regime: a critical ratio is one of the regime 'mix' (fixed real set + ratio); use kind = 'mix'"
        )
    if run.regime.weight == 0:
        raise ConfigError("regime.weight: synthetic examples of weight 0 change nothing; use a weight above 0")
    if len(seeds) < MIN_SEEDS:
        raise ConfigError(f"study.seeds: an interval needs at least {MIN_SEEDS}, there are {len(seeds)}; raise it")
    if generations < MIN_GENERATIONS:
        raise ConfigError(
            f"study.generations: a rate needs at least {MIN_GENERATIONS}, there are {generations}; raise it"
        )
    if not math.isfinite(max_ratio) or floor_count(max_ratio, run.source.size) < POINTS:
        raise ConfigError(
            f"--most {max_ratio:g}: {POINTS} ratios are evaluated at once, each of whole examples; "
            f"use at least {POINTS / run.source.size:g} for {run.source.size} real examples"
        )


def estimate_threshold(points: Sequence[Point], max_ratio: float, space: str = "parameters") -> Threshold:
    """Threshold from evaluated points (ascending): crossings of rate and bounds with 1, interpolated between points."""
    low, high = _bracket(points, max_ratio)
    is_bounded = points[-1].rate.is_unstable
    x = np.array([point.ratio for point in points])
    logs = np.array([[_log(value) for value in _bounds(point.rate)] for point in points])
    lower = _crossing(x, logs[:, 2], low) if low else 0.0
    middle = _crossing(x, logs[:, 0], None)
    upper = _crossing(x[::-1], -logs[::-1, 1], high) if is_bounded else None
    if all(point.rate.is_stable for point in points):
        return Threshold("stable", None, low, None, max_ratio, tuple(points), space)
    if is_bounded and not low and points[0].rate.is_unstable:
        return Threshold("unstable", None, 0.0, float(x[0]), max_ratio, tuple(points), space)
    outcome = "found" if is_bounded else "open"
    return Threshold(outcome, middle, float(lower or low), upper, max_ratio, tuple(points), space)


def critical_ratio(run: Run) -> tuple[float, str] | None:
    """Critical ratio of the population map in theory (inf: contracts at every ratio) and its reason; None if unknown.

    For a Gaussian whose samples' variance is multiplied by τ, the variance follows v' = (1 + λτv)/(1+λ) and the mean
    contracts with λ/(1+λ), so that the critical ratio is 1/(τ-1) for τ > 1, and infinite for τ <= 1. A synthetic example
    of weight w counts as w examples.
    """
    if not isinstance(run.regime, Mix) or run.curation is not None or run.extrapolation or not run.regime.weight:
        return None
    family = family_facts(run.family)
    if family is None:
        return None
    if family.kind == "gaussian" and family.temperature > 1:
        bound = 1.0 / (family.temperature - 1.0) / run.regime.weight
        return bound, "variance contracts by tau ratio / (1 + ratio): critical at 1 / (tau - 1)"
    if family.kind == "gaussian":
        return math.inf, "mean and variance contract by at most ratio / (1 + ratio) < 1"
    if family.kind in ("categorical", "mixture") and family.temperature == 1:
        return math.inf, "a strict maximum of the likelihood has rho < 1 at every finite ratio"
    return None


def _at(run: Run, ratio: float, max_ratio: float) -> Run:
    """The run at a ratio, with blocks for the largest ratio, so that all ratios share their compiled programs."""
    block = max(run.sample_size, floor_count(max_ratio, run.source.size))
    regime = dataclasses.replace(cast(Mix, run.regime), ratio=ratio)
    return dataclasses.replace(run, regime=regime, n_synthetic=block)


def _grid(low: float, high: float, n: int, rows: int) -> list[float]:
    """Evenly spaced ratios over the interval without its lower end, rounded to whole examples."""
    counts = {round(rows * (low + (high - low) * i / n)) for i in range(1, n + 1)}
    # The rounded quotient may give one example less.
    return sorted(x if floor_count(x := k / rows, rows) == k else math.nextafter(x, math.inf) for k in counts if k > 0)


def _bracket(points: Sequence[Point], max_ratio: float) -> tuple[float, float]:
    """Largest ratio up to which all points are stable (or 0), smallest ratio from which all are unstable."""
    low, high = 0.0, max_ratio
    for point in points:
        if not point.rate.is_stable:
            break
        low = point.ratio
    for point in reversed(points):
        if not point.rate.is_unstable:
            break
        high = point.ratio
    return low, high


def _bounds(rate: twins.Rate) -> tuple[float, float, float]:
    return (rate.rate, rate.low, rate.high) if math.isfinite(rate.high) else (math.inf, math.inf, math.inf)


def _log(value: float) -> float:
    return float(np.log(np.clip(value, 1e-9, 1e9)))


def _crossing(x: np.ndarray, y: np.ndarray, start: float | None) -> float | None:
    """First crossing of ``y`` to 0 or above, in the order of ``x`` from ``start`` on; without ``start`` of its isotonic fit."""
    if start is None:
        from scipy.optimize import isotonic_regression

        y, i = isotonic_regression(y).x, 0
    else:
        i = int(np.flatnonzero(x == start)[0])
    above = np.flatnonzero(y[i:] >= 0)
    if not len(above):
        return None
    j = i + int(above[0])
    if j == 0:
        # Below the smallest ratio: at ratio 0 there is no synthetic data, and the rate is 0.
        return float(x[0])
    return float(x[j - 1] + (x[j] - x[j - 1]) * -y[j - 1] / (y[j] - y[j - 1]))
