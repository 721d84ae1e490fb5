"""What theory and tests say of a directory of results, beside what was measured: the report's predictions and verdicts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from selfconsume.analysis import against_theory
from selfconsume.analysis import verdicts as verdict
from selfconsume.errors import ConfigError
from selfconsume.plots import metric_curves
from selfconsume.report import final_table
from selfconsume.results import cell_labels, table
from selfconsume.results.store import Store
from selfconsume.study import toml_file
from selfconsume.study.cells import Cell
from selfconsume.theory.predictions.predict import Prediction, predict

THEORY = {"exact": "theory", "asymptotic": "theory, to first order in 1/n"}
"""Names of the curves that are drawn: the rest of a prediction's label is the cell's own."""
MOST_LINES = 60
"""Comparisons listed."""


class Finding(NamedTuple):
    """One prediction of one cell in the last generation measured, and where the measured mean departs from it.

    Attributes:
        cell: The cell's label.
        label: What is predicted.
        what: The statistic whose mean it is; and how many more coordinates were compared with it.
        generation: The generation that the numbers are of.
        predicted: Theory's number.
        measured: The mean over seeds.
        bounds: Its interval, raised so that those of all generations of this prediction hold together.
        outcome: "agrees", "departs at ...", or why it is not judged.
        judged: Whether the mean is compared in any generation.
        departs: Whether the mean leaves the prediction anywhere.
        citation: Where the prediction is from.
    """

    cell: str
    label: str
    what: str
    generation: int
    predicted: str
    measured: str
    bounds: str
    outcome: str
    judged: bool
    departs: bool
    citation: str


class Findings(NamedTuple):
    """What `report.write` draws and lists besides the measurements.

    Attributes:
        predictions: Metric -> curves of theory.
        statistics: Tidy rows of what theory predicts the mean of where it is not the metric itself, a square or a root.
        about: Metric of `statistics` -> what it is.
        lines: Every comparison with an exact prediction, at most `MOST_LINES`; those that depart first.
        compared: How many there are.
        judged: How many of these could be judged.
        departing: How many of these depart.
        verdicts: Run -> its gravest verdict; None where no metric can be judged.
    """

    predictions: dict[str, list[metric_curves.PredictedCurve]]
    statistics: pl.DataFrame
    about: dict[str, str]
    lines: list[Finding]
    compared: int
    judged: int
    departing: int
    verdicts: dict[str, str] | None


def gather(store: Store) -> Findings:
    """Predictions that apply to the cells that the report draws, beside what was measured, and verdicts on all cells.

    A study that cannot be read here (a kind that is not registered in this process, a data file that has gone) has no
    predictions.

    Raises:
        ConfigError: The directory holds no study yet.
    """
    if not store.studies:
        raise ConfigError(f"{store.path}: holds no study yet; run one")
    frame, study = table.table(store), store.study
    judged = verdict.verdicts(frame, better=verdict.directions(store))
    found = Findings({}, frame.clear(), {}, [], 0, 0, 0, verdict.overall(judged) or None)
    try:
        read = toml_file.from_tables(study["tables"])
    except ConfigError:
        return found
    axes = study["axes"]
    labels = [{"run": cell["id"], **cell["labels"]} for cell in study["cells"]]
    names = dict(zip((cell["run"] for cell in labels), cell_labels.labels(labels, axes), strict=True))
    drawn = {labels[i]["run"] for i in cell_labels.selection(labels, axes, metric_curves.MOST_CELLS)}
    present = set(frame["metric"].unique())
    rows, lines, seen = [], [], {}
    for cell in read.cells:
        if cell.id not in drawn:
            continue
        own = [
            each
            for each in predict(cell.run, study["generations"], read.metrics)
            if each.metric in present and np.isfinite(each.generations).all()
        ]
        part = frame.filter(pl.col("run") == cell.id)
        for each in own:
            rows += _draw(found, part, cell, each, seen)
        lines += _lines(part, cell, names[cell.id], own)
    lines.sort(key=lambda line: not line.departs)
    return found._replace(
        statistics=pl.concat([found.statistics, *rows]),
        lines=lines[:MOST_LINES],
        compared=len(lines),
        judged=sum(line.judged for line in lines),
        departing=sum(line.departs for line in lines),
    )


def _draw(
    found: Findings, frame: pl.DataFrame, cell: Cell, prediction: Prediction, seen: dict[str, str]
) -> list[pl.DataFrame]:
    """Adds a curve to those drawn; returns the rows it is drawn over where these are no metric of the study."""
    if prediction.kind not in THEORY or len(prediction.generations) < 2:
        return []
    name, rows = prediction.metric, []
    if prediction.statistic != "mean":
        # One coordinate of several that are alike.
        family = f"{prediction.statistic} {_family(prediction.metric)}"
        if seen.setdefault(family, prediction.metric) != prediction.metric or prediction.kind != "exact":
            return []
        name = prediction.expression
        found.about.setdefault(name, f"{prediction.label.split(',')[0].capitalize()} ({prediction.citation}).")
        own = frame.filter(pl.col("metric") == prediction.metric)
        values = against_theory.statistic_of(own["value"].to_numpy(), prediction.statistic, prediction.centre)
        rows = [own.with_columns(pl.lit(name).alias("metric"), pl.Series("value", values))]
    curve = metric_curves.PredictedCurve(THEORY[prediction.kind], prediction.generations, prediction.values, cell.id)
    found.predictions.setdefault(name, []).append(curve)
    return rows


def _lines(frame: pl.DataFrame, cell: Cell, name: str, predictions: Sequence[Prediction]) -> list[Finding]:
    """A line for each exact prediction; coordinates of which the same is said share one."""
    groups: dict[tuple, list[tuple[Prediction, pl.DataFrame]]] = {}
    for each in predictions:
        if each.kind != "exact":
            continue
        beside = against_theory.compare(frame, cell, [each])
        if len(beside):
            key = (each.label, each.statistic, _family(each.metric), tuple(np.round(each.values, 12)))
            groups.setdefault(key, []).append((each, beside))
    return [_line(name, group) for group in groups.values()]


def _line(name: str, group: list[tuple[Prediction, pl.DataFrame]]) -> Finding:
    prediction = group[0][0]
    beside = max((beside for _, beside in group), key=lambda one: int(one["departs"].sum() or 0))
    row = beside.row(-1, named=True)
    gone = sorted({t for _, one in group for t in one.filter(pl.col("departs"))["generation"]})
    judged = len(beside) - beside["departs"].null_count()
    if row["seeds"] < against_theory.FEWEST:
        outcome = f"not judged: fewer than {against_theory.FEWEST} seeds"
    elif gone:
        outcome = f"departs at t = {_listed(gone)}"
    elif not judged:
        outcome = "not judged: skewed, or diverged"
    else:
        outcome = "agrees" if judged == len(beside) else f"agrees ({judged} of {len(beside)} t judged)"
    half = row["high"] - row["measured"]
    known = np.isfinite(half) and half > 0
    bounds = f"[{final_table.number(row['low'], half)}, {final_table.number(row['high'], half)}]" if known else ""
    more = f" (+ {len(group) - 1} more)" if len(group) > 1 else ""
    return Finding(
        name,
        prediction.label,
        prediction.expression + more,
        row["generation"],
        final_table.number(row["predicted"], half if known else np.nan),
        final_table.number(row["measured"], half),
        bounds,
        outcome,
        bool(judged),
        bool(gone),
        prediction.citation,
    )


def _family(metric: str) -> str:
    """A metric's name without indices; variances and covariances are two families."""
    numbers = re.findall(r"\.(\d+)", metric)
    return re.sub(r"(\.\d+)+$", "", metric) + (".own" if len(set(numbers)) < len(numbers) else "")


def _listed(generations: Sequence[int]) -> str:
    shown = ", ".join(map(str, generations[:5]))
    return f"{shown}, ... ({len(generations)} generations)" if len(generations) > 5 else shown
