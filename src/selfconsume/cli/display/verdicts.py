"""Verdicts of all cells on all metrics, as a table or JSON."""

from __future__ import annotations

import json

from rich.markup import escape
from rich.table import Table

from selfconsume.answers import verdicts
from selfconsume.cli.display import claim
from selfconsume.cli.display.console import describe_data, say, show, warn
from selfconsume.results import provenance
from selfconsume.results.store import Store

COLOURS = {"stable": "green", "improved": "green", "drifting": "yellow", "collapsed": "red", "diverged": "red"}


def verdict(store: Store, form: str | None = None) -> None:
    """Prints the verdict of every cell on every metric, and whether the study file's claim holds.

    Args:
        store: The directory of results.
        form: "latex" or "markdown": the table of a paper alone; "json": plain values.

    Raises:
        ConfigError: The directory holds no study yet.
    """
    judged = verdicts.of_store(store)
    if form == "json":
        print(json.dumps(judged.facts(), indent=2))
        return
    if form is not None:
        print(getattr(judged, form)(), end="")
        return
    if not len(judged):
        say("no metric of this study can be judged: none has a noise floor or a better direction")
        claim.describe(store)
        return
    text = judged.text()
    table = Table(*map(escape, text.columns[:-1]), "")
    word = text.n_labels - 1
    for row in text.rows:
        colour = COLOURS.get(row[word], "dim")
        table.add_row(*(f"[{colour}]{cell}[/{colour}]" if i == word else escape(cell) for i, cell in enumerate(row)))
    table.columns[word].no_wrap = True
    show(table)
    for note in judged.notes:
        say(note)
    claim.describe(store)
    describe_data(provenance.data_lines(store))
    warn(store)
