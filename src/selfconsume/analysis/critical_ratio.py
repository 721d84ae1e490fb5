r"""The critical ratio: the largest synthetic / real ratio at which retraining forgets a small step.

Stable means that twin lanes, a small step apart, come closer (`analysis.twins`): their contraction ρ(λ) crosses 1 at
the critical ratio. Every tested ratio has a t test over seeds of log ρ = 0, and the interval is what these tests do not
reject: it covers the true crossing as often as the test at the crossing holds, whatever the search did. All ratios share
their seeds and keys, so that ρ(λ) is a smooth curve and the search does not chase noise.

The search halves nothing: each round lays a fixed number of ratios as lanes of one compiled program, and the next round lies
between the largest ratio below which everything is shown to be stable and the smallest above which nothing is.

With n real rows the crossing of a run's rate lies off that of the population map by some (1 + λ)/n: small beside the interval
unless there are many seeds and few rows.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from selfconsume.analysis import twins
from selfconsume.errors import ConfigError
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.loop.run import Run
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.schedules import floor_count
from selfconsume.theory.run_facts import family_facts

POINTS = 8
"""Ratios that run together."""
ROUNDS = 5
"""Most rounds; the end of the search where nothing else ends it."""
INSIDE = 5
"""Ratios that are neither shown to be stable nor unstable, after which the interval's ends are known well enough."""
MOST = 4.0
"""Largest ratio that is searched."""
FEWEST_SEEDS, FEWEST_GENERATIONS = 4, 8

Outcome = Literal["found", "stable", "unstable", "open"]


class Point(NamedTuple):
    """One ratio (as rounded to whole rows) and the contraction of its twins."""

    ratio: float
    rate: twins.Rate

    @property
    def verdict(self) -> Literal["stable", "unstable", "undecided"]:
        """What is shown of it."""
        return "stable" if self.rate.stable else "unstable" if self.rate.unstable else "undecided"


class Threshold(NamedTuple):
    """The largest stable ratio.

    Attributes:
        outcome: "found"; "stable": at every ratio that was searched; "unstable": at every one above 0; "open": the interval
            does not end below the largest ratio searched.
        ratio: Where the mean contraction crosses 1; None unless it does.
        low: Lower end of its interval: up to here the loop is shown to be stable.
        high: Upper end: from here on it is shown to be unstable; None if that is nowhere.
        searched: Largest ratio that was searched.
        points: Everything that was measured, by ratio.
        judged: What the twins' distance is measured in, "parameters" or "distribution".
    """

    outcome: Outcome
    ratio: float | None
    low: float
    high: float | None
    searched: float
    points: tuple[Point, ...]
    judged: str


def search(
    run: Run,
    seeds: Sequence[int],
    generations: int,
    *,
    most: float = MOST,
    layout: DeviceLayout | None = None,
    on_progress: Callable[[float, str], None] = lambda share, text: None,
) -> Threshold:
    """Finds the critical ratio of a run by trying many, all seeds at once.

    Args:
        run: A run of the regime `mix`; its ratio does not matter.
        seeds: At least 4; more of them narrow the interval.
        generations: At least 8, generation 0 included. The rate is fitted over the later half.
        most: Largest ratio to search.
        layout: Where it runs; default: all local devices.
        on_progress: Called the finished share and what is being done.

    Raises:
        ConfigError: The regime has no ratio, or there is too little of something.
    """
    check(run, seeds, generations, most)
    layout = layout or DeviceLayout.default()
    on_progress(0.0, "generation 0")
    start = twins.begin([_at(run, most, most)], seeds, layout)
    points: dict[float, Point] = {}
    judged, low, high = "", 0.0, most
    for turn in range(ROUNDS):
        n = POINTS if turn == 0 else POINTS + 1
        fresh = [x for x in _grid(low, high, n, run.source.size) if x not in points]
        if not fresh:
            break
        # The same number of lanes in every round, or each would be compiled anew.
        runs = [_at(run, x, most) for x in [*fresh, *[fresh[-1]] * POINTS][:POINTS]]
        text = f"round {turn + 1}: ratios {fresh[0]:.4g} to {fresh[-1]:.4g}, {len(fresh) * len(seeds)} pairs of lanes"

        def told(share: float, turn: int = turn, text: str = text) -> None:
            on_progress((turn + share) / ROUNDS, text)

        paths = twins.follow(runs, start, seeds, generations, layout=layout, on_progress=told)
        judged = paths.judged
        points |= {x: Point(x, paths.rate(i)) for i, x in enumerate(fresh[:POINTS])}
        found = [points[x] for x in sorted(points)]
        low, high = _bracket(found, most)
        if all(each.rate.stable for each in found) or sum(low < each.ratio < high for each in found) >= INSIDE:
            break
    return concluded([points[x] for x in sorted(points)], most, judged)


