"""`selfconsume verify`."""

from __future__ import annotations

import typer

from selfconsume.cli.arguments import AsJson, Results


def verify(results: Results, json: AsJson = False) -> None:
    """Check the log and every stored file; one line for each fault, and exit code 1 if there are any."""
    import json as json_format

    from selfconsume.results import integrity

    faults = integrity.verify(results)
    if json:
        print(json_format.dumps([fault._asdict() for fault in faults], indent=2))
    else:
        for fault in faults:
            print(f"{fault.file}: {fault.reason}")
        if not faults:
            print(f"{results}: no faults")
    if faults:
        raise typer.Exit(1)
