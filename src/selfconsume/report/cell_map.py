"""Map of a study with many cells: one metric at the last generation over two axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import polars as pl

MIN_CELLS = 13
"""Fewer cells are read faster from the table."""


class CellMap(NamedTuple):
    """A table of means over seeds, and over all further axes.

    Attributes:
        metric: The mapped value.
        row_axis: The axis of the rows.
        column_axis: The axis of the columns.
        pooled: Axes that are averaged over.
        columns: Values of the column axis.
        rows: Value of the row axis, and for each column the mean as text and its shade from 0 (best) to 1 (worst); None where
            there is no finite value.
    """

    metric: str
    row_axis: str
    column_axis: str
    pooled: list[str]
    columns: list[str]
    rows: list[tuple[str, list[tuple[str, float] | None]]]


def map_cells(frame: pl.DataFrame, study: Mapping[str, Any], better: Mapping[str, str | None]) -> CellMap | None:
    """The map of the first metric with a direction; None for few cells, a single axis or no such metric.

    Args:
        frame: A tidy table, see `selfconsume.results.table.table`.
        study: The latest study of the directory.
        better: Value name -> "lower", "higher" or None.
    """
    axes = sorted(study["axes"], key=lambda axis: -frame[axis].n_unique())
    metrics = [name for name, direction in better.items() if direction and name in frame["metric"]]
    if len(study["cells"]) < MIN_CELLS or len(axes) < 2 or not metrics:
        return None
    metric, (row_axis, column_axis) = metrics[0], axes[:2]
    last = frame.filter(pl.col("metric") == metric, pl.col("value").is_finite())
    last = last.filter(pl.col("generation") == last["generation"].max())
    keys = [pl.col(axis).cast(pl.String) for axis in (row_axis, column_axis)]
    means = last.group_by(keys, maintain_order=True).agg(pl.col("value").mean())
    if means.is_empty():
        return None
    shade = pl.col("value").rank() - 1
    if better[metric] == "higher":
        shade = len(means) - 1 - shade
    means = means.with_columns(shade=shade / max(len(means) - 1, 1))
    entries = {(row, column): (f"{value:.3g}", share) for row, column, value, share in means.iter_rows()}
    rows, columns = (
        [str(label) for label in frame[axis].unique(maintain_order=True)] for axis in (row_axis, column_axis)
    )
    return CellMap(
        metric,
        row_axis,
        column_axis,
        axes[2:],
        columns,
        [(row, [entries.get((row, column)) for column in columns]) for row in rows],
    )
