"""`selfconsume threshold`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from selfconsume.cli.arguments import AsJson, Changes, StudyFile


def threshold(
    study: StudyFile,
    changes: Changes = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the figure and threshold.json there.")] = None,
    most: Annotated[float, typer.Option(metavar="RATIO", help="The largest ratio to search.")] = 4.0,
    json: AsJson = False,
) -> None:
    """Find the largest synthetic / real ratio at which retraining is stable, with an interval, beside theory."""
    from selfconsume.cli.display import critical_ratio
    from selfconsume.study import toml_file

    critical_ratio.threshold(toml_file.load(study, changes or []), out, as_json=json, most=most)
