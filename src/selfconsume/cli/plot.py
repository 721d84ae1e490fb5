"""`selfconsume plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from selfconsume.cli.arguments import FigureStyle, Results

HEIGHT = 0.7
"""Height of a figure whose width is given, as a share of it."""


def plot(
    results: Results,
    out: Annotated[Path, typer.Option(metavar="FILE", help="A .pdf, .svg or .png file.")],
    metric: Annotated[str | None, typer.Option(metavar="METRIC", help="The metric; default: the first.")] = None,
    style: FigureStyle = "default",
    width: Annotated[
        float | None,
        typer.Option(metavar="INCHES", help="Width of the figure; its height is 0.7 of it.", min=1, max=40),
    ] = None,
) -> None:
    """Draw a metric against the generation as a figure for a paper: means over seeds with intervals, and the noise floor."""
    from selfconsume.answers.results import Results as Directory
    from selfconsume.cli.display import console
    from selfconsume.plots import style as styles

    size = {} if width is None else {"figure.figsize": (width, HEIGHT * width)}
    directory = Directory(results)
    directory.plot(metric, out, style={**styles.settings_of(style), **size})
    console.say(str(out))
    console.warn(directory.store)
