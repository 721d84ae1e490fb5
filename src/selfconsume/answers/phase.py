"""The phase diagram of a study: its grid is run and drawn, with theory's boundary."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from selfconsume.analysis import phase_diagram, verdicts
from selfconsume.answers import notebook
from selfconsume.errors import ConfigError
from selfconsume.execution import run_study
from selfconsume.execution.run_study import Progress
from selfconsume.plots import phase_diagram as plots
from selfconsume.results import table as tables
from selfconsume.study import validation
from selfconsume.study.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VERDICT, CONTRACTION = "verdict", "contraction"
NOT_JUDGED = (
    "--show verdict: no metric of the study can be judged: none has a noise floor or a better direction; "
    "give --show contraction, the name of a metric's value, or another metric"
)


class Diagram(NamedTuple):
    """A phase diagram, and the value of each run in it."""

    figure: Figure
    values: Mapping[str, Any]


class Phase(NamedTuple):
    """A phase diagram.

    Attributes:
        figure: The figure.
        values: Run -> what is shown: its verdict, the value of a metric, or a mapping of a rate and its bounds.
        plane: Axes and cells.
        lines: Boundaries of theory.
        notes: Results of theory without a curve.
        show: What is shown.
    """

    figure: Figure
    values: Mapping[str, Any]
    plane: phase_diagram.Plane
    lines: list[phase_diagram.Boundary]
    notes: list[str]
    show: str

    @property
    def counts(self) -> dict[str, int]:
        """Cells by verdict, the most frequent first; empty where no verdicts are shown."""
        return dict(Counter(self.values.values()).most_common()) if self.show == VERDICT else {}

    def facts(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plane = self.plane
        return {
            "show": self.show,
            "x": plane.x,
            "y": plane.y,
            "cells": [
                {plane.x: at[0], plane.y: at[1], "run": cell.id, "value": self.values.get(cell.id)}
                for at, cell in plane.cells.items()
            ],
            "theory": [{"label": line.label, plane.x: _list(line.x), plane.y: _list(line.y)} for line in self.lines],
            "notes": self.notes,
            "family": validation.label("family", next(iter(plane.cells.values())).run.family),
        }

    def _repr_png_(self) -> bytes:
        return getattr(self.figure, "_repr_png_")()  # noqa: B009 (a method of notebooks)


def phase(
    study: Study,
    out: str | Path | None = None,
    *,
    x: str | None = None,
    y: str | None = None,
    show: str = VERDICT,
    text: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Phase:
    """Runs the cells of a study with two axes of numbers and draws a diagram over them.

    Args:
        study: The study.
        out: The directory of its results, continued like any other; needed unless contractions are shown.
        x: The horizontal axis; by default the study's first axis of numbers.
        y: The vertical axis; by default the second.
        show: "verdict", "contraction" (of twins, with the study's seeds and generations), or the name of a metric's value.
        text: The study file's text, kept for the report.
        on_progress: Called with the progress; default: a bar in notebooks, else silent.

    Raises:
        ConfigError: The axes do not make a plane, or there is nothing to show.
    """
    plane = phase_diagram.plane(study, x, y)
    lines, notes = phase_diagram.boundaries(plane)
    with notebook.progress(on_progress) as callback:
        if show == CONTRACTION:
            diagram = _contraction(study, plane, lines, notes, callback)
        elif out is None:
            raise ConfigError(f"phase: {show!r} needs a directory of results; give out, or show = 'contraction'")
        else:
            diagram = _stored(study, out, plane, lines, notes, show=show, text=text, on_progress=callback)
    return Phase(diagram.figure, diagram.values, plane, lines, notes, show)


def _contraction(
    study: Study,
    plane: phase_diagram.Plane,
    lines: list[phase_diagram.Boundary],
    notes: list[str],
    on_progress: Callable[[Progress], None],
) -> Diagram:
    seeds, generations = study.seeds, study.settings.generations
    if len(seeds) < 3 or generations < 4:
        raise ConfigError(
            "--show contraction: needs at least 3 seeds and 4 generations; raise study.seeds or generations"
        )

    def on_share(share: float) -> None:
        on_progress(Progress(share, 1, f"twins of {len(plane.cells)} cells"))

    rates = phase_diagram.contractions(plane, seeds, generations, on_progress=on_share)
    values = {
        run: {"rate": _plain(rate.rate), "low": _plain(rate.low), "high": _plain(rate.high)}
        for run, rate in rates.items()
    }
    return Diagram(plots.contraction_diagram(plane, rates, lines, notes), values)


def _stored(
    study: Study,
    out: str | Path,
    plane: phase_diagram.Plane,
    lines: list[phase_diagram.Boundary],
    notes: list[str],
    *,
    show: str,
    text: str | None,
    on_progress: Callable[[Progress], None],
) -> Diagram:
    if not study.metrics:
        raise ConfigError(f"--show {show}: the study has no metrics; add [[metrics]], or give --show contraction")
    if show == VERDICT and not any(metric.has_noise_floor or metric.better for metric in study.metrics):
        raise ConfigError(NOT_JUDGED)
    store = run_study.execute(study, out, text=text, on_progress=on_progress)
    if show != VERDICT:
        numbers = phase_diagram.last_values(tables.table(store), show)
        figure = plots.value_diagram(plane, numbers, show, lines, notes)
        return Diagram(figure, {run: _plain(value) for run, value in numbers.items()})
    words = verdicts.overall(verdicts.verdicts(store))
    if not words:
        # There may be too few real data for noise floors.
        raise ConfigError(NOT_JUDGED)
    return Diagram(plots.verdict_diagram(plane, words, lines, notes), words)


def _list(values: Any) -> list[float | None]:
    return [_plain(float(value)) for value in values]


def _plain(value: float | None) -> float | None:
    """JSON has no nan and no infinity."""
    return value if value is not None and math.isfinite(value) else None
