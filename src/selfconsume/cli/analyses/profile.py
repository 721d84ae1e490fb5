"""`selfconsume profile`."""

from __future__ import annotations

from typing import Annotated

import typer

from selfconsume.cli.arguments import AsJson, Results


def profile(
    results: Results,
    primary: Annotated[
        str | None,
        typer.Option(metavar="METRIC", help="The metric that is the risk; default: that of [compare]."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Answer each of the literature's eight definitions of model collapse for each cell: yes, no, undecided, not asked."""
    from selfconsume.cli.display.analyses import profile_table
    from selfconsume.results.store import Store

    profile_table.profile(Store(results), primary=primary, as_json=json)
