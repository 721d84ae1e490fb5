"""What theory predicts for each cell of a study, and the rates of stability, beside measurements."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from selfconsume.analysis import against_theory, regression_rate, twins
from selfconsume.answers import cell_theory, notebook
from selfconsume.answers.cell_theory import CellTheory
from selfconsume.answers.results import Results
from selfconsume.answers.text_table import TextTable
from selfconsume.errors import ConfigError
from selfconsume.execution.run_study import Progress
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.plots import rates
from selfconsume.results import table as tables
from selfconsume.results.store import Store
from selfconsume.study import validation
from selfconsume.study.cells import Cell
from selfconsume.study.study import Study
from selfconsume.theory.predictions.predict import predict
from selfconsume.theory.stability.rates import stability_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST_SEEDS, FEWEST_GENERATIONS = 3, 4
"""Fewest of both for a rate with an interval."""


@dataclasses.dataclass(frozen=True)
class Theory:
    """Theory of a study, a `CellTheory` for each cell."""

    study: Study
    cells: tuple[CellTheory, ...]
    paths: Mapping[str, twins.Paths]
    """Run -> distances of its twins; empty unless measured."""
    regressions: Mapping[str, against_theory.Contraction | None]
    """Run -> contraction rate estimated from stored runs."""

    def facts(self) -> dict[str, Any]:
        """All cells as plain values, for JSON; those of a single cell without an index too."""
        values = [cell_theory.facts(cell) for cell in self.cells]
        return {**(values[0] if len(values) == 1 else {}), "cells": values}

    def figure(self) -> Figure:
        """The rates over the ratio.

        Raises:
            ConfigError: There are fewer than two ratios, or no rate.
        """
        return rates.draw(self.study, self.paths, self.regressions)

    def text(self) -> TextTable:
        """Every prediction in generation 1 and in the last generation, with its kind and citation."""
        last = self.study.settings.generations - 1
        rows = []
        for cell in self.cells:
            labels = ", ".join(f"{name} = {value}" for name, value in cell.cell.labels.items())
            name = labels or validation.label("regime", cell.cell.run.regime)
            for prediction in cell.predictions:
                values = dict(zip(prediction.generations.tolist(), prediction.values.tolist(), strict=True))
                numbers = (f"{values[t]:.5g}" if t in values else "" for t in (1, last))
                rows.append((name, prediction.label, *numbers, prediction.kind, prediction.citation))
        heads = ("cell", "prediction", "t = 1", f"t = {last}", "kind", "citation")
        return TextTable(heads, tuple(rows), n_labels=2)

    def _repr_html_(self) -> str:
        return self.text().html() if any(cell.predictions for cell in self.cells) else "<p>no prediction applies</p>"


def theory(
    study: Study,
    results: str | Path | Results | None = None,
    *,
    measure: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Theory:
    """What theory predicts for a study: closed forms, rates of stability and their conditions.

    Args:
        study: The study.
        results: Results of this study, to be compared with the predictions.
        measure: Whether to train twin lanes for the measured rate.
        on_progress: Called with the progress of the twins; default: a bar in notebooks, else silent.

    Raises:
        ConfigError: The results hold no run of the study, or twins need more seeds or generations.
    """
    store = results.store if isinstance(results, Results) else None if results is None else Store(results)
    frame = None if store is None else _values(study, store)
    with notebook.progress(on_progress) as callback:
        paths = _twins(study, callback) if measure else {}
    regressions = {
        cell.id: None if frame is None or store is None else _regression(frame, store, cell) for cell in study.cells
    }
    cells = (_cell_theory(study, cell, frame, paths.get(cell.id), regressions[cell.id]) for cell in study.cells)
    return Theory(study, tuple(cells), paths, regressions)


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


def _twins(study: Study, on_progress: Callable[[Progress], None]) -> dict[str, twins.Paths]:
    """Run -> distances of its twins, with the study's seeds and generations."""
    seeds, generations = study.seeds, study.settings.generations
    if len(seeds) < FEWEST_SEEDS or generations < FEWEST_GENERATIONS:
        raise ConfigError(
            f"--measure: a rate with an interval needs at least {FEWEST_SEEDS} seeds and {FEWEST_GENERATIONS} generations, "
            f"the study has {len(seeds)} and {generations}; raise study.seeds or study.generations"
        )
    layout, paths = DeviceLayout.default(), {}
    for i, cell in enumerate(study.cells):
        text = f"twins, run {i + 1} of {len(study.cells)}"

        def on_share(share: float, done: int = i, text: str = text) -> None:
            on_progress(Progress(done + share, len(study.cells), text))

        paths[cell.id] = twins.measure(cell.run, seeds, generations, layout=layout, on_progress=on_share)
    return paths


def _values(study: Study, store: Store) -> pl.DataFrame:
    frame = tables.table(store)
    if not frame["run"].is_in([cell.id for cell in study.cells]).any():
        raise ConfigError(
            f"--results {store.path}: holds no run of this study; give its own directory, or the same --set"
        )
    return frame
