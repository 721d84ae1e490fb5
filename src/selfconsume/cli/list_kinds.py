"""`selfconsume list`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def list_kinds(
    role: Annotated[
        str | None,
        typer.Argument(
            help="source, representation, family, regime, curation, extractor, metric or presets; default: all."
        ),
    ] = None,
    kind: Annotated[str | None, typer.Argument(help="One of them, in full.")] = None,
) -> None:
    """List all kinds with their fields, defaults and choices; with a kind, its description and that of each field."""
    from selfconsume import registry
    from selfconsume.cli.display import kinds

    kinds.show(role, kind)
    for line in registry.plug_in():
        print(f"careful: {line}", file=sys.stderr)
