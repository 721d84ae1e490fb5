"""`selfconsume theory`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from selfconsume.cli.arguments import AsJson, Changes, StudyFile


def theory(
    study: StudyFile,
    changes: Changes = None,
    results: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Results of this study, to compare with the predictions.")
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure the contraction rate: train pairs of nearby initial generators.")
    ] = False,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the rates over the ratio: a .png, .svg or .pdf file.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Show what theory predicts for a study: closed forms, rates of stability, and their conditions."""
    from selfconsume.cli.display import predictions
    from selfconsume.study import toml_file

    predictions.theory(toml_file.load(study, changes or []), results, as_json=json, measure=measure, figure=figure)
