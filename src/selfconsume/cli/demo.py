"""`selfconsume demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write.")] = Path("selfconsume-demo"),
) -> None:
    """Retrain on real digits and on two moons, with and without real data, and write a report."""
    from selfconsume.cli.display import demo as display

    display.run(out)
