"""The critical ratio of each run: printed lines, figures and JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path

from rich.markup import escape

from selfconsume.analysis.critical_ratio import MAX_RATIO
from selfconsume.answers.threshold import CellThreshold, Thresholds, thresholds
from selfconsume.cli.display.console import OUT, progress, say
from selfconsume.plots import style
from selfconsume.study.study import Study


def threshold(study: Study, out: Path | None, *, as_json: bool, most: float = MAX_RATIO) -> None:
    """Finds and prints the largest stable ratio of each run of a study; an axis of ratios is searched, not run.

    Args:
        study: The study; its seeds and generations are used, its metrics are not.
        out: Where to write the figures and `threshold.json`; None: nowhere.
        as_json: Whether to print JSON.
        most: Largest ratio to search.

    Raises:
        ConfigError: See `answers.threshold.threshold`.
    """
    with progress() as on_progress:
        answer = Thresholds(tuple(thresholds(study, most, on_progress)))
    if not as_json:
        for cell in answer.cells:
            _print(cell)
    text = json.dumps(answer.facts(), indent=2, allow_nan=False)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for i, cell in enumerate(answer.cells):
            stem = "threshold" if len(answer.cells) == 1 else f"threshold-{i + 1}"
            for suffix in ("png", "svg", "pdf"):
                style.save(cell.figure(), out / f"{stem}.{suffix}", "--out")
        (out / "threshold.json").write_text(text + "\n")
    if as_json:
        print(text)
    elif out is not None:
        say(f"figures and threshold.json in {out}")


def _print(answer: CellThreshold) -> None:
    cell, result, theory = answer
    labels = ", ".join(f"{name} = {value}" for name, value in cell.labels.items())
    if labels:
        OUT.print(f"[bold]{escape(labels)}[/bold]")
    OUT.print(escape(f"largest stable ratio: {answer.text}"))
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
