"""The report: one page that opens offline and prints, made from what is stored and nothing else."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import polars as pl
from markupsafe import Markup

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.plots import metric_curves, panels
from selfconsume.report import final_table, sample_strip
from selfconsume.report.final_table import Shown
from selfconsume.report.findings import Findings
from selfconsume.results import cell_labels, description, provenance, stored_study, table
from selfconsume.results.format import seeds_of
from selfconsume.results.store import Store
from selfconsume.study import toml_file, validation
from selfconsume.study.settings import PARTS

FILE = "report.html"
MOST_LINES = 200
"""Cells in the final table; the tidy table has all."""
MOST_OF_FAMILY = 4
"""Values shown of a family of names that differ in indices only, such as the entries of a covariance."""
ARROWS = {"lower": "↓", "higher": "↑", None: ""}


def write(
    store: Store,
    *,
    samples_per_panel: int = 500,
    findings: Findings | None = None,
) -> Path:
    """Writes ``report.html`` into a directory of results, whole or not at all.

    The page is one file of a few megabytes at most: it limits the cells in its figures (`plots.MOST_CELLS`), the sample panels
    (`film.MOST_ROWS`, `film.MOST_PANELS`) and the lines of its table (`MOST_LINES`), and says where it does.

    Args:
        store: The results; they may be unfinished.
        samples_per_panel: Examples in a scatter or histogram.
        findings: Predictions of theory and verdicts to be shown beside what was measured: `findings.gather(store)`.

    Returns:
        The page's path.

    Raises:
        ConfigError: The directory holds no study yet, or cannot be written to.
    """
    if not store.studies:
        raise ConfigError(f"{store.path}: holds no study yet; run one")
    study, frame = store.study, table.table(store)
    axes, cells = study["axes"], _cells(study)
    names = cell_labels.labels(cells, axes)
    if len(set(names)) < 2:
        names = [_only(study)] * len(cells)
    metrics, hidden = _metrics(store, frame)
    constant = _constant(frame, [metric.name for metric in metrics])
    drawn = cell_labels.selection(cells, axes, metric_curves.MOST_CELLS)
    colours = panels.colours([cells[i] for i in drawn], axes)
    filmed = [drawn[i] for i in cell_labels.selection([cells[i] for i in drawn], axes, sample_strip.MOST_ROWS)]
    fates = description.fates(store)
    page = {
        "title": stored_study.title(study),
        "question": toml_file.question(study["text"]),
        "name": stored_study.name(study),
        "directory": store.path.resolve().name,
        "summary": description.summary(study),
        "study": study,
        "metrics": metrics,
        "hidden": hidden,
        "tables": final_table.pieces(frame, metrics, cells[:MOST_LINES], names),
        "compared": provenance.lines(store),
        "warnings": provenance.warnings(store),
        "cells": len(cells),
        "listed": MOST_LINES,
        "drawn": len(drawn),
        "filmed": len(filmed),
        "curves": [
            (metric, *_curve(frame, metric, axes, findings.predictions.get(metric.name, ()) if findings else ()))
            for metric in metrics
            if metric.name not in constant
        ],
        "constant": constant,
        "film": sample_strip.shoot(
            store,
            stored_study.readable(store),
            [study["cells"][i] for i in filmed],
            [names[i] for i in filmed],
            colours,
            samples_per_panel,
        ),
        "fate": fates,
        "verdict": findings.verdicts if findings else None,
        "findings": findings,
        "statistics": _statistics(findings, axes) if findings else [],
        "fates": _fates(fates, study["generations"] - 1),
        "text": study["text"] or description.toml(study["tables"]),
        "given": bool(study["text"]),
        "foreign": _foreign(study["tables"]),
        "layouts": description.layouts(store),
        "seconds": description.seconds(store),
        "duration": description.duration,
        "arrows": ARROWS,
        "seeds": len(seeds_of(study)),
    }
    loader = jinja2.PackageLoader("selfconsume.report", "templates")
    pages = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return _put(store.path / FILE, pages.get_template(FILE).render(page))


def _put(path: Path, text: str) -> Path:
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from None
    return path


def _cells(study: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"run": cell["id"], **cell["labels"]} for cell in study["cells"]]


def _only(study: Mapping[str, Any]) -> str:
    """The label of a study's only cell: its regime."""
    tables = study["tables"].get("regime", {})
    try:
        return validation.label("regime", validation.recipe("regime", tables, "regime"))
    except ConfigError:
        return str(tables.get("kind", "the run"))


