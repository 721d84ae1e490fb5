"""`selfconsume status`."""

from __future__ import annotations

from selfconsume.cli.arguments import AsJson, Results


def status(results: Results, json: AsJson = False) -> None:
    """Show the progress of a directory of results: lanes, generations, divergence, size, devices."""
    from selfconsume.cli.display import status as display
    from selfconsume.results.store import Store

    display.status(Store(results), as_json=json)
