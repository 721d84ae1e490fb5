"""`selfconsume watch`."""

from __future__ import annotations

from typing import Annotated

import typer

from selfconsume.cli.arguments import AsJson, Results


def watch(
    results: Results,
    primary: Annotated[
        str | None, typer.Option(metavar="METRIC", help="The watched metric; default: that of [compare].")
    ] = None,
    signs: Annotated[
        bool, typer.Option("--signs", help="Use only whether a seed is worse: no assumption of normality, less power.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Say whether harm has begun, with a test that stays true however often a growing study is looked at."""
    from selfconsume.cli.display.analyses import watched_table
    from selfconsume.results.store import Store

    watched_table.watch(Store(results), primary=primary, signs=signs, as_json=json)
