"""From the tidy table to curves: one cell's summary over seeds, generation by generation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from selfconsume.analysis import intervals
from selfconsume.results.cell_labels import cut

MOST_POINTS = 400
"""Generations of each curve; longer runs are thinned evenly, first and last included."""


class Curve(NamedTuple):
    """A cell's mean and interval against the generation.

    Attributes:
        t: Generations.
        mean: Mean over the seeds that are not nan there; nan where it is not finite.
        low: Lower end of its interval.
        high: Upper end.
        lost: Last finite (generation, value) of every seed that diverged; (-1, nan) where there never was one.
        label: The cell's name; after a cross, how many of its seeds diverged.
        floor: Mean, low and high of real against real; None where it was not measured.
    """

    t: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    lost: list[tuple[int, float]]
    label: str
    floor: tuple[float, float, float] | None


def curves_of(
    rows: pl.DataFrame, floors: pl.DataFrame, runs: Sequence[str], names: Sequence[str], level: float
) -> list[Curve]:
    """The curves of some cells.

    Args:
        rows: Rows of one metric in a tidy table.
        floors: Rows of its floor, which may be none.
        runs: Identities of the cells.
        names: Their labels.
        level: Coverage of the intervals.
    """
    rows = rows.filter(pl.col("run").is_in(list(runs)))
    parts = intervals.summarise(rows, ["run", "generation"], level).sort("generation").partition_by("run", as_dict=True)
    floor_of = {run: values for run, *values in intervals.summarise(floors, ["run"], level).iter_rows()}
    lost = _lost(rows)
    curves = []
    for run, name in zip(runs, names, strict=True):
        part = parts[(run,)]
        keep = np.unique(np.linspace(0, len(part) - 1, min(len(part), MOST_POINTS)).round().astype(int))
        t, mean, low, high = (part[column].to_numpy()[keep] for column in ("generation", "mean", "low", "high"))
        gone = lost.get(run, [])
        label = f"{cut(name)}  × {len(gone)}/{part['seeds'].max()}" if gone else cut(name)
        # Runs of one source share their floor bit for bit; what is left after rounding is the order of summation.
        floor = tuple(float(f"{value:.10g}") for value in floor_of.get(run, (np.nan,))[:3])
        known = floor if np.isfinite(floor[0]) else None
        curves.append(Curve(t, np.where(np.isfinite(mean), mean, np.nan), low, high, gone, label, known))
    return curves


def _lost(rows: pl.DataFrame) -> dict[str, list[tuple[int, float]]]:
    """The `Curve.lost` of every run that has any."""
    gone = rows.filter(pl.col("value").is_nan()).select("run", "seed").unique()
    finite = rows.filter(pl.col("value").is_finite()).sort("generation")
    last = finite.group_by("run", "seed").agg(pl.col("generation").last(), pl.col("value").last())
    found: dict[str, list[tuple[int, float]]] = {}
    for run, _, t, value in gone.join(last, on=["run", "seed"], how="left").sort("run", "seed").iter_rows():
        found.setdefault(run, []).append((-1, float("nan")) if t is None else (t, value))
    return found
