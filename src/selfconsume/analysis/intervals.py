"""Student t intervals of means over seeds.

Every interval is ``mean ± t_(1+level)/2, n-1 * std / sqrt(n)`` with the unbiased standard deviation. It assumes independent
seeds (they are) and a roughly normal mean: with few seeds and skewed values, such as variances late in a collapse, it covers
less than its level. Diverged seeds hold nan; they are excluded from the mean and counted next to it, because a mean over
survivors misleads without their share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy import special  # Ten times as fast to import as scipy.stats, which asks it for the same quantiles.

VALUES = ("seed", "value", "status", "error")
"""Columns of the tidy table that differ between seeds of one cell."""


class Interval(NamedTuple):
    """Mean and bounds of its t interval; the bounds are nan with fewer than two finite seeds."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Difference(NamedTuple):
    """Mean paired difference, bounds of its t interval, number of pairs used and dropped."""

    mean: float
    low: float
    high: float
    pairs: int
    dropped: int


def interval(values: Float[np.ndarray, "seeds ..."], level: float = 0.95) -> Interval:
    """Mean over the first axis with its Student t interval.

    Args:
        values: One row per seed; nan for a diverged seed.
        level: Coverage of the interval, between 0 and 1.

    Returns:
        Arrays of shape ``values.shape[1:]``. An infinite value makes the mean infinite and the bounds nan; no finite value
        makes all three nan.
    """
    values = np.asarray(values, np.float64)
    valid = ~np.isnan(values)
    n = valid.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(valid, values, 0.0).sum(axis=0) / n
        squares = np.where(valid, (values - mean) ** 2, 0.0).sum(axis=0)
        half = half_width(np.sqrt(squares / (n - 1)), n, level)
        return Interval(mean, mean - half, mean + half)


def t_quantile(level: float, degrees: np.ndarray | int) -> np.ndarray:
    """Quantile ``(1 + level) / 2`` of Student's t distribution: half the width of a t interval in standard errors."""
    return special.stdtrit(degrees, (1 + level) / 2)


def half_width(std: np.ndarray | float, n: np.ndarray | int, level: float) -> np.ndarray:
    """Half the width of the t interval of a mean of ``n`` values; nan where ``n < 2`` or the deviation is not finite."""
    std, n = np.asarray(std), np.asarray(n)
    usable = (n > 1) & np.isfinite(std)
    count = np.where(usable, n, 2)
    return np.where(usable, t_quantile(level, count - 1) * std / np.sqrt(count), np.nan)


def summarise(frame: pl.DataFrame, by: Sequence[str] | None = None, level: float = 0.95) -> pl.DataFrame:
    """Mean over seeds and its t interval for every group of a tidy table.

    A group of a single value with a standard error (`error`, of recorded sequences without seeds) has a normal interval of
    that error.

    Args:
        frame: A tidy table, see `selfconsume.results.table.table`.
        by: Grouping columns; default: all but seed, value and status.
        level: Coverage of the interval.

    Returns:
        The columns of `by` in order of first appearance, then `mean`, `low`, `high` (nan as in `interval`), `seeds`
        (their number) and `diverged` (the number that are nan, excluded from the mean).
    """
    by = [name for name in frame.columns if name not in VALUES] if by is None else list(by)
    value = pl.col("value")
    finite = value.filter(value.is_not_nan())
    groups = frame.group_by(by, maintain_order=True).agg(
        finite.mean().fill_null(float("nan")).alias("mean"),
        finite.std().fill_null(float("nan")).alias("std"),
        pl.len().cast(pl.Int64).alias("seeds"),
        value.is_nan().sum().cast(pl.Int64).alias("diverged"),
    )
    n = (groups["seeds"] - groups["diverged"]).to_numpy()
    widths = half_width(groups["std"].to_numpy(), n, level)
    if "error" in frame.columns:
        errors = frame.group_by(by, maintain_order=True).agg(pl.col("error").mean().fill_null(float("nan")))["error"]
        widths = np.where(n == 1, special.ndtri((1 + level) / 2) * errors.to_numpy(), widths)
    half = pl.Series(widths, dtype=pl.Float64)
    mean = groups["mean"]
    bounds = [(mean - half).alias("low"), (mean + half).alias("high")]
    return groups.with_columns(bounds).select(*by, "mean", "low", "high", "seeds", "diverged")


def paired_difference(
    frame: pl.DataFrame,
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    *,
    metric: str,
    generation: int,
    level: float = 0.95,
) -> Difference:
    """Mean over seeds of ``first - second`` with the interval of the paired t test.

    Runs of one seed share their real data and generation 0, so the paired difference varies less than either value.

    Args:
        frame: A tidy table.
        first: Column -> value of one cell, such as ``{"regime": "replace"}``.
        second: Column -> value of the cell subtracted from it.
        metric: Name of the compared values.
        generation: Generation of the compared values.
        level: Coverage of the interval.

    Returns:
        The difference. Pairs with a diverged run are dropped and counted.

    Raises:
        ValueError: A cell has no value, or several values for a seed; or the two cells share no seed.
    """
    rows = frame.filter((pl.col("metric") == metric) & (pl.col("generation") == generation))
    sides = []
    for cell in (first, second):
        side = rows.filter(*(pl.col(name) == value for name, value in cell.items())).select("seed", "value")
        if side.is_empty() or side["seed"].is_duplicated().any():
            count = "none" if side.is_empty() else "several for a seed"
            raise ValueError(
                f"paired_difference: expected one {metric!r} for each seed of {dict(cell)} in generation {generation}, "
                f"found {count}"
            )
        sides.append(side)
    pairs = sides[0].join(sides[1], on="seed")
    if pairs.is_empty():
        raise ValueError(f"paired_difference: {dict(first)} and {dict(second)} share no seed")
    difference = (pairs["value"] - pairs["value_right"]).to_numpy()
    mean, low, high = interval(difference, level)
    dropped = int(np.isnan(difference).sum())
    return Difference(float(mean), float(low), float(high), len(difference) - dropped, dropped)
