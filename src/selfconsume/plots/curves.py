"""Curves of the tidy table: mean and interval over seeds of each cell, by generation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from selfconsume.analysis import intervals
from selfconsume.results.cell_labels import cut

MAX_POINTS = 400
"""Points of a curve; longer runs are thinned evenly, with both ends."""


class Curve(NamedTuple):
    """Mean and t interval of a cell against the generation.

    Attributes:
        t: Generations.
        mean: Mean over the seeds that are not nan; nan where it is not finite.
        low: Lower end of its interval.
        high: Upper end.
        diverged: Last finite (generation, value) of every diverged seed; (-1, nan) without one.
        label: Name of the cell, and after a cross the number of diverged seeds.
        floor: Mean, low and high of real against real; None if not measured.
    """

    t: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    diverged: list[tuple[int, float]]
    label: str
    floor: tuple[float, float, float] | None


def curves_of(
    rows: pl.DataFrame, floors: pl.DataFrame, runs: Sequence[str], names: Sequence[str], level: float
) -> list[Curve]:
    """Curves of the given cells.

    Args:
        rows: Rows of one metric in a tidy table.
        floors: Rows of its noise floor; may be empty.
        runs: Identities of the cells.
        names: Labels of the cells.
        level: Coverage of the intervals.
    """
    rows = rows.filter(pl.col("run").is_in(list(runs)))
    parts = intervals.summarise(rows, ["run", "generation"], level).sort("generation").partition_by("run", as_dict=True)
    floor_of = {run: values for run, *values in intervals.summarise(floors, ["run"], level).iter_rows()}
    diverged = _diverged_seeds(rows)
    curves = []
    for run, name in zip(runs, names, strict=True):
        part = parts[(run,)]
        keep = np.unique(np.linspace(0, len(part) - 1, min(len(part), MAX_POINTS)).round().astype(int))
        t, mean, low, high = (part[column].to_numpy()[keep] for column in ("generation", "mean", "low", "high"))
        ends = diverged.get(run, [])
        label = f"{cut(name)}  × {len(ends)}/{part['seeds'].max()}" if ends else cut(name)
        mean = np.where(np.isfinite(mean), mean, np.nan)
        curves.append(Curve(t, mean, low, high, ends, label, _rounded_floor(floor_of.get(run))))
    return curves


def _rounded_floor(values: Sequence[float] | None) -> tuple[float, float, float] | None:
    """Mean, low and high rounded, because runs of one source share their floor up to the order of summation."""
    if values is None or not np.isfinite(values[0]):
        return None
    mean, low, high = (float(f"{value:.10g}") for value in values[:3])
    return mean, low, high


def _diverged_seeds(rows: pl.DataFrame) -> dict[str, list[tuple[int, float]]]:
    """`Curve.diverged` of every run with diverged seeds."""
    diverged = rows.filter(pl.col("value").is_nan()).select("run", "seed").unique()
    finite = rows.filter(pl.col("value").is_finite()).sort("generation")
    last = finite.group_by("run", "seed").agg(pl.col("generation").last(), pl.col("value").last())
    ends: dict[str, list[tuple[int, float]]] = {}
    for run, _, t, value in diverged.join(last, on=["run", "seed"], how="left").sort("run", "seed").iter_rows():
        ends.setdefault(run, []).append((-1, float("nan")) if t is None else (t, value))
    return ends
