"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

StudyFile = Annotated[
    Path, typer.Argument(metavar="STUDY.toml", help="The study file, or the name of a preset (see `list presets`).")
]
Results = Annotated[Path, typer.Argument(metavar="DIR", help="A directory of results, written by `run`.")]
Changes = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrides the study file.")]
TextFormat = Annotated[
    Literal["latex", "markdown"] | None,
    typer.Option("--format", help="Print the table of a paper, as LaTeX or Markdown."),
]
AnswerFormat = Annotated[
    Literal["latex", "markdown", "json"] | None,
    typer.Option("--format", help="Print the table of a paper, as LaTeX or Markdown; or JSON."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FigureStyle = Annotated[
    str,
    typer.Option(
        "--style", metavar="STYLE", help="Style of figures: default, paper, or a .mplstyle file of matplotlib."
    ),
]
