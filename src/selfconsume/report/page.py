"""The report: one self-contained page, made from stored results alone."""

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
from selfconsume.analysis import claims, verdicts
from selfconsume.errors import ConfigError
from selfconsume.metrics.metric_key import better_of
from selfconsume.plots import metric_curves, panels, web_figure
from selfconsume.report import answer, cell_map, collapse_profile, final_table, sample_strip, terms, text_samples
from selfconsume.report.final_table import Shown
from selfconsume.report.findings import Findings
from selfconsume.results import cell_labels, description, provenance, stored_study, table
from selfconsume.results.format import FLOOR, is_single_sequence, seeds_of
from selfconsume.results.store import Store
from selfconsume.study import toml_file, validation
from selfconsume.study.settings import PARTS

FILE = "report.html"
MAX_TABLE_ROWS = 200
"""Cells in the final table; `selfconsume table` writes all."""
MAX_OF_FAMILY = 4
"""Values shown of a family of names that differ in indices only, such as the entries of a covariance."""
DARK_COLOURS = "/* dark colours of figures */"
"""Where the template takes the colours of figures on a dark page."""
ARROWS = {"lower": "↓", "higher": "↑", None: ""}


def write(
    store: Store,
    *,
    samples_per_panel: int = 500,
    findings: Findings | None = None,
) -> Path:
    """Writes ``report.html`` into a directory of results, whole or not at all.

    The page is one file of a few megabytes at most: it limits the cells in its figures (`metric_curves.MAX_CELLS`), the
    sample panels (`sample_strip.MAX_ROWS`, `sample_strip.MAX_PANELS`) and the rows of its table (`MAX_TABLE_ROWS`), and
    says where it does.

    Args:
        store: The results; they may be unfinished.
        samples_per_panel: Examples in a scatter or histogram.
        findings: Predictions of theory and verdicts to be shown beside the measurements: `findings.gather(store)`.

    Returns:
        The page's path.

    Raises:
        ConfigError: The directory holds no study yet, or cannot be written to.
    """
    if not store.studies:
        raise ConfigError(f"{store.path}: holds no study yet; run one")
    frame = table.table(store)
    fates = description.fates(store)
    page = {
        **_head(store),
        **_measurements(store, frame, findings),
        **_samples(store, samples_per_panel),
        **_reproduction(store),
        "fate": fates,
        "fates": _fates(fates, store.study["generations"] - 1),
        "findings": findings,
        "verdict": findings.verdicts if findings else None,
        "statistics": _statistics(findings, store.study["axes"]) if findings else [],
        "arrows": ARROWS,
        "terms": terms.terms(store.study["tables"]["metrics"], list(((findings and findings.verdicts) or {}).values())),
    }
    loader = jinja2.PackageLoader("selfconsume.report", "templates")
    pages = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    text = pages.get_template(FILE).render(page)
    return _put(store.path / FILE, text.replace(DARK_COLOURS, web_figure.dark_colours(text)))


def _head(store: Store) -> dict[str, Any]:
    """Title, question and summary, and the sizes of the study."""
    study = store.study
    return {
        "title": stored_study.title(study),
        "question": toml_file.question(study["text"]),
        "name": stored_study.name(study),
        "directory": store.path.resolve().name,
        "summary": description.summary(study),
        "study": study,
        "cells": len(study["cells"]),
        "seeds": len(seeds_of(study)),
        "single_sequence": is_single_sequence(study),
    }


def _measurements(store: Store, frame: pl.DataFrame, findings: Findings | None) -> dict[str, Any]:
    """The final table and the curves of all metrics."""
    study = store.study
    axes, cells = study["axes"], _cells(study)
    metrics, hidden = _metrics(store, frame)
    constant = _constant(frame, [metric.name for metric in metrics])
    predictions = findings.predictions if findings else {}
    answered = answer.gather(store, frame)
    curves = {
        metric.name: (metric, *_curve(frame, metric, axes, predictions.get(metric.name, ())))
        for metric in metrics
        if metric.name not in constant
    }
    return {
        **_answer(
            answered, curves, axes, [cells[i] for i in cell_labels.selection(cells, axes, metric_curves.MAX_CELLS)]
        ),
        "claim": claims.of_store(store),
        "numbers_of": claims.numbers_of,
        "profile": collapse_profile.gather(store, _names(study)),
        "metrics": metrics,
        "hidden": hidden,
        "tables": final_table.pieces(frame, metrics, cells[:MAX_TABLE_ROWS], _names(study)),
        "max_rows": MAX_TABLE_ROWS,
        "map": cell_map.map_cells(frame, study, verdicts.directions(store)),
        "compared": [*provenance.data_lines(store), *provenance.lines(store)],
        "warnings": provenance.warnings(store),
        "constant": constant,
        "n_curves": len(cell_labels.selection(cells, axes, metric_curves.MAX_CELLS)),
        "curves": [curve for name, curve in curves.items() if answered is None or name != answered.metric],
    }


