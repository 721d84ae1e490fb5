"""`selfconsume status`."""

from __future__ import annotations

from selfconsume.cli.arguments import AsJson, Results


def status(results: Results, json: AsJson = False) -> None:
    """Show the progress of a directory of results, or of a folder of shares: lanes, generations, rate, time left, machines."""
    from selfconsume.cli.display import pace
    from selfconsume.cli.display import status as display
    from selfconsume.results.store import Store

    if not pace.show_shares(results, json):
        display.status(Store(results), as_json=json)
