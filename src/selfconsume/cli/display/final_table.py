"""The last generation as a table: cell x metric, mean and interval over seeds."""

from __future__ import annotations

import polars as pl
from rich.markup import escape
from rich.table import Table

from selfconsume.analysis import intervals
from selfconsume.cli.display import console
from selfconsume.results import stored_study
from selfconsume.results import table as tables
from selfconsume.results.format import DECODED, FLOOR, is_single_sequence
from selfconsume.results.store import Store

FLOOR_LABELS = {FLOOR: "real against real", DECODED + FLOOR: "real against real, decoded"}


def show(store: Store) -> None:
    """Prints the last generation: cell x metric, mean and interval over seeds; as many metrics as the terminal is wide."""
    axes, last = store.study["axes"], store.study["generations"] - 1
    frame = tables.table(store, {0, last})
    if frame.is_empty():
        return
    summary = intervals.summarise(frame.filter(pl.col("generation") == last), by=["run", *axes, "metric"])
    metrics = [name for name in summary["metric"].unique(maintain_order=True) if not name.endswith(FLOOR)]
    heads = axes or ["regime"]
    if not axes:
        summary = summary.with_columns(regime=pl.lit(stored_study.regime_label(store.study)))
    rows = [
        ([str(label) for label in key], {row["metric"]: _interval(row) for row in group.iter_rows(named=True)})
        for key, group in summary.group_by(heads, maintain_order=True)
    ]
    for suffix, label in FLOOR_LABELS.items():
        if floors := _floors(frame, metrics, suffix):
            rows.append(([label, *[""] * (len(axes) - 1)], floors))
    columns = _columns(heads, metrics, rows)
    basis = "value ± half its 95 % interval over examples (bootstrap)"
    if not is_single_sequence(store.study):
        basis = "mean ± half its 95 % interval over seeds"
    table = Table(title=f"generation {last}: {basis}", title_justify="left")
    for head in heads:
        table.add_column(escape(head), no_wrap=True)
    for metric in columns:
        table.add_column(escape(metric), justify="right", no_wrap=True)
    for labels, entries in rows:
        if labels[0] == FLOOR_LABELS[FLOOR]:
            table.add_section()
        table.add_row(*map(escape, labels), *(entries.get(metric, "") for metric in columns))
    console.show(table)
    if hidden := len(metrics) - len(columns):
        console.say(f"and {console.count(hidden, 'more value')}; see `selfconsume table` or the report")
    console.warn(store)


def _columns(heads: list[str], metrics: list[str], rows: list[tuple[list[str], dict[str, str]]]) -> list[str]:
    """The first metrics, as many as fit beside the labels."""
    width = sum(max(len(head), *(len(labels[i]) for labels, _ in rows)) + 3 for i, head in enumerate(heads)) + 1
    columns = []
    for metric in metrics:
        width += max(len(metric), *(len(entries.get(metric, "")) for _, entries in rows)) + 3
        if width > max(console.OUT.width, 80):
            break
        columns.append(metric)
    return columns


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
