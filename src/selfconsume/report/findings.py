"""The report's theory: predictions compared with the measurements, and verdicts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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
MAX_LINES = 60
"""Comparisons listed."""


class Finding(NamedTuple):
    """One prediction of one cell in the last generation measured, and where the measured mean departs from it.

    Attributes:
        cell: The cell's label.
        label: What is predicted.
        statistic: The statistic whose mean is predicted, and the number of further coordinates compared.
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
    statistic: str
    generation: int
    predicted: str
    measured: str
    bounds: str
    outcome: str
    judged: bool
    departs: bool
    citation: str


class Findings(NamedTuple):
    """Curves, comparisons and verdicts that `page.write` shows beside the measurements.

    Attributes:
        predictions: Metric -> curves of theory.
        statistics: Tidy rows of what theory predicts the mean of where it is not the metric itself, a square or a root.
        about: Metric of `statistics` -> what it is.
        lines: Every comparison with an exact prediction, at most `MAX_LINES`; those that depart first.
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
    """Predictions for the cells that the report draws, compared with the measurements, and verdicts on all cells.

    A study that cannot be read here (an unregistered kind, a missing data file) has no predictions.

    Raises:
        ConfigError: The directory holds no study yet.
    """
    if not store.studies:
        raise ConfigError(f"{store.path}: holds no study yet; run one")
    frame, stored = table.table(store), store.study
    verdicts = verdict.overall(verdict.verdicts(frame, better=verdict.directions(store))) or None
    findings = Findings({}, frame.clear(), {}, [], 0, 0, 0, verdicts)
    try:
        study = toml_file.from_stored(stored["tables"])
    except ConfigError:
        return findings
    names, plotted = _cells(stored)
    metrics = set(frame["metric"].unique())
    rows, lines, coordinates = [], [], {}
    for cell in study.cells:
        if cell.id not in plotted:
            continue
        predictions = [
            prediction
            for prediction in predict(cell.run, stored["generations"], study.metrics)
            if prediction.metric in metrics and np.isfinite(prediction.generations).all()
        ]
        part = frame.filter(pl.col("run") == cell.id)
        for prediction in predictions:
            rows += _add_curve(findings, part, cell, prediction, coordinates)
        lines += _lines(part, cell, names[cell.id], predictions)
    lines.sort(key=lambda line: not line.departs)
    return findings._replace(
        statistics=pl.concat([findings.statistics, *rows]),
        lines=lines[:MAX_LINES],
        compared=len(lines),
        judged=sum(line.judged for line in lines),
        departing=sum(line.departs for line in lines),
    )


def _cells(study: Mapping[str, Any]) -> tuple[dict[str, str], set[str]]:
    """Run -> label of its cell, and the runs that the report draws."""
    axes = study["axes"]
    cells = [{"run": cell["id"], **cell["labels"]} for cell in study["cells"]]
    names = dict(zip((cell["run"] for cell in cells), cell_labels.labels(cells, axes), strict=True))
    return names, {cells[i]["run"] for i in cell_labels.selection(cells, axes, metric_curves.MAX_CELLS)}


def _add_curve(
    findings: Findings, frame: pl.DataFrame, cell: Cell, prediction: Prediction, coordinates: dict[str, str]
) -> list[pl.DataFrame]:
    """Adds a predicted curve to the findings; returns the measured rows where its statistic is no metric of the study."""
    if prediction.kind not in THEORY or len(prediction.generations) < 2:
        return []
    name, rows = prediction.metric, []
    if prediction.statistic != "mean":
        # One coordinate of several that are alike.
        family = f"{prediction.statistic} {_family(prediction.metric)}"
        if coordinates.setdefault(family, prediction.metric) != prediction.metric or prediction.kind != "exact":
            return []
        name = prediction.expression
        findings.about.setdefault(name, f"{prediction.label.split(',')[0].capitalize()} ({prediction.citation}).")
        own = frame.filter(pl.col("metric") == prediction.metric)
        values = against_theory.statistic_of(own["value"].to_numpy(), prediction.statistic, prediction.centre)
        rows = [own.with_columns(pl.lit(name).alias("metric"), pl.Series("value", values))]
    generations, values = prediction.generations.tolist(), prediction.values.tolist()
    curve = metric_curves.PredictedCurve(THEORY[prediction.kind], generations, values, cell.id)
    findings.predictions.setdefault(name, []).append(curve)
    return rows


def _lines(frame: pl.DataFrame, cell: Cell, name: str, predictions: Sequence[Prediction]) -> list[Finding]:
    """A line for each exact prediction; coordinates with equal predictions share one."""
    groups: dict[tuple, list[tuple[Prediction, pl.DataFrame]]] = {}
    for prediction in predictions:
        if prediction.kind != "exact":
            continue
        comparison = against_theory.compare_predictions(frame, cell, [prediction])
        if len(comparison):
            values = tuple(np.round(prediction.values, 12))
            key = (prediction.label, prediction.statistic, _family(prediction.metric), values)
            groups.setdefault(key, []).append((prediction, comparison))
    return [_line(name, group) for group in groups.values()]


def _line(name: str, group: list[tuple[Prediction, pl.DataFrame]]) -> Finding:
    prediction = group[0][0]
    comparison = max((frame for _, frame in group), key=lambda frame: int(frame["departs"].sum() or 0))
    row = comparison.row(-1, named=True)
    departures = sorted({t for _, frame in group for t in frame.filter(pl.col("departs"))["generation"]})
    judged = len(comparison) - comparison["departs"].null_count()
    if row["seeds"] < against_theory.MIN_SEEDS:
        outcome = f"not judged: fewer than {against_theory.MIN_SEEDS} seeds"
    elif departures:
        outcome = f"departs at t = {_listed(departures)}"
    elif not judged:
        outcome = "not judged: skewed, or diverged"
    else:
        outcome = "agrees" if judged == len(comparison) else f"agrees ({judged} of {len(comparison)} t judged)"
    half = row["high"] - row["measured"]
    has_half = bool(np.isfinite(half) and half > 0)
    bounds = f"[{final_table.number(row['low'], half)}, {final_table.number(row['high'], half)}]" if has_half else ""
    more = f" (+ {len(group) - 1} more)" if len(group) > 1 else ""
    return Finding(
        name,
        prediction.label,
        prediction.expression + more,
        row["generation"],
        final_table.number(row["predicted"], half if has_half else np.nan),
        final_table.number(row["measured"], half),
        bounds,
        outcome,
        bool(judged),
        bool(departures),
        prediction.citation,
    )


def _family(metric: str) -> str:
    """A metric's name without indices; variances and covariances are two families."""
    numbers = re.findall(r"\.(\d+)", metric)
    return re.sub(r"(\.\d+)+$", "", metric) + (".own" if len(set(numbers)) < len(numbers) else "")


def _listed(generations: Sequence[int]) -> str:
    shown = ", ".join(map(str, generations[:5]))
    return f"{shown}, ... ({len(generations)} generations)" if len(generations) > 5 else shown
