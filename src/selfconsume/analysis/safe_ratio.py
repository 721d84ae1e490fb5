r"""Safe ratio: the largest synthetic / real ratio at which the loss against real data alone stays within a margin.

For any source, family and metric: at each ratio λ, `analysis.compare` gives the mean paired difference d(λ) at the last
generation, oriented so that positive is worse. The safe ratio is the largest λ up to which ``d <= margin``. It is estimated
where the isotonic fit of d crosses the margin; its interval contains the ratios at which a two-sided t test over pairs does
not reject ``d = margin``. All ratios share seeds and keys, so d is a smooth curve with common noise, and the interval covers
the true crossing as often as the test at the crossing holds, whatever the search path, if d increases.

The search runs `POINTS` ratios at once as runs of one study, and refines the bracket between the largest ratio up to which
all are shown to be within the margin and the smallest from which all are shown to be beyond it. Loss at the last generation
is what is asked, not stability: a loop can be stable at a worse level, see `analysis.critical_ratio`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, cast

import numpy as np
import polars as pl
from scipy.optimize import isotonic_regression

from selfconsume.analysis import hypothesis_tests
from selfconsume.analysis.pairs.baselines import baseline_runs, paired
from selfconsume.analysis.verdicts import directions
from selfconsume.errors import ConfigError
from selfconsume.execution import run_study
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.schedules import floor_count
from selfconsume.results.table import table
from selfconsume.study.study import Study

POINTS = 6
"""Ratios of one round."""
MAX_ROUNDS = 3
MIN_SEEDS = 4


class Loss(NamedTuple):
    """Mean paired loss at one ratio (positive is worse) with its t interval, the number of pairs, and of diverged seeds."""

    ratio: float
    loss: float
    low: float
    high: float
    pairs: int
    diverged: int


class SafeRatio(NamedTuple):
    """Estimate of the largest safe ratio.

    Attributes:
        outcome: "found"; "safe": within the margin at every ratio of the search; "unsafe": beyond it at the smallest ratio
        already;
            "open": neither end is shown.
        ratio: Where the isotonic fit of the loss crosses the margin; None without a crossing.
        low: Largest ratio that is shown to be within the margin; 0 for none.
        high: Ratio from which the loss is shown to be beyond the margin; None if it is nowhere.
        max_ratio: Upper end of the search.
        metric: Name of the metric.
        margin: The margin.
        points: Losses, ascending in the ratio.
    """

    outcome: Literal["found", "safe", "unsafe", "open"]
    ratio: float | None
    low: float
    high: float | None
    max_ratio: float
    metric: str
    margin: float
    points: tuple[Loss, ...]


def search(
    study: Study,
    out: str | Path,
    metric: str,
    margin: float,
    *,
    max_ratio: float = 4.0,
    on_progress: Callable[[run_study.Progress], None] = lambda progress: None,
) -> SafeRatio:
    """Runs a study at several ratios until the safe ratio is bracketed, and estimates it.

    Args:
        study: A study of one run with the regime `mix`; its ratio is ignored.
        out: Directory of the results, which the search extends; it may hold an earlier search.
        metric: Value with a better direction, such as ``coverage``.
        margin: Loss that would not matter, in units of the metric.
        max_ratio: Upper end of the search.
        on_progress: Called with the progress of each round.

    Raises:
        ConfigError: See `check`.
    """
    n = check(study, margin, max_ratio)

    def measure(ratios: Sequence[float]) -> list[Loss]:
        store = run_study.execute(_at(study, ratios, max_ratio), out, on_progress=on_progress)
        return losses(table(store), directions(store), metric)

    return searched(measure, n, metric, margin, max_ratio)


def searched(
    measure: Callable[[Sequence[float]], list[Loss]], n: int, metric: str, margin: float, max_ratio: float
) -> SafeRatio:
    """The search itself: rounds of ratios, each measured together with those before.

    Args:
        measure: Losses at ascending ratios.
        n: Real examples.
        metric: Name of the metric.
        margin: The margin.
        max_ratio: Upper end of the search.
    """
    ratios: set[float] = set()
    low, high = 0.0, max_ratio
    result = None
    for _ in range(MAX_ROUNDS):
        fresh = [ratio for ratio in _grid(low, high, POINTS, n) if ratio not in ratios]
        if not fresh:
            break
        ratios |= set(fresh)
        # Labels of the table have six digits.
        points = [
            point._replace(ratio=min(ratios, key=lambda x, label=point.ratio: abs(x - label)))
            for point in measure(sorted(ratios))
        ]
        result = estimate(points, metric, margin, max_ratio)
        low, high = bracket(result.points, margin, max_ratio)
        if result.outcome in ("safe", "unsafe"):
            break
    assert result is not None
    return result


def check(study: Study, margin: float, max_ratio: float) -> int:
    """Refuses studies without a ratio, and settings too small; returns the number of real examples.

    Raises:
        ConfigError: The study or the settings are refused.
    """
    run = study.cells[0].run
    if len(study.cells) != 1 or not isinstance(run.regime, Mix):
        raise ConfigError("threshold --metric: expected a study of one run with the regime 'mix'; remove its axes")
    if len(study.seeds) < MIN_SEEDS:
        raise ConfigError(f"study.seeds: an interval needs at least {MIN_SEEDS}, got {len(study.seeds)}; raise it")
    if study.settings.generations < 2:
        raise ConfigError("study.generations: expected at least 2; raise it")
    if not margin > 0 or not math.isfinite(margin):
        raise ConfigError(f"--margin {margin:g}: expected a loss above 0 that would not matter; give one")
    if not math.isfinite(max_ratio) or floor_count(max_ratio, run.source.size) < POINTS:
        raise ConfigError(
            f"--most {max_ratio:g}: expected at least {POINTS / run.source.size:g}, {POINTS} whole examples"
        )
    return run.source.size


def losses(frame: pl.DataFrame, better: dict[str, str | None], metric: str) -> list[Loss]:
    """Paired losses at the last generation of every regime ``mix(ratio=...)`` beside `real_only`.

    Args:
        frame: The tidy table of a study with one axis, the regime.
        better: Value name -> direction.
        metric: The metric.

    Raises:
        ConfigError: The metric is unknown or has no direction.
    """
    names = [name for name, direction in better.items() if direction and name in frame["metric"]]
    if metric not in names:
        raise ConfigError(
            f"--metric {metric}: expected one with a better direction: {', '.join(names) or 'there is none'}"
        )
    sign = 1.0 if better[metric] == "lower" else -1.0
    last = int(frame["generation"].to_numpy().max())
    rows = frame.filter((pl.col("metric") == metric) & (pl.col("generation") == last))
    pairs = paired(rows, baseline_runs(frame, {"regime": "real_only"}), columns=["regime"])
    points = []
    for (regime,), part in pairs.filter(pl.col("base").is_not_null()).group_by("regime", maintain_order=True):
        differences = sign * (part["value"] - part["base"]).to_numpy()
        finite = differences[np.isfinite(differences)]
        diverged = len(differences) - len(finite)
        ratio = float(str(regime).partition("ratio=")[2].rstrip(")").partition(",")[0])
        if len(finite) < 2 or 2 * diverged >= len(differences):
            points.append(Loss(ratio, math.inf, math.inf, math.inf, len(finite), diverged))
            continue
        mean = hypothesis_tests.mean_of(finite)
        low, high = hypothesis_tests.t_interval(mean, 0.95)
        # A diverged seed is worse than any margin: nothing is shown to be safe there.
        points.append(Loss(ratio, mean.mean, low, math.inf if diverged else high, len(finite), diverged))
    return sorted(points)


def estimate(points: Sequence[Loss], metric: str, margin: float, max_ratio: float) -> SafeRatio:
    """The safe ratio from losses at ascending ratios: crossings of the loss and of its bounds with the margin, interpolated."""
    low, high = bracket(points, margin, max_ratio)
    ratios = np.array([0.0, *(point.ratio for point in points)])
    # At ratio 0 there is no synthetic data, and the loss is exactly 0.
    loss, lower, upper = (
        np.clip(np.array([0.0, *(getattr(point, name) for point in points)]), -1e9, 1e9)
        for name in ("loss", "low", "high")
    )
    is_bounded = points[-1].low > margin
    middle = _crossing(ratios, isotonic_regression(loss).x, margin)
    if points[-1].high <= margin and low == points[-1].ratio:
        return SafeRatio("safe", None, low, None, max_ratio, metric, margin, tuple(points))
    first = int(np.searchsorted(ratios, low))
    shown = _crossing(ratios[first:], upper[first:], margin) if first < len(ratios) - 1 else low
    beyond = None
    if is_bounded:
        last = int(np.searchsorted(ratios, high))
        beyond = _crossing_down(ratios[: last + 1], lower[: last + 1], margin)
    outcome = "unsafe" if points[0].low > margin and is_bounded else "found" if is_bounded and low > 0 else "open"
    return SafeRatio(outcome, middle, float(shown or low), beyond, max_ratio, metric, margin, tuple(points))


def bracket(points: Sequence[Loss], margin: float, max_ratio: float) -> tuple[float, float]:
    """Largest ratio up to which all losses are shown to be within the margin (or 0), and smallest from which all are beyond."""
    low, high = 0.0, max_ratio
    for point in points:
        if point.high > margin:
            break
        low = point.ratio
    for point in reversed(points):
        if point.low <= margin:
            break
        high = point.ratio
    return low, high


def _crossing(x: np.ndarray, y: np.ndarray, level: float) -> float | None:
    """First crossing of ``y`` above the level, linearly interpolated; None if it stays below."""
    above = np.flatnonzero(y > level)
    if not len(above):
        return None
    j = int(above[0])
    return float(x[j]) if j == 0 else float(x[j - 1] + (x[j] - x[j - 1]) * (level - y[j - 1]) / (y[j] - y[j - 1]))


def _crossing_down(x: np.ndarray, y: np.ndarray, level: float) -> float:
    """Last crossing of ``y`` above the level, from the right end, where it is above."""
    below = np.flatnonzero(y <= level)
    i = int(below[-1])
    return float(x[i] + (x[i + 1] - x[i]) * (level - y[i]) / (y[i + 1] - y[i]))


def _grid(low: float, high: float, points: int, n: int) -> list[float]:
    """Evenly spaced ratios over the interval without its lower end, of whole examples."""
    counts = {round(n * (low + (high - low) * i / points)) for i in range(1, points + 1)}
    # The rounded quotient may give one example less.
    return sorted(x if floor_count(x := k / n, n) == k else math.nextafter(x, math.inf) for k in counts if k > 0)


def _at(study: Study, ratios: Sequence[float], max_ratio: float) -> Study:
    """The study with `real_only` and these ratios on the axis of regimes."""
    tables, run = study.table(), study.cells[0].run
    # Blocks of one size, so that all ratios share their programs and metrics compare as many samples.
    tables["study"]["n_synthetic"] = max(run.sample_size, floor_count(max_ratio, run.source.size))
    regime = {"kind": "mix", **dataclasses.asdict(cast(Mix, run.regime))}
    regimes = [{"kind": "real_only"}, *({**regime, "ratio": ratio} for ratio in ratios)]
    parts = {role: tables.get(role) for role in ("source", "family", "curation", "representation")}
    return Study(**parts, metrics=tables["metrics"], axes={"regime": regimes}, **tables["study"])