def _answer(
    answered: answer.Answer | None, curves: Mapping[str, Any], axes: Sequence[str], cells: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The comparison with the baseline, and the figures of its metric: differences, then values in the same colours."""
    figures = []
    if answered is not None and answered.metric in curves:
        metric = Shown(answered.difference_name, None, f"Difference to {answered.baseline} by pairs of seeds.")
        figures = [(metric, *_curve(answered.differences, metric, axes, (), cells)), curves[answered.metric]]
    return {"answer": answered, "answer_figures": figures}


def _samples(store: Store, samples_per_panel: int) -> dict[str, Any]:
    """Samples by generation, of some of the cells with curves."""
    study = store.study
    axes, cells, names = study["axes"], _cells(study), _names(study)
    curves = cell_labels.selection(cells, axes, metric_curves.MAX_CELLS)
    colours = panels.colours([cells[i] for i in curves], axes)
    rows = [curves[i] for i in cell_labels.selection([cells[i] for i in curves], axes, sample_strip.MAX_ROWS)]
    readable = stored_study.readable(store)
    shown, labels = [study["cells"][i] for i in rows], [names[i] for i in rows]
    texts = text_samples.text_samples(store, readable, shown, labels)
    # Token numbers have no place in a scatter plot.
    strip = texts or sample_strip.sample_strip(store, readable, shown, labels, colours, samples_per_panel)
    return {"samples": None if texts else strip, "texts": texts, "n_sample_rows": len(rows)}


def _reproduction(store: Store) -> dict[str, Any]:
    """The study file, the kinds that it needs, devices and durations."""
    study = store.study
    return {
        "text": study["text"] or description.toml(study["tables"]),
        "is_original": bool(study["text"]),
        "foreign_kinds": _foreign_kinds(study["tables"]),
        "layouts": description.layouts(store),
        "seconds": description.seconds(store),
        "duration": description.duration,
    }


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


def _names(study: Mapping[str, Any]) -> list[str]:
    """Labels of the cells; of an only cell, its regime."""
    names = cell_labels.labels(_cells(study), study["axes"])
    return names if len(set(names)) > 1 else [stored_study.regime_label(study)] * len(names)


def _foreign_kinds(tables: Mapping[str, Any]) -> list[str]:
    """Kinds of a study that are not this package's, such as ``source 'ring'``."""
    recipes = [(role, tables.get(role)) for role in PARTS]
    recipes += [(role, value) for role in PARTS for value in tables["axes"].get(role, ())]
    for metric in tables["metrics"]:
        recipes += [("metric", metric), ("extractor", metric.get("features"))]
    kinds = [(role, recipe["kind"]) for role, recipe in recipes if isinstance(recipe, Mapping) and "kind" in recipe]
    return list(dict.fromkeys(f"{role} {kind!r}" for role, kind in kinds if not registry.comes_along(role, kind)))


def _metrics(store: Store, frame: pl.DataFrame) -> tuple[list[Shown], int]:
    """Metrics in the study's order, at most a few of a family of names; and the number of those left out."""
    measured = set(frame["metric"].unique())
    columns: list[Shown] = []
    hidden = 0
    for text, recipe in zip(store.study["metrics"], store.study["tables"]["metrics"], strict=True):
        names = dict.fromkeys(name for s in store.segments for name in s.metrics.get(text, ()))
        families: dict[str, list[str]] = {}
        for name in names:
            if name in measured and not name.endswith(FLOOR):
                families.setdefault(re.sub(r"(\.\d+)+$", "", name), []).append(name)
        try:
            metric, about = validation.recipe("metric", recipe, "metrics"), validation.metric_summary(recipe)
        except ConfigError:
            metric, about = None, ""
        for members in families.values():
            # Variances first: of covariance.0.1 and covariance.1.1 the second says more.
            members.sort(key=lambda name: (len(set(re.findall(r"\.(\d+)", name)[-2:])) > 1, _natural(name)))
            hidden += len(members[MAX_OF_FAMILY:])
            anchor = terms.anchor("metric", recipe["kind"])
            columns += [
                Shown(name, metric and better_of(metric, name), about, anchor) for name in members[:MAX_OF_FAMILY]
            ]
    return columns, hidden


def _constant(frame: pl.DataFrame, names: Sequence[str]) -> dict[str, str]:
    """Metrics with one value in all cells, seeds and generations, and this value."""
    range_of = frame.group_by("metric").agg(pl.col("value").min().alias("low"), pl.col("value").max().alias("high"))
    nan = set(frame.filter(pl.col("value").is_nan())["metric"])
    same = {name: low for name, low, high in range_of.iter_rows() if low == high and name not in nan}
    return {name: final_table.number(same[name]) for name in names if name in same}


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts component 2 before component 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]


def _curve(
    frame: pl.DataFrame,
    metric: Shown,
    axes: Sequence[str],
    predictions: Sequence[metric_curves.PredictedCurve],
    among: Sequence[Mapping[str, Any]] | None = None,
) -> tuple[Markup, bool]:
    figure = metric_curves.metric_curves(frame, metric.name, axes, metric.better, predictions=predictions, among=among)
    # matplotlib escapes the texts of an SVG file.
    return Markup(web_figure.svg(figure, metric_curves.describe(frame, metric.name, axes))), figure.get_figwidth() > 6


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
