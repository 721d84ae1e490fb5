"""`selfconsume phase`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from selfconsume.cli.arguments import Changes, FigureStyle, StudyFile


def phase(
    study: StudyFile,
    x: Annotated[str | None, typer.Option("--x", metavar="FIELD", help="The horizontal axis: source.n, ...")] = None,
    y: Annotated[str | None, typer.Option("--y", metavar="FIELD", help="The vertical axis: regime.ratio, ...")] = None,
    show: Annotated[str, typer.Option(help="verdict, contraction (trains twins), or a metric's name.")] = "verdict",
    changes: Changes = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write.")] = Path("selfconsume-phase"),
    style: FigureStyle = "default",
) -> None:
    """Run a grid over two numbers and draw the phase diagram, with the predicted boundary."""
    from selfconsume.cli.display import phase_diagram
    from selfconsume.plots import style as styles
    from selfconsume.study import toml_file

    text = toml_file.read(study)
    loaded = toml_file.parse(text, str(study), changes or [])
    with styles.style(style):
        phase_diagram.draw(loaded, out, x=x, y=y, show=show, text=None if changes else text)
