"""Baseline of each cell, and pairs of values of a cell and of its baseline that share a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.results.table import FIXED
from selfconsume.study.settings import GENERATION_0

REAL_ONLY = {"regime": "real_only"}
"""Default baseline."""

Baseline = Mapping[str, Any] | str | None
"""Axis -> value; "generation 0"; or None: `REAL_ONLY` if every cell has one, else generation 0."""


def baseline_runs(frame: pl.DataFrame, baseline: Baseline) -> dict[str, str]:
    """Run -> run of its baseline, without the baselines themselves; empty if the baseline is generation 0 of each run.

    Args:
        frame: A tidy table, see `selfconsume.results.table.table`.
        baseline: See `Baseline`. A cell's baseline has the same values on all axes that are not named here.

    Raises:
        ConfigError: A named axis is none of the study, or a cell has no baseline.
    """
    if baseline == GENERATION_0:
        return {}
    axes = axes_of(frame)
    columns = REAL_ONLY if baseline is None else dict(baseline) if isinstance(baseline, Mapping) else {baseline: None}
    unknown = [name for name in columns if name not in axes]
    if unknown and baseline is None:
        return {}
    if unknown:
        hint = registry.suggest(unknown[0], [*axes, GENERATION_0])
        raise ConfigError(f"compare.baseline: {unknown[0]!r} is no axis of the study; {hint}")
    cells = frame.select("run", *axes).unique("run", maintain_order=True).to_dicts()
    shared = [axis for axis in axes if axis not in columns]
    # A mixed axis is text in the table, whatever its values are in the study file.
    is_baseline = [
        all(cell[name] == value or str(cell[name]) == str(value) for name, value in columns.items()) for cell in cells
    ]
    run_at = {
        tuple(cell[axis] for axis in shared): cell["run"]
        for cell, matches in zip(cells, is_baseline, strict=True)
        if matches
    }
    runs = {cell["run"]: run_at.get(tuple(cell[axis] for axis in shared)) for cell in cells}
    missing = [cell for cell in cells if runs[cell["run"]] is None]
    if missing and baseline is not None:
        labels = {axis: missing[0][axis] for axis in axes}
        raise ConfigError(
            f"compare.baseline: no cell {columns} to compare {labels} with; choose another baseline, or {GENERATION_0!r}"
        )
    return {} if missing else {run: str(base) for run, base in runs.items() if base != run}


def axes_of(frame: pl.DataFrame) -> list[str]:
    """The columns of a tidy table that are axes of its study."""
    return [name for name in frame.columns if name not in FIXED]


def paired(rows: pl.DataFrame, baseline_of: Mapping[str, str], columns: Sequence[str] = ()) -> pl.DataFrame:
    """Values of cells and of their baselines for the same seed: `value`, `base`, and the baseline's run `base_run`.

    Args:
        rows: Rows of a tidy table.
        baseline_of: See `baseline_runs`; if empty, every value is paired with that of generation 0 of its own run and seed.
        columns: Further columns to keep.
    """
    rows = rows.select("run", "seed", "generation", "metric", "value", *columns)
    if not baseline_of:
        start = rows.filter(pl.col("generation") == 0).select("run", "seed", "metric", pl.col("value").alias("base"))
        pairs = rows.filter(pl.col("generation") > 0).join(start, on=["run", "seed", "metric"], maintain_order="left")
        return pairs.with_columns(pl.col("run").alias("base_run"))
    runs = pl.DataFrame({"run": list(baseline_of), "base_run": list(baseline_of.values())})
    base = rows.select("seed", "generation", "metric", pl.col("run").alias("base_run"), pl.col("value").alias("base"))
    keys = ["base_run", "seed", "generation", "metric"]
    return rows.join(runs, on="run", maintain_order="left").join(base, on=keys, maintain_order="left")
