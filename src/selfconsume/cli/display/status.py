"""The progress of a directory of results."""

from __future__ import annotations

import json
from typing import Any

from rich import filesize
from rich.markup import escape
from rich.table import Table

from selfconsume.answers.status import status as answer
from selfconsume.cli.display import console
from selfconsume.cli.display import pace as display
from selfconsume.results import pace as paces
from selfconsume.results import provenance
from selfconsume.results.store import Store


def status(store: Store, as_json: bool) -> None:
    """Prints the progress of a directory of results."""
    facts = answer(store)
    if as_json:
        print(json.dumps(facts, indent=2))
    else:
        _print(store, facts)


def _print(store: Store, facts: dict[str, Any]) -> None:
    axes = store.study["axes"]
    state = "finished" if facts["finished"] else "unfinished: run the same command again to continue"
    console.say(f"{store.path}: {state}; {filesize.decimal(facts['bytes'])}, started {facts['started']}")
    if share := facts["share"]:
        console.say(f"share {share['number']} of {share['count']}: other runs and seeds are in other directories")
    for line in display.lines(paces.pace(store)):
        console.say(line)
    table = Table("run", *axes, "seeds", "generations")
    for cell in facts["runs"]:
        labels = [escape(str(cell[axis])) for axis in axes]
        seeds, generations = (f"{cell[name]}/{facts[name]}" for name in ("seeds", "generations"))
        table.add_row(cell["run"], *labels, seeds, generations)
    console.show(table)
    counts = {noun: facts[f"hidden_{noun}s"] for noun in ("run", "seed", "generation")}
    if hidden := [console.count(n, noun) for noun, n in counts.items() if n]:
        console.say(
            f"also stored, but not in the latest study: {', '.join(hidden)}; a study that names them shows them"
        )
    for layout in facts["layouts"]:
        console.say("computed on " + ", ".join(f"{name} {value}" for name, value in sorted(layout.items())))
    console.describe_data(provenance.data_lines(store))
    for line in provenance.lines(store):
        console.say(f"compared {line}")
    console.warn(store)
