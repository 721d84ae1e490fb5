"""`selfconsume report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from selfconsume.cli.arguments import Results


def report(
    results: Results,
    figure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also draw samples by run and generation: a .png, .svg or .pdf file."),
    ] = None,
) -> None:
    """Write DIR/report.html: curves, samples by generation, the final table and how to reproduce them, in one file."""
    from selfconsume.cli.display import console
    from selfconsume.report import export_samples, findings, page
    from selfconsume.results.store import Store

    store = Store(results)
    if figure is not None:
        export_samples.check_path(figure)
    console.say(str(page.write(store, findings=findings.gather(store))))
    if figure is not None:
        console.say(str(export_samples.figure(store, figure)))
