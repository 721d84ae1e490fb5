"""The phase diagram of a study: its grid is run, drawn and written as JSON."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from selfconsume.analysis import phase_diagram, verdicts
from selfconsume.cli.display import console, study_run
from selfconsume.cli.display.console import say
from selfconsume.errors import ConfigError
from selfconsume.execution.run_study import Progress
from selfconsume.plots import phase_diagram as plots
from selfconsume.results import table as tables
from selfconsume.study import validation
from selfconsume.study.study import Study

VERDICT, CONTRACTION = "verdict", "contraction"
RESULTS = "results"
"""Folder of the stored study: a store shares its directory with nothing."""
NOT_JUDGED = (
    "--show verdict: no metric of the study can be judged: none has a noise floor or a better direction; "
    "give --show contraction, the name of a metric's value, or another metric"
)


class Diagram(NamedTuple):
    """A phase diagram, and the value of each run in it."""

    figure: Figure
    values: Mapping[str, Any]


def draw(
    study: Study, out: Path, *, x: str | None = None, y: str | None = None, show: str = VERDICT, text: str | None = None
) -> None:
    """Runs the cells of a study and writes `phase.png`, `phase.svg` and `phase.json`.

    Args:
        study: A study with two axes of numbers.
        out: Where to write. Verdicts and metrics are of a study stored in its folder `results`, continued like any other.
        x: The horizontal axis; by default the study's first axis of numbers.
        y: The vertical axis; by default the second.
        show: "verdict", "contraction" (of twins, with the study's seeds and generations), or the name of a metric's value.
        text: The study file's text, kept for the report.

    Raises:
        ConfigError: The axes do not make a plane, or there is nothing to show.
    """
    plane = phase_diagram.plane(study, x, y)
    lines, notes = phase_diagram.boundaries(plane)
    if show == CONTRACTION:
        diagram = _contraction(study, out, plane, lines, notes)
    else:
        diagram = _stored(study, out, plane, lines, notes, show=show, text=text)
    for suffix in ("png", "svg"):
        diagram.figure.savefig(out / f"phase.{suffix}", dpi=200)
    facts = {
        "show": show,
        "x": plane.x,
        "y": plane.y,
        "cells": [
            {plane.x: at[0], plane.y: at[1], "run": cell.id, "value": diagram.values.get(cell.id)}
            for at, cell in plane.cells.items()
        ],
        "theory": [{"label": line.label, plane.x: _list(line.x), plane.y: _list(line.y)} for line in lines],
        "notes": notes,
        "family": validation.label("family", next(iter(plane.cells.values())).run.family),
    }
    (out / "phase.json").write_text(json.dumps(facts, indent=2, allow_nan=False) + "\n")
    say(f"phase.png, phase.svg and phase.json in {out}")


def _contraction(
    study: Study, out: Path, plane: phase_diagram.Plane, lines: list[phase_diagram.Boundary], notes: list[str]
) -> Diagram:
    seeds, generations = study.seeds, study.settings.generations
    if len(seeds) < 3 or generations < 4:
        raise ConfigError(
            "--show contraction: needs at least 3 seeds and 4 generations; raise study.seeds or generations"
        )
    out.mkdir(parents=True, exist_ok=True)
    with console.progress() as on_progress:

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
    out: Path,
    plane: phase_diagram.Plane,
    lines: list[phase_diagram.Boundary],
    notes: list[str],
    *,
    show: str,
    text: str | None,
) -> Diagram:
    if not study.metrics:
        raise ConfigError(f"--show {show}: the study has no metrics; add [[metrics]], or give --show contraction")
    if show == VERDICT and not any(metric.has_noise_floor or metric.better for metric in study.metrics):
        raise ConfigError(NOT_JUDGED)
    store = study_run.execute(study, out / RESULTS, text=text)
    if show != VERDICT:
        numbers = phase_diagram.last_values(tables.table(store), show)
        figure = plots.value_diagram(plane, numbers, show, lines, notes)
        return Diagram(figure, {run: _plain(value) for run, value in numbers.items()})
    words = verdicts.overall(verdicts.verdicts(store))
    if not words:
        # There may be too few real data for noise floors.
        raise ConfigError(NOT_JUDGED)
    say("; ".join(f"{count} {word}" for word, count in Counter(words.values()).most_common()))
    return Diagram(plots.verdict_diagram(plane, words, lines, notes), words)


def _list(values: Any) -> list[float | None]:
    return [_plain(float(value)) for value in values]


def _plain(value: float | None) -> float | None:
    """JSON knows no nan and no infinity."""
    return value if value is not None and math.isfinite(value) else None
