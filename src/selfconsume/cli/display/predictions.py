"""Predictions of theory for each cell of a study, and the rates of stability."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from selfconsume.analysis import against_theory, regression_rate, twins
from selfconsume.cli.display import predictions_table
from selfconsume.cli.display.cell_theory import CellTheory, facts
from selfconsume.cli.display.console import progress
from selfconsume.errors import ConfigError
from selfconsume.execution.run_study import Progress
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.plots import rates, style
from selfconsume.results import table as tables
from selfconsume.results.store import Store
from selfconsume.study.cells import Cell
from selfconsume.study.study import Study
from selfconsume.theory.predictions.predict import predict
from selfconsume.theory.stability.rates import stability_of

FEWEST_SEEDS, FEWEST_GENERATIONS = 3, 4
"""Fewest of both for a rate with an interval."""


def theory(
    study: Study, results: Path | None, *, as_json: bool, measure: bool = False, figure: Path | None = None
) -> None:
    """Prints rates and predictions of each cell of a study, beside measurements if results are given.

    Args:
        study: The study.
        results: A directory of results of this study.
        as_json: Whether to print JSON.
        measure: Whether to train twin lanes for the measured rate.
        figure: Where to draw the rates over the ratio.

    Raises:
        ConfigError: The directory holds no run of the study, or twins need more seeds or generations.
    """
    frame, store = (None, None) if results is None else _measured(study, results)
    paths = _twins(study) if measure else {}
    regressions = {
        cell.id: None if frame is None or store is None else _regression(frame, store, cell) for cell in study.cells
    }
    if figure is not None:
        style.save(rates.draw(study, paths, regressions), figure)
    cells = (_cell_theory(study, cell, frame, paths.get(cell.id), regressions[cell.id]) for cell in study.cells)
    if as_json:
        values = [facts(cell) for cell in cells]
        # A study of one cell is read without an index.
        print(json.dumps({**(values[0] if len(values) == 1 else {}), "cells": values}, indent=2, allow_nan=False))
        return
    for cell in cells:
        predictions_table.show(cell, study.settings.generations)


def _cell_theory(
    study: Study,
    cell: Cell,
    frame: pl.DataFrame | None,
    paths: twins.Paths | None,
    regression: against_theory.Contraction | None,
) -> CellTheory:
    predictions = predict(cell.run, study.settings.generations, study.metrics)
    comparison = None if frame is None else against_theory.compare_predictions(frame, cell, predictions)
    return CellTheory(cell, stability_of(cell.run), predictions, comparison, paths, regression)


def _regression(frame: pl.DataFrame, store: Store, cell: Cell) -> against_theory.Contraction | None:
    """The rate from stored runs: of the parameters where these follow it exactly, else of the samples."""
    return against_theory.estimate_contraction(frame, cell) or regression_rate.estimate_contraction(store, cell)


def _twins(study: Study) -> dict[str, twins.Paths]:
    """Run -> distances of its twins, with the study's seeds and generations."""
    seeds, generations = study.seeds, study.settings.generations
    if len(seeds) < FEWEST_SEEDS or generations < FEWEST_GENERATIONS:
        raise ConfigError(
            f"--measure: a rate with an interval needs at least {FEWEST_SEEDS} seeds and {FEWEST_GENERATIONS} generations, "
            f"the study has {len(seeds)} and {generations}; raise study.seeds or study.generations"
        )
    layout, paths = DeviceLayout.default(), {}
    with progress() as on_progress:
        for i, cell in enumerate(study.cells):
            text = f"twins, run {i + 1} of {len(study.cells)}"

            def on_share(share: float, done: int = i, text: str = text) -> None:
                on_progress(Progress(done + share, len(study.cells), text))

            paths[cell.id] = twins.measure(cell.run, seeds, generations, layout=layout, on_progress=on_share)
    return paths


def _measured(study: Study, results: Path) -> tuple[pl.DataFrame, Store]:
    store = Store(results)
    frame = tables.table(store)
    if not frame["run"].is_in([cell.id for cell in study.cells]).any():
        raise ConfigError(f"--results {results}: holds no run of this study; give its own directory, or the same --set")
    return frame, store
