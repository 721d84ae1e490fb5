"""What `selfconsume theory` prints: the predictions that apply to each cell of a study, and the three rates of stability."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from selfconsume.analysis import against_theory, regression_rate, twins
from selfconsume.cli.console import OUT, progress
from selfconsume.errors import ConfigError
from selfconsume.execution.run_study import Progress
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.plots import rates
from selfconsume.results import table as tables
from selfconsume.results.store import Store
from selfconsume.study import validation
from selfconsume.study.study import Cell, Study
from selfconsume.theory.predictions.predict import Prediction, predict
from selfconsume.theory.setting import setting_of
from selfconsume.theory.stability.rates import StabilityRates, stability_of

FEWEST_SEEDS, FEWEST_GENERATIONS = 3, 4
"""What twins need for a rate with an interval."""
REGRESSED = {
    "parameters": "regression of parameters, exact",
    "samples": "regression of the samples' means and products, a rate only where the fit matches these",
}
"""What the slope from the runs in the results is."""


def theory(
    study: Study, results: Path | None, *, as_json: bool, measure: bool = False, figure: Path | None = None
) -> None:
    """Prints what is known about each cell of a study, beside what was measured if results are given.

    Args:
        study: The study.
        results: A directory that `run` has written for it.
        as_json: Whether to print JSON.
        measure: Whether to train twin lanes for the measured rate.
        figure: Where to draw the rates over the ratio.

    Raises:
        ConfigError: The directory is none of results, or holds none of the study's runs; or too little for twins.
    """
    frame = None if results is None else _measured(study, results)
    paths = _twins(study) if measure else {}
    runs = {cell.id: None if frame is None else _of_runs(frame, Store(results), cell) for cell in study.cells}
    if figure is not None:
        rates.save(rates.draw(study, paths, runs), figure)
    known = (_known(study, cell, frame, paths.get(cell.id), runs[cell.id]) for cell in study.cells)
    if as_json:
        cells = [_facts(each) for each in known]
        # A study of one cell is read without an index.
        print(json.dumps({**(cells[0] if len(cells) == 1 else {}), "cells": cells}, indent=2, allow_nan=False))
        return
    for each in known:
        _print(each, study.settings.generations)


def _of_runs(frame: pl.DataFrame, store: Store, cell: Cell) -> against_theory.Contraction | None:
    """The rate of the runs: of the parameters where these are known to follow it exactly, else of the samples."""
    return against_theory.contraction(frame, cell) or regression_rate.contraction(store, cell)


def _twins(study: Study) -> dict[str, twins.Paths]:
    """Run -> what its twins did, with the study's seeds and generations."""
    seeds, generations = study.seeds, study.settings.generations
    if len(seeds) < FEWEST_SEEDS or generations < FEWEST_GENERATIONS:
        raise ConfigError(
            f"--measure: a rate with an interval needs at least {FEWEST_SEEDS} seeds and {FEWEST_GENERATIONS} generations, "
            f"the study has {len(seeds)} and {generations}; raise study.seeds or study.generations"
        )
    layout, found = DeviceLayout.default(), {}
    with progress() as on_progress:
        for i, cell in enumerate(study.cells):
            text = f"twins, run {i + 1} of {len(study.cells)}"

            def told(share: float, done: int = i, text: str = text) -> None:
                on_progress(Progress(done + share, len(study.cells), text))

            found[cell.id] = twins.measure(cell.run, seeds, generations, layout=layout, on_progress=told)
    return found


def _measured(study: Study, results: Path) -> pl.DataFrame:
    frame = tables.table(Store(results))
    if not frame["run"].is_in([cell.id for cell in study.cells]).any():
        raise ConfigError(f"--results {results}: holds no run of this study; give its own directory, or the same --set")
    return frame


