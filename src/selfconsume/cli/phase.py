"""What `selfconsume phase` does: runs the grid, draws it and writes down what was drawn."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

from selfconsume.analysis import phase_diagram, verdicts
from selfconsume.cli import console
from selfconsume.cli.console import say
from selfconsume.errors import ConfigError
from selfconsume.execution.run_study import Progress
from selfconsume.plots import phase_diagram as diagram_plots
from selfconsume.results import table as tables
from selfconsume.study import validation
from selfconsume.study.study import Study

VERDICT, CONTRACTION = "verdict", "contraction"
RESULTS = "results"
"""The stored study, a folder of its own: a store shares its directory with nothing."""
NOT_JUDGED = (
    "--show verdict: no metric of the study can be judged, for want of a noise floor and of a direction that is better; "
    "give --show contraction, the name of a metric's value, or another metric"
)


def draw(
    study: Study, out: Path, *, x: str | None = None, y: str | None = None, show: str = VERDICT, text: str | None = None
) -> None:
    """Runs the cells of a study and writes `phase.png`, `phase.svg` and `phase.json`.

    Args:
        study: A study with two axes of numbers.
        out: Where to write. Verdicts and metrics are of a study stored in its folder `results`, continued like any other.
        x: The axis across; by default the study's first axis of numbers.
        y: The axis upwards; by default the other one.
        show: "verdict", "contraction" (of twins, with the study's seeds and generations), or the name of a metric's value.
        text: The study file's text, kept for the report.

    Raises:
        ConfigError: The axes do not make a plane, or there is nothing to show.
    """
    there = phase_diagram.plane(study, x, y)
    lines, notes = phase_diagram.boundaries(there)
    if show == CONTRACTION:
        if len(study.seeds) < 3 or study.settings.generations < 4:
            raise ConfigError(
                "--show contraction: needs at least 3 seeds and 4 generations; raise study.seeds or generations"
            )
        out.mkdir(parents=True, exist_ok=True)
        with console.progress() as on_progress:
            rates = phase_diagram.contractions(
                there,
                study.seeds,
                study.settings.generations,
                on_progress=lambda share: on_progress(Progress(share, 1, f"twins of {len(there.cells)} cells")),
            )
        figure = diagram_plots.contraction_diagram(there, rates, lines, notes)
        values: dict[str, Any] = {
            name: {"rate": _plain(rate.rate), "low": _plain(rate.low), "high": _plain(rate.high)}
            for name, rate in rates.items()
        }
    else:
        if not study.metrics:
            raise ConfigError(f"--show {show}: the study has no metrics; add [[metrics]], or give --show contraction")
        if show == VERDICT and not any(metric.has_noise_floor or metric.better for metric in study.metrics):
            raise ConfigError(NOT_JUDGED)
        store = console.execute(study, out / RESULTS, text=text)
        if show == VERDICT:
            values = verdicts.overall(verdicts.verdicts(store))
            if not values:
                # Real data may have been too few for the floors that would have been judged by.
                raise ConfigError(NOT_JUDGED)
            figure = diagram_plots.verdict_diagram(there, values, lines, notes)
            say("; ".join(f"{count} {word}" for word, count in Counter(values.values()).most_common()))
        else:
            found = phase_diagram.last_values(tables.table(store), show)
            figure = diagram_plots.value_diagram(there, found, show, lines, notes)
            values = {name: _plain(value) for name, value in found.items()}
    for suffix in ("png", "svg"):
        figure.savefig(out / f"phase.{suffix}", dpi=200)
    facts = {
        "show": show,
        "x": there.x,
        "y": there.y,
        "cells": [
            {there.x: at[0], there.y: at[1], "run": cell.id, "value": values.get(cell.id)}
            for at, cell in there.cells.items()
        ],
        "theory": [{"label": line.label, there.x: _list(line.x), there.y: _list(line.y)} for line in lines],
        "notes": notes,
        "family": validation.label("family", next(iter(there.cells.values())).run.family),
    }
    (out / "phase.json").write_text(json.dumps(facts, indent=2, allow_nan=False) + "\n")
    say(f"phase.png, phase.svg and phase.json in {out}")


def _list(values: Any) -> list[float | None]:
    return [_plain(float(value)) for value in values]


def _plain(value: float | None) -> float | None:
    """JSON knows no nan and no infinity."""
    return value if value is not None and math.isfinite(value) else None