def _foreign(tables: Mapping[str, Any]) -> list[str]:
    """The kinds of a study that do not come with this package, such as ``source 'ring'``."""
    given = [(role, tables.get(role)) for role in PARTS]
    given += [(role, value) for role in PARTS for value in tables["axes"].get(role, ())]
    for metric in tables["metrics"]:
        given += [("metric", metric), ("extractor", metric.get("features"))]
    named = [(role, table["kind"]) for role, table in given if isinstance(table, Mapping) and "kind" in table]
    return list(dict.fromkeys(f"{role} {kind!r}" for role, kind in named if not registry.comes_along(role, kind)))


def _metrics(store: Store, frame: pl.DataFrame) -> tuple[list[Shown], int]:
    """Metrics in the study's order, at most a few of a family of names; and how many are left out."""
    present = set(frame["metric"].unique())
    shown: list[Shown] = []
    hidden = 0
    for text, given in zip(store.study["metrics"], store.study["tables"]["metrics"], strict=True):
        names = dict.fromkeys(name for s in store.segments for name in s.metrics.get(text, ()))
        families: dict[str, list[str]] = {}
        for name in names:
            if name in present and not name.endswith(".floor"):
                families.setdefault(re.sub(r"(\.\d+)+$", "", name), []).append(name)
        try:
            better_of, about = validation.recipe("metric", given, "metrics").better_of, validation.metric_summary(given)
        except ConfigError:
            better_of, about = lambda name: None, ""
        for members in families.values():
            # Variances first: of covariance.0.1 and covariance.1.1 the second says more.
            members.sort(key=lambda name: (len(set(re.findall(r"\.(\d+)", name)[-2:])) > 1, _natural(name)))
            hidden += len(members[MOST_OF_FAMILY:])
            shown += [Shown(name, better_of(name), about) for name in members[:MOST_OF_FAMILY]]
    return shown, hidden


def _constant(frame: pl.DataFrame, names: Sequence[str]) -> dict[str, str]:
    """Metrics that have the same value in all cells, seeds and generations, and this value."""
    range_of = frame.group_by("metric").agg(pl.col("value").min().alias("low"), pl.col("value").max().alias("high"))
    nan = set(frame.filter(pl.col("value").is_nan())["metric"])
    same = {name: low for name, low, high in range_of.iter_rows() if low == high and name not in nan}
    return {name: final_table.number(same[name]) for name in names if name in same}


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts component 2 before component 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]


def _curve(
    frame: pl.DataFrame, metric: Shown, axes: Sequence[str], predictions: Sequence[metric_curves.PredictedCurve]
) -> tuple[Markup, bool]:
    figure = metric_curves.metric_curves(frame, metric.name, axes, metric.better, predictions=predictions)
    # matplotlib escapes the texts of an SVG file.
    return Markup(metric_curves.svg(figure, metric.name)), figure.get_figwidth() > 6


def _statistics(findings: Findings, axes: Sequence[str]) -> list[tuple[Shown, Markup, bool]]:
    """Figures of squares, roots and logarithms whose means theory predicts."""
    return [
        (metric, *_curve(findings.statistics, metric, axes, findings.predictions[metric.name]))
        for metric in (Shown(name, None, about) for name, about in findings.about.items())
    ]


def _fates(fates: Mapping[str, description.Fate], last: int) -> dict[str, int]:
    """Counts over all cells."""
    return {
        "runs": sum(fate.seeds for fate in fates.values()),
        "diverged": sum(fate.diverged for fate in fates.values()),
        "behind": sum(fate.done < last for fate in fates.values()),
        "last": last,
        "cells": len(fates),
    }