class Known(NamedTuple):
    """One cell: what theory says of it, and what was measured of it; None where a thing does not apply or was not measured."""

    cell: Cell
    there: StabilityRates | None
    found: list[Prediction]
    beside: pl.DataFrame | None
    """The predictions beside the results."""
    paths: twins.Paths | None
    runs: against_theory.Contraction | None


def _known(
    study: Study,
    cell: Cell,
    frame: pl.DataFrame | None,
    paths: twins.Paths | None,
    runs: against_theory.Contraction | None,
) -> Known:
    found = predict(cell.run, study.settings.generations, study.metrics)
    beside = None if frame is None else against_theory.compare(frame, cell, found)
    return Known(cell, stability_of(cell.run), found, beside, paths, runs)


def _facts(known: Known) -> dict[str, Any]:
    """One cell as plain values; null where a thing does not apply or was not measured."""
    cell, there, found, beside, paths, runs = known
    return {
        "run": cell.id,
        "labels": cell.labels,
        "ratio": None if there is None else there.ratio,
        "rho": None if there is None else there.rho,
        "ferbach": None if there is None else there.ferbach,
        "bertrand": None if there is None else there.bertrand,
        "rho_error": None if there is None else there.rho_error,
        **_rate(runs, paths),
        "runs": None if runs is None else list(runs[:3]),
        "runs_note": None if runs is None else REGRESSED[runs.of],
        "kinds": {} if there is None else dict(there.kinds),
        "conditions": {} if there is None else dict(there.conditions),
        "account": [] if there is None else list(there.account),
        "predictions": [
            {
                "label": each.label,
                "metric": each.metric,
                "statistic": each.statistic,
                "centre": each.centre,
                "kind": each.kind,
                "generations": None if _final(each) else each.generations.tolist(),
                "values": each.values.tolist(),
                "assumptions": each.assumptions,
                "citation": each.citation,
                "departs": None if beside is None else _departures(beside, each),
            }
            for each in found
        ],
    }


def _rate(runs: against_theory.Contraction | None, paths: twins.Paths | None) -> dict[str, Any]:
    """The measured rate: of twins if there are any, else of the runs in the results."""
    if paths is not None:
        both = {name: _plain(paths.rate(of=name)) for name in ("parameters", "distribution")}
        rate, *interval = both[paths.judged] or (None, None)
        note = (
            f"twin lanes, in {paths.judged}" if rate is not None else "twin lanes: at least half of the seeds diverged"
        )
        return {
            "measured": rate,
            "measured_interval": None if rate is None else interval,
            "measured_note": note,
            "twins": both,
        }
    if runs is not None:
        return {
            "measured": runs.rate,
            "measured_interval": [runs.low, runs.high],
            "measured_note": REGRESSED[runs.of],
            "twins": None,
        }
    note = "not measured; --measure trains twin lanes, --results DIR reads what was run"
    return {"measured": None, "measured_interval": None, "measured_note": note, "twins": None}


def _plain(rate: twins.Rate) -> list[float] | None:
    return [rate.rate, rate.low, rate.high] if np.isfinite(rate.high) else None


def _departures(beside: pl.DataFrame, prediction: Prediction) -> list[int] | None:
    """Generations in which the measured mean leaves a prediction; None where nothing was judged."""
    if _final(prediction):
        return None
    rows = beside.filter(
        pl.col("prediction") == prediction.label,
        pl.col("metric") == prediction.metric,
        pl.col("statistic") == prediction.statistic,
        pl.col("kind") == prediction.kind,
        pl.col("departs").is_not_null(),
    )
    return rows.filter("departs")["generation"].to_list() if len(rows) else None