def check(run: Run, seeds: Sequence[int], generations: int, most: float = MOST) -> None:
    """Refuses what has no critical ratio, or too little to find it.

    Raises:
        ConfigError: See above.
    """
    if not isinstance(run.regime, Mix):
        raise ConfigError(
            "regime: a critical ratio is one of the regime 'mix' (fixed real set + ratio); use kind = 'mix'"
        )
    if run.regime.weight == 0:
        raise ConfigError("regime.weight: synthetic examples of weight 0 change nothing; use a weight above 0")
    if len(seeds) < FEWEST_SEEDS:
        raise ConfigError(f"study.seeds: an interval needs at least {FEWEST_SEEDS}, there are {len(seeds)}; raise it")
    if generations < FEWEST_GENERATIONS:
        raise ConfigError(
            f"study.generations: a rate needs at least {FEWEST_GENERATIONS}, there are {generations}; raise it"
        )
    if not math.isfinite(most) or floor_count(most, run.source.size) < POINTS:
        raise ConfigError(
            f"--most {most:g}: {POINTS} ratios are tried at once, each of whole rows; "
            f"use at least {POINTS / run.source.size:g} for {run.source.size} real examples"
        )


def concluded(points: Sequence[Point], most: float, judged: str = "parameters") -> Threshold:
    """The threshold that measured points, by ratio, tell of: where rate and bounds cross 1, interpolated between points."""
    low, high = _bracket(points, most)
    shut = points[-1].rate.unstable
    x = np.array([each.ratio for each in points])
    logs = np.array([[_log(value) for value in _bounds(each.rate)] for each in points])
    lower = _crossing(x, logs[:, 2], low) if low else 0.0
    middle = _crossing(x, logs[:, 0], None)
    upper = _crossing(x[::-1], -logs[::-1, 1], high) if shut else None
    if all(each.rate.stable for each in points):
        return Threshold("stable", None, low, None, most, tuple(points), judged)
    if shut and not low and points[0].rate.unstable:
        return Threshold("unstable", None, 0.0, float(x[0]), most, tuple(points), judged)
    return Threshold("found" if shut else "open", middle, float(lower or low), upper, most, tuple(points), judged)


def critical_ratio(run: Run) -> tuple[float, str] | None:
    """What theory says: the ratio below which the population map contracts (inf: at every one), and why; None if unknown.

    For a Gaussian whose samples' variance is multiplied by τ, the variance follows v' = (1 + λτv)/(1+λ) and the mean
    contracts with λ/(1+λ), so that the critical ratio is 1/(τ-1) for τ > 1, and none for τ <= 1. A synthetic example of
    weight w counts as w of them.
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


def _at(run: Run, ratio: float, most: float) -> Run:
    """The run at a ratio. Blocks are as long as the largest ratio needs, so that all ratios share their programs."""
    block = max(run.sample_size, floor_count(most, run.source.size))
    return dataclasses.replace(run, regime=dataclasses.replace(run.regime, ratio=ratio), n_synthetic=block)


def _grid(low: float, high: float, n: int, rows: int) -> list[float]:
    """Ratios that divide the interval into ``n`` equal parts, without its lower end, each a whole number of rows."""
    counts = {round(rows * (low + (high - low) * i / n)) for i in range(1, n + 1)}
    # A quotient's decimal may be a row short.
    return sorted(x if floor_count(x := k / rows, rows) == k else math.nextafter(x, math.inf) for k in counts if k > 0)


def _bracket(points: Sequence[Point], most: float) -> tuple[float, float]:
    """The largest ratio up to which all points are shown stable (or 0), the smallest from which all are shown unstable."""
    low, high = 0.0, most
    for each in points:
        if not each.rate.stable:
            break
        low = each.ratio
    for each in reversed(points):
        if not each.rate.unstable:
            break
        high = each.ratio
    return low, high


def _bounds(rate: twins.Rate) -> tuple[float, float, float]:
    return (rate.rate, rate.low, rate.high) if math.isfinite(rate.high) else (math.inf, math.inf, math.inf)


def _log(value: float) -> float:
    return float(np.log(np.clip(value, 1e-9, 1e9)))


def _crossing(x: np.ndarray, y: np.ndarray, after: float | None) -> float | None:
    """Where ``y`` first turns from below 0 to 0 or above, in order of ``x`` from ``after`` on; without it, its isotonic fit."""
    if after is None:
        from scipy.optimize import isotonic_regression

        y, i = isotonic_regression(y).x, 0
    else:
        i = int(np.flatnonzero(x == after)[0])
    above = np.flatnonzero(y[i:] >= 0)
    if not len(above):
        return None
    j = i + int(above[0])
    if j == 0:
        # Below the smallest ratio: at ratio 0 nothing is retrained on, and the rate is 0.
        return float(x[0])
    return float(x[j - 1] + (x[j] - x[j - 1]) * -y[j - 1] / (y[j] - y[j - 1]))
