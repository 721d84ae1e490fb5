"""The answer of a study: its comparison with the baseline in one sentence, as a table, and as curves of the primary metric.

Sentences are built of the words of `analysis.compare` and are never stronger than these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from selfconsume.analysis.compare import Comparison, compare_stored
from selfconsume.analysis.pairs import baselines
from selfconsume.errors import ConfigError
from selfconsume.report.final_table import number
from selfconsume.results import cell_labels
from selfconsume.results.store import Store

MAX_CLAUSES = 4
"""More cells are counted, not named, in the sentence."""
MAX_ROWS = 24
"""Cells in the table of the report; `selfconsume compare` prints all."""
PLAIN = {"replace": "synthetic data only (replace)"}
"""Labels of regimes in plain words."""


class Row(NamedTuple):
    """One compared cell: its label, word, the primary metric and its difference to the baseline, and what is secondary."""

    run: str
    name: str
    word: str
    value: str
    difference: str
    text: str
    secondary: str


class Answer(NamedTuple):
    """What a study answers.

    Attributes:
        sentence: The words of the primary metric, as one sentence.
        metric: Primary metric.
        baseline: The baseline in words.
        generation: The compared generation.
        margin: The equivalence margin of the primary metric, or the range of those of all cells.
        rows: A row for each compared cell, at most `MAX_ROWS`.
        cells: How many are compared.
        note: What the answer is conditional on; "" for nothing.
        differences: Tidy rows of paired differences of the primary metric, named `difference_name`.
        difference_name: The name of the differences.
    """

    sentence: str
    metric: str
    baseline: str
    generation: int
    margin: str
    rows: list[Row]
    cells: int
    note: str
    differences: pl.DataFrame
    difference_name: str


def gather(store: Store, frame: pl.DataFrame) -> Answer | None:
    """The answer of a directory of results; None if nothing can be compared.

    Args:
        store: The directory.
        frame: Its tidy table.
    """
    try:
        comparison = compare_stored(store, frame=frame)
    except ConfigError:
        return None
    table = comparison.table
    if table.is_empty() or comparison.generation == 0:
        return None
    primary = table.filter(pl.col("role") == "primary").to_dicts()
    axes = store.study["axes"]
    cells = [{"run": cell["id"], **cell["labels"]} for cell in store.study["cells"]]
    labels = cell_labels.labels(cells, axes)
    names = dict(zip((cell["run"] for cell in cells), labels, strict=True))
    if len(set(labels)) == 1:
        names = dict.fromkeys(names, "this regime")
    baseline = baseline_name(comparison.baseline)
    shown = cell_labels.selection([row for row in primary], axes, MAX_ROWS)
    name = f"{comparison.primary} minus {baseline}"
    return Answer(
        sentence(primary, names, comparison.primary, baseline),
        comparison.primary,
        baseline,
        comparison.generation,
        _margin([row["margin"] for row in primary]),
        [_row(primary[i], names, table) for i in shown],
        len(primary),
        comparison.note,
        _differences(frame, comparison, name),
        name,
    )


def baseline_name(baseline: Mapping[str, Any] | None) -> str:
    """A baseline in words."""
    if baseline is None:
        return "generation 0"
    if dict(baseline) == baselines.REAL_ONLY:
        return "real data alone"
    return ", ".join(f"{axis} = {value}" for axis, value in baseline.items())


def sentence(rows: Sequence[Mapping[str, Any]], names: Mapping[str, str], metric: str, baseline: str) -> str:
    """The comparisons of the primary metric as one sentence; of many cells the counts and the worst."""
    if not rows:
        return ""
    worst = sorted((row for row in rows if row["word"] == "worse"), key=lambda row: -abs(row["difference"]))
    if len(rows) > MAX_CLAUSES:
        counts = [(word, sum(row["word"] == word for row in rows)) for word in ("diverged", "worse", "equal", "better")]
        text = [f"{count} {PHRASES[word]}" for word, count in counts if count]
        undecided = sum(row["word"] == "undecided" for row in rows)
        text += [f"{undecided} undecided"] if undecided else []
        example = f"; the largest loss is that of {_clause(worst[0], names, metric, baseline)}" if worst else ""
        return f"By {metric}, of {len(rows)} cells compared with {baseline} {_and(text)}{example}."
    order = {word: i for i, word in enumerate(("diverged", "worse", "better", "equal", "undecided"))}
    clauses = [_clause(row, names, metric, baseline) for row in sorted(rows, key=lambda row: order[row["word"]])]
    return f"With {'; with '.join(clauses)}."


PHRASES = {
    "diverged": "diverged",
    "worse": "are worse",
    "equal": "are equal to it within the margin",
    "better": "are better",
}


def _clause(row: Mapping[str, Any], names: Mapping[str, str], metric: str, baseline: str) -> str:
    """One comparison: the cell, and the level, difference and interval that its word rests on."""
    name = PLAIN.get(names[row["run"]], names[row["run"]])
    if row["word"] == "diverged" or row["pairs"] < 2:
        return f"{name}: {row['text']}"
    half = (row["high"] - row["low"]) / 2
    sign = 1 if row["difference"] >= 0 else -1
    low, high = sorted((sign * row["low"], sign * row["high"]))
    side = "above" if sign > 0 else "below"
    size = f"{number(abs(row['difference']), half)} [{number(low, half)}, {number(high, half)}] {side}"
    if row["word"] in ("worse", "better"):
        return f"{name}, {metric} is {number(row['value'], half)}, {size} {baseline}: {row['word']}"
    if row["word"] == "equal":
        excluded = f", though {size}" if low > 0 else ""
        return f"{name}, {metric} is within {number(row['margin'], half)} of {baseline}{excluded}: equal"
    needed = f"; about {row['seeds_needed']} seeds would decide" if row["seeds_needed"] else ""
    return f"{name} it is undecided ({metric} {size} {baseline}{needed})"


def _row(row: Mapping[str, Any], names: Mapping[str, str], table: pl.DataFrame) -> Row:
    secondary = table.filter((pl.col("role") == "secondary") & (pl.col("run") == row["run"]))
    words = secondary.group_by("word", maintain_order=True).agg("metric").sort("word")
    further = "; ".join(f"{word}: {', '.join(metrics)}" for word, metrics in words.iter_rows() if word != "undecided")
    has_value = row["pairs"] > 1
    half = (row["high"] - row["low"]) / 2 if has_value else math.nan
    difference = ""
    if has_value:
        difference = f"{number(row['difference'], half)} [{number(row['low'], half)}, {number(row['high'], half)}]"
    value = number(row["value"], half) if has_value else ""
    return Row(row["run"], names[row["run"]], row["word"], value, difference, _reason(row), further)


def _reason(row: Mapping[str, Any]) -> str:
    """What the word alone does not say."""
    if row["seeds_needed"]:
        return f"about {row['seeds_needed']} seeds would decide"
    return row["text"] if row["pairs"] < 2 or row["diverged"] else ""


def _margin(margins: Sequence[float]) -> str:
    low, high = number(min(margins), min(margins)), number(max(margins), max(margins))
    return low if low == high else f"{low} to {high}"


def _differences(frame: pl.DataFrame, comparison: Comparison, name: str) -> pl.DataFrame:
    """Paired differences of the primary metric as rows of a tidy table."""
    runs = baselines.baseline_runs(frame, comparison.baseline or baselines.GENERATION_0)
    rows = frame.filter(pl.col("metric") == comparison.primary)
    pairs = baselines.paired(rows, runs, columns=[*baselines.axes_of(frame), "status"])
    pairs = pairs.filter(pl.col("base").is_not_null()).with_columns(
        (pl.col("value") - pl.col("base")).alias("value"), pl.lit(name).alias("metric")
    )
    # Standard errors over examples are those of values, not of differences.
    return pairs.select(column for column in frame.columns if column != "error")


def _and(items: Sequence[str]) -> str:
    return items[0] if len(items) < 2 else f"{', '.join(items[:-1])} and {items[-1]}"
