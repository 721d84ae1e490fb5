"""One generation as a table: cell x metric, mean and interval over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from selfconsume.analysis import intervals
from selfconsume.answers.text_table import TextTable
from selfconsume.errors import ConfigError
from selfconsume.results import stored_study
from selfconsume.results import table as tables
from selfconsume.results.format import DECODED, FLOOR, is_single_sequence
from selfconsume.results.store import Store

FLOOR_LABELS = {FLOOR: "real against real", DECODED + FLOOR: "real against real, decoded"}


def summary(store: Store, generation: int = -1, metrics: Sequence[str] | None = None) -> TextTable:
    """Means over seeds ± half their 95 % intervals, a row for each cell and one for the noise floor; empty without values.

    Args:
        store: The directory of results.
        generation: The generation; negative ones count from the study's last.
        metrics: Names of values; None: all.

    Raises:
        ConfigError: The study has no such generation or metric.
    """
    axes, generations = store.study["axes"], store.study["generations"]
    t = generations + generation if generation < 0 else generation
    if not 0 <= t < generations:
        raise ConfigError(f"summary: expected a generation from 0 to {generations - 1}, got {generation}")
    frame = tables.table(store, {0, t})
    means = intervals.summarise(frame.filter(pl.col("generation") == t), by=["run", *axes, "metric"])
    measured = [name for name in means["metric"].unique(maintain_order=True) if not name.endswith(FLOOR)]
    for name in metrics or ():
        if name not in measured:
            raise ConfigError(
                f"summary: no metric {name!r} in generation {t}; there are {', '.join(measured) or 'none'}"
            )
    names = measured if metrics is None else list(metrics)
    heads = axes or ["regime"]
    if not axes:
        means = means.with_columns(regime=pl.lit(stored_study.regime_label(store.study)))
    rows = []
    for key, group in means.group_by(heads, maintain_order=True):
        entries = {row["metric"]: _interval(row) for row in group.iter_rows(named=True)}
        rows.append((*map(str, key), *(entries.get(name, "") for name in names)))
    for suffix, label in FLOOR_LABELS.items():
        if floors := _floors(frame, names, suffix):
            rows.append((label, *[""] * (len(heads) - 1), *(floors.get(name, "") for name in names)))
    basis = "value ± half its 95 % interval over examples (bootstrap)"
    if not is_single_sequence(store.study):
        basis = "mean ± half its 95 % interval over seeds"
    title = f"generation {t}: {basis}"
    return TextTable((*heads, *names), tuple(rows), title, n_labels=len(heads))


def _floors(frame: pl.DataFrame, metrics: list[str], suffix: str) -> dict[str, str]:
    """Metric -> its mean noise floor of one kind."""
    floors = frame.filter(pl.col("metric").str.ends_with(FLOOR)).group_by("metric").agg(pl.col("value").mean())
    means = dict(floors.iter_rows())
    return {metric: f"{means[f'{metric}{suffix}']:.3g}" for metric in metrics if f"{metric}{suffix}" in means}


def _interval(row: dict) -> str:
    if row["mean"] is None or row["mean"] != row["mean"]:
        return "diverged"
    if row["low"] is None or row["low"] != row["low"]:
        return f"{row['mean']:.3g}"
    return f"{row['mean']:.3g} ± {(row['high'] - row['low']) / 2:.2g}"
