"""`selfconsume report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from selfconsume.cli.arguments import FigureStyle, Results


def report(
    results: Results,
    figure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also draw samples by run and generation: a .png, .svg or .pdf file."),
    ] = None,
    style: FigureStyle = "default",
) -> None:
    """Write DIR/report.html: curves, samples by generation, the final table and how to reproduce them, in one file.

    --style is that of the figure beside it; the page keeps its own.
    """
    from selfconsume.cli.display import console
    from selfconsume.plots import style as styles
    from selfconsume.report import export_samples, findings, page
    from selfconsume.results.store import Store

    store = Store(results)
    if figure is not None:
        export_samples.check_path(figure)
    settings = styles.settings_of(style)
    console.say(str(page.write(store, findings=findings.gather(store))))
    if figure is not None:
        with styles.style(settings):
            console.say(str(export_samples.figure(store, figure)))
