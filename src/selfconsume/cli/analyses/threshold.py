"""`selfconsume threshold`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from selfconsume.cli.arguments import AsJson, Changes, FigureStyle, StudyFile


def threshold(
    study: StudyFile,
    changes: Changes = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the figure and threshold.json there; with --metric, the results."),
    ] = None,
    most: Annotated[float, typer.Option(metavar="RATIO", help="The largest ratio to search.")] = 4.0,
    metric: Annotated[
        str | None,
        typer.Option(metavar="METRIC", help="Search the largest ratio without a loss in this metric, not stability."),
    ] = None,
    margin: Annotated[float | None, typer.Option(help="With --metric: the loss that would not matter.")] = None,
    json: AsJson = False,
    style: FigureStyle = "default",
) -> None:
    """Find the largest synthetic / real ratio at which retraining is stable, or with --metric at which it does no harm.

    With --metric, for any source, family and metric: the largest ratio whose loss against real data alone stays within the
    margin.
    """
    from selfconsume.study import toml_file

    loaded = toml_file.load(study, changes or [])
    if metric is not None or margin is not None:
        from selfconsume.cli.display.analyses import safe_ratio

        safe_ratio.threshold(loaded, out, metric=metric, margin=margin, as_json=json, most=most)
        return
    from selfconsume.cli.display import critical_ratio
    from selfconsume.plots import style as styles

    with styles.style(style):
        critical_ratio.threshold(loaded, out, as_json=json, most=most)
