"""The critical ratio of each run: search, printed lines, figures and JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from rich.markup import escape

from selfconsume.analysis.critical_ratio import MAX_RATIO, Threshold, check, critical_ratio, search
from selfconsume.cli.display.console import OUT, progress, say
from selfconsume.execution.run_study import Progress
from selfconsume.plots import critical_ratio as plots
from selfconsume.regimes.mix import Mix
from selfconsume.study.cells import Cell
from selfconsume.study.study import Study

AXIS = "regime.ratio"


def threshold(study: Study, out: Path | None, *, as_json: bool, most: float = MAX_RATIO) -> None:
    """Finds and prints the largest stable ratio of each run of a study; an axis of ratios is searched, not run.

    Args:
        study: The study; its seeds and generations are used, its metrics are not.
        out: Where to write the figures and `threshold.json`; None: nowhere.
        as_json: Whether to print JSON.
        most: Largest ratio to search.

    Raises:
        ConfigError: A run has no ratio, or there are too few seeds, generations or rows.
    """
    cells = _cells(study)
    for cell in cells:
        check(cell.run, study.seeds, study.settings.generations, most)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    facts = []
    for i, cell in enumerate(cells):
        result, theory = _search(study, cells, i, most), critical_ratio(cell.run)
        facts.append(_facts(cell, result, theory))
        if not as_json:
            _print(cell, result, theory)
        if out is not None:
            figure = plots.contraction_curve(result, theory[0] if theory else None)
            stem = "threshold" if len(cells) == 1 else f"threshold-{i + 1}"
            for suffix in ("png", "svg"):
                figure.savefig(out / f"{stem}.{suffix}", dpi=200)
    text = json.dumps({**(facts[0] if len(facts) == 1 else {}), "runs": facts}, indent=2, allow_nan=False)
    if out is not None:
        (out / "threshold.json").write_text(text + "\n")
    if as_json:
        print(text)
    elif out is not None:
        say(f"figures and threshold.json in {out}")


def _search(study: Study, cells: list[Cell], i: int, most: float) -> Threshold:
    where = f"run {i + 1} of {len(cells)}, " if len(cells) > 1 else ""
    with progress() as on_progress:

        def on_share(share: float, text: str) -> None:
            on_progress(Progress(i + share, len(cells), where + text))

        return search(cells[i].run, study.seeds, study.settings.generations, max_ratio=most, on_progress=on_share)


def _cells(study: Study) -> list[Cell]:
    """The study's runs, those that differ in their ratio only once."""
    cells: dict[Any, Cell] = {}
    for cell in study.cells:
        regime, run = cell.run.regime, cell.run
        if isinstance(regime, Mix):
            run = dataclasses.replace(run, regime=dataclasses.replace(regime, ratio=1.0))
        cells.setdefault(run, Cell(run, {name: v for name, v in cell.labels.items() if name != AXIS}))
    return list(cells.values())


def _facts(cell: Cell, result: Threshold, theory: tuple[float, str] | None) -> dict[str, Any]:
    return {
        "labels": cell.labels,
        "outcome": result.outcome,
        "ratio": result.ratio,
        "low": result.low,
        "high": result.high,
        "searched": result.max_ratio,
        "text": _text(result),
        "judged": result.space,
        "theory": None if theory is None else _number(theory[0]),
        "theory_stable_at_every_ratio": None if theory is None else math.isinf(theory[0]),
        "theory_text": None if theory is None else theory[1],
        "points": [
            {
                "ratio": point.ratio,
                "verdict": point.verdict,
                **{name: _number(getattr(point.rate, name)) for name in ("rate", "low", "high")},
                "seeds": point.rate.seeds,
                "diverged": point.rate.diverged,
            }
            for point in result.points
        ],
    }


def _print(cell: Cell, result: Threshold, theory: tuple[float, str] | None) -> None:
    labels = ", ".join(f"{name} = {value}" for name, value in cell.labels.items())
    if labels:
        OUT.print(f"[bold]{escape(labels)}[/bold]")
    OUT.print(escape(f"largest stable ratio: {_text(result)}"))
    if theory is None:
        OUT.print("theory: no critical ratio applies to this run")
    else:
        value = "stable at every ratio" if math.isinf(theory[0]) else f"{theory[0]:.4g}"
        OUT.print(escape(f"theory: {value} ({theory[1]})"))
    seeds = max((point.rate.seeds for point in result.points), default=0)
    OUT.print(
        escape(f"from {len(result.points)} ratios, {seeds} seeds each: twins a small step apart, in {result.space}"),
        style="dim",
    )


def _text(result: Threshold) -> str:
    if result.outcome == "stable":
        return f"stable up to the largest ratio searched, {result.max_ratio:.4g}"
    if result.outcome == "unstable":
        return f"none: unstable already at {result.points[0].ratio:.4g}, the smallest ratio searched"
    if result.outcome == "open":
        estimate = "" if result.ratio is None else f"about {result.ratio:.4g}, "
        return f"{estimate}shown stable up to {result.low:.4g}, not shown unstable up to {result.max_ratio:.4g}; more seeds may"
    return f"{result.ratio:.4g}, 95 % interval [{result.low:.4g}, {result.high:.4g}]"


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
