"""What `selfconsume threshold` prints and writes."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from rich.markup import escape

from selfconsume.analysis.critical_ratio import MOST, Threshold, check, critical_ratio, search
from selfconsume.cli.console import OUT, progress, say
from selfconsume.execution.run_study import Progress
from selfconsume.plots import critical_ratio as threshold_plot
from selfconsume.regimes.mix import Mix
from selfconsume.study.study import Cell, Study

AXIS = "regime.ratio"


def threshold(study: Study, out: Path | None, *, as_json: bool, most: float = MOST) -> None:
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
        with progress() as on_progress:

            def told(share: float, text: str, done: int = i) -> None:
                where = f"run {done + 1} of {len(cells)}, " if len(cells) > 1 else ""
                on_progress(Progress(done + share, len(cells), where + text))

            found = search(cell.run, study.seeds, study.settings.generations, most=most, on_progress=told)
        known = critical_ratio(cell.run)
        facts.append(_facts(cell, found, known))
        if not as_json:
            _print(cell, found, known)
        if out is not None:
            figure = threshold_plot.contraction_curve(found, known[0] if known else None)
            stem = "threshold" if len(cells) == 1 else f"threshold-{i + 1}"
            for suffix in ("png", "svg"):
                figure.savefig(out / f"{stem}.{suffix}", dpi=200)
    whole = {**(facts[0] if len(facts) == 1 else {}), "runs": facts}
    if out is not None:
        (out / "threshold.json").write_text(json.dumps(whole, indent=2, allow_nan=False) + "\n")
    if as_json:
        print(json.dumps(whole, indent=2, allow_nan=False))
    elif out is not None:
        say(f"figures and threshold.json in {out}")


def _cells(study: Study) -> list[Cell]:
    """The study's runs, those that differ in their ratio only once."""
    found: dict[Any, Cell] = {}
    for cell in study.cells:
        regime = cell.run.regime
        run = (
            dataclasses.replace(cell.run, regime=dataclasses.replace(regime, ratio=1.0)) if _mixes(regime) else cell.run
        )
        found.setdefault(run, Cell(run, {name: v for name, v in cell.labels.items() if name != AXIS}))
    return list(found.values())


def _mixes(regime: Any) -> bool:
    return isinstance(regime, Mix)


def _facts(cell: Cell, found: Threshold, known: tuple[float, str] | None) -> dict[str, Any]:
    return {
        "labels": cell.labels,
        "outcome": found.outcome,
        "ratio": found.ratio,
        "low": found.low,
        "high": found.high,
        "searched": found.searched,
        "text": _text(found),
        "judged": found.judged,
        "theory": None if known is None else _number(known[0]),
        "theory_stable_at_every_ratio": None if known is None else math.isinf(known[0]),
        "theory_text": None if known is None else known[1],
        "points": [
            {
                "ratio": each.ratio,
                "verdict": each.verdict,
                **{name: _number(getattr(each.rate, name)) for name in ("rate", "low", "high")},
                "seeds": each.rate.seeds,
                "diverged": each.rate.diverged,
            }
            for each in found.points
        ],
    }


def _print(cell: Cell, found: Threshold, known: tuple[float, str] | None) -> None:
    labels = ", ".join(f"{name} = {value}" for name, value in cell.labels.items())
    if labels:
        OUT.print(f"[bold]{escape(labels)}[/bold]")
    OUT.print(escape(f"largest stable ratio: {_text(found)}"))
    if known is None:
        OUT.print("theory: no critical ratio is known for this run")
    else:
        value = "stable at every ratio" if math.isinf(known[0]) else f"{known[0]:.4g}"
        OUT.print(escape(f"theory: {value} ({known[1]})"))
    seeds = max((each.rate.seeds for each in found.points), default=0)
    OUT.print(
        escape(f"from {len(found.points)} ratios, {seeds} seeds each: twins a small step apart, in {found.judged}"),
        style="dim",
    )


def _text(found: Threshold) -> str:
    if found.outcome == "stable":
        return f"stable up to the largest ratio searched, {found.searched:.4g}"
    if found.outcome == "unstable":
        return f"none: unstable already at {found.points[0].ratio:.4g}, the smallest ratio searched"
    if found.outcome == "open":
        about = "" if found.ratio is None else f"about {found.ratio:.4g}, "
        return (
            f"{about}shown stable up to {found.low:.4g}, not shown unstable up to {found.searched:.4g}; more seeds may"
        )
    return f"{found.ratio:.4g}, 95 % interval [{found.low:.4g}, {found.high:.4g}]"


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
