"""`selfconsume compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from selfconsume.cli.arguments import AsJson, Results


def compare(
    results: Results,
    primary: Annotated[
        str | None, typer.Option(metavar="METRIC", help="The metric that carries the answer; default: the first.")
    ] = None,
    generation: Annotated[
        int | None, typer.Option(help="The compared generation, to be fixed in advance; default: the last.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Compare each cell with real data only (else with generation 0) by pairs of seeds: equal, worse, better, ..."""
    from selfconsume.cli.display import comparison
    from selfconsume.results.store import Store

    comparison.compare(Store(results), primary=primary, generation=generation, as_json=json)
