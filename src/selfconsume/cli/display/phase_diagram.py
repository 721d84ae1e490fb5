"""The phase diagram of a study: its grid is run, drawn and written as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from selfconsume.answers.phase import VERDICT, phase
from selfconsume.cli.display import console
from selfconsume.cli.display.console import say
from selfconsume.plots import style
from selfconsume.study.study import Study

RESULTS = "results"
"""Folder of the stored study: a store shares its directory with nothing."""


def draw(
    study: Study, out: Path, *, x: str | None = None, y: str | None = None, show: str = VERDICT, text: str | None = None
) -> None:
    """Runs the cells of a study and writes `phase.png`, `.svg`, `.pdf` and `.json`.

    Args:
        study: A study with two axes of numbers.
        out: Where to write. Verdicts and metrics are of a study stored in its folder `results`, continued like any other.
        x: The horizontal axis; by default the study's first axis of numbers.
        y: The vertical axis; by default the second.
        show: "verdict", "contraction" (of twins, with the study's seeds and generations), or the name of a metric's value.
        text: The study file's text, kept for the report.

    Raises:
        ConfigError: See `answers.phase.phase`.
    """
    console.describe_data(line for cell in study.cells for line in cell.run.source.description)
    with console.progress() as on_progress:
        answer = phase(study, out / RESULTS, x=x, y=y, show=show, text=text, on_progress=on_progress)
    if answer.counts:
        say("; ".join(f"{count} {word}" for word, count in answer.counts.items()))
    out.mkdir(parents=True, exist_ok=True)
    for suffix in ("png", "svg", "pdf"):
        style.save(answer.figure, out / f"phase.{suffix}", "--out")
    (out / "phase.json").write_text(json.dumps(answer.facts(), indent=2, allow_nan=False) + "\n")
    say(f"phase.png, .svg, .pdf and .json in {out}")
