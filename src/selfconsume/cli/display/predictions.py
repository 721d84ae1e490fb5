"""Predictions of theory for each cell of a study, and the rates of stability."""

from __future__ import annotations

import json
from pathlib import Path

from selfconsume.answers import theory as answers
from selfconsume.cli.display import predictions_table
from selfconsume.cli.display.console import progress
from selfconsume.plots import style
from selfconsume.study.study import Study


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
        ConfigError: See `answers.theory.theory`.
    """
    with progress() as on_progress:
        answer = answers.theory(study, results, measure=measure, on_progress=on_progress)
    if figure is not None:
        style.save(answer.figure(), figure)
    if as_json:
        print(json.dumps(answer.facts(), indent=2, allow_nan=False))
        return
    for cell in answer.cells:
        predictions_table.show(cell, study.settings.generations)
