"""Means over seeds and how far they can be trusted.

Every interval is a Student t interval of the mean over seeds: ``mean ± t_(1+level)/2, n-1 * std / sqrt(n)`` with the unbiased
standard deviation. It assumes that seeds are independent (they are) and that their mean is roughly normal: with few seeds
and skewed values, such as variances late in a collapse, it covers less than its level. Seeds that diverged hold nan; they
are left out of the mean and counted beside it, because a mean of survivors says nothing without their share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy.special import stdtrit

VALUES = ("seed", "value", "status")
"""Columns of the tidy table that differ between the seeds of one cell."""


class Interval(NamedTuple):
    """A mean and the bounds of its interval; the bounds are nan where fewer than two seeds are finite."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Difference(NamedTuple):
    """A mean difference of pairs, the bounds of its interval, and the number of pairs in it and left out."""

    mean: float
    low: float
    high: float
    pairs: int
    dropped: int


def interval(values: Float[np.ndarray, "seeds ..."], level: float = 0.95) -> Interval:
    """Mean over the first axis with its t interval.

    Args:
        values: One row a seed; nan for a diverged one.
        level: Coverage of the interval, between 0 and 1.

    Returns:
        Arrays of shape ``values.shape[1:]``. An infinite value makes the mean infinite and the bounds nan; no finite value
        makes all three nan.
    """
    values = np.asarray(values, np.float64)
    here = ~np.isnan(values)
    n = here.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(here, values, 0.0).sum(axis=0) / n
        squares = np.where(here, (values - mean) ** 2, 0.0).sum(axis=0)
        half = half_width(np.sqrt(squares / (n - 1)), n, level)
        return Interval(mean, mean - half, mean + half)


def half_width(std: np.ndarray, n: np.ndarray, level: float) -> np.ndarray:
    """Half the width of the t interval of a mean of ``n`` values; nan where ``n < 2`` or the deviation is not finite."""
    usable = (n > 1) & np.isfinite(std)
    count = np.where(usable, n, 2)
    return np.where(usable, stdtrit(count - 1, (1 + level) / 2) * std / np.sqrt(count), np.nan)


def summarise(frame: pl.DataFrame, by: Sequence[str] | None = None, level: float = 0.95) -> pl.DataFrame:
    """Mean and interval over seeds of every group of a tidy table.

    Args:
        frame: A tidy table, see `selfconsume.results.table.table`.
        by: Columns that make a group; default: all but seed, value and status.
        level: Coverage of the interval.

    Returns:
        The columns of `by` in order of first appearance, then `mean`, `low`, `high` (nan as in `interval`), `seeds`
        (how many the group has) and `diverged` (how many of them are nan and not in the mean).
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
    half = pl.Series(half_width(groups["std"].to_numpy(), n, level), dtype=pl.Float64)
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
    """Mean over seeds of ``first - second`` with its t interval, pairing runs of the same seed.

    Runs of one seed share their real data and generation 0, so their difference varies less than its two parts.

    Args:
        frame: A tidy table.
        first: Column -> value of one cell, such as ``{"regime": "replace"}``.
        second: The same of the cell it is compared with.
        metric: Name of the compared values.
        generation: Their generation.
        level: Coverage of the interval.

    Returns:
        The difference. Pairs in which one of the two diverged are dropped and counted.

    Raises:
        ValueError: A cell has no such value, or more than one for a seed; or the two cells share no seed.
    """
    rows = frame.filter((pl.col("metric") == metric) & (pl.col("generation") == generation))
    sides = []
    for cell in (first, second):
        side = rows.filter(*(pl.col(name) == value for name, value in cell.items())).select("seed", "value")
        if side.is_empty() or side["seed"].is_duplicated().any():
            found = "none" if side.is_empty() else "several for a seed"
            raise ValueError(
                f"paired_difference: expected one {metric!r} for each seed of {dict(cell)} in generation {generation}, "
                f"found {found}"
            )
        sides.append(side)
    pairs = sides[0].join(sides[1], on="seed")
    if pairs.is_empty():
        raise ValueError(f"paired_difference: {dict(first)} and {dict(second)} share no seed")
    difference = (pairs["value"] - pairs["value_right"]).to_numpy()
    mean, low, high = interval(difference, level)
    dropped = int(np.isnan(difference).sum())
    return Difference(float(mean), float(low), float(high), len(difference) - dropped, dropped)
