"""`selfconsume merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def merge(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Directories of results to join.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The directory of all results; more can be merged later.")],
    grid: Annotated[
        Path | None,
        typer.Option(
            "--study", metavar="STUDY.toml", help="The study of the result, where the directories' runs fill no grid."
        ),
    ] = None,
) -> None:
    """Join directories of results of one study, or of related studies, such as the shares of `run --share`."""
    from selfconsume.cli.display import console
    from selfconsume.cli.display import merge as display
    from selfconsume.execution.merging import merge as merging
    from selfconsume.study import toml_file

    study = toml_file.load(grid) if grid else None
    with console.progress() as on_progress:
        store = merging.merge(directories, out, study=study, on_file=display.as_progress(on_progress))
    display.show(store)