def _print(known: Known, count: int) -> None:
    cell, there, found, beside, paths, runs = known
    labels = ", ".join(f"{name} = {value}" for name, value in cell.labels.items())
    OUT.print(f"[bold]{escape(labels or validation.label('regime', cell.run.regime))}[/bold]  {cell.id}")
    if there is None:
        where = "gaussian, categorical and mixture at temperature 1, on fixed real data with the latest generation"
        OUT.print(f"  rates: none (known for {where})")
    else:
        for name, what in (("rho", "local rate"), ("ferbach", "Ferbach et al. 2024"), ("bertrand", "Theorem 1")):
            value = getattr(there, name)
            condition = there.conditions.get(name)
            if value is None:
                shown = "none" if condition is None else f"none; needs {condition}, which fails"
            else:
                shown = f"{value:.6g} ({there.kinds[name]}{f'; condition: {condition}' if condition else ''})"
            OUT.print(escape(f"  {name:<8} {shown}  [{what}]"))
        for sentence in there.account:
            OUT.print(escape(f"  {sentence}"))
    if runs is not None:
        shown = f"{runs.rate:.4g} [{runs.low:.4g}, {runs.high:.4g}], 95 % over {runs.seeds} seeds"
        OUT.print(escape(f"  measured {shown}, {REGRESSED[runs.of]}"))
    if paths is not None:
        for name in (paths.judged, "distribution" if paths.judged == "parameters" else "parameters"):
            OUT.print(escape(f"  twins    {_twin_text(paths.rate(of=name))}, in {name}"))
    if not found:
        OUT.print("  predictions: none apply")
        return
    OUT.print(_table(found, count - 1, beside, setting_of(cell.run, count).text))
    for what, field in (("assumes", "assumptions"), ("citation", "citation")):
        for line in dict.fromkeys(getattr(each, field) for each in found):
            OUT.print(escape(f"  {what}: {line}"), style="dim")


def _twin_text(rate: twins.Rate) -> str:
    if not np.isfinite(rate.high):
        return f"{rate.diverged} of {rate.seeds + rate.diverged} seeds diverged"
    span = f"generations {rate.first} to {rate.last}"
    return f"{rate.rate:.4g} [{rate.low:.4g}, {rate.high:.4g}], 95 % over {rate.seeds} seeds, {span}"


def _table(found: Sequence[Prediction], last: int, beside: pl.DataFrame | None, regime: str) -> Table:
    table = Table(title=escape(regime), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("prediction", overflow="fold")
    table.add_column("mean over seeds of", overflow="fold", min_width=14)
    for name in ("t = 0", "t = 1", f"t = {last}", "in the end"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    if beside is not None:
        table.add_column("departs")
    for first, others in _alike(found):
        ends = [each for each in found if _final(each) and _same(each, first) and each.kind == "limit"]
        if first.kind == "limit":
            if any(_same(each, first) for each in found if not _final(each)):
                continue
            ends = [first]
        at = dict(zip(first.generations.tolist(), first.values, strict=True))
        end = at.get(np.inf, ends[0].values[0] if ends else None)
        more = f" (+ {others} more)" if others else ""
        row = [
            first.label.replace(f", {regime}", ""),
            first.expression + more,
            _number(at.get(0)),
            _number(at.get(1)),
            _number(at.get(last)),
            _number(end),
            first.kind,
        ]
        if beside is not None:
            gone = _departures(beside, first)
            row.append("-" if gone is None else ", ".join(map(str, gone)) or "nowhere")
        table.add_row(*(escape(each) for each in row))
    return table


def _alike(found: Sequence[Prediction]) -> list[tuple[Prediction, int]]:
    """The predictions without those that repeat another one for a further coordinate, and how many these are."""
    groups: dict[tuple, list[Prediction]] = {}
    for each in found:
        key = (each.label, each.statistic, each.kind, tuple(each.generations), tuple(np.round(each.values, 12)))
        groups.setdefault(key, []).append(each)
    return [(group[0], len(group) - 1) for group in groups.values()]


def _same(first: Prediction, second: Prediction) -> bool:
    return (first.label, first.metric, first.statistic) == (second.label, second.metric, second.statistic)


def _final(prediction: Prediction) -> bool:
    return bool(np.isinf(prediction.generations).all())


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"
