"""The progress of a directory of results."""

from __future__ import annotations

import json
from typing import Any

from rich import filesize
from rich.markup import escape
from rich.table import Table

from selfconsume.cli.display import console
from selfconsume.cli.display import pace as display
from selfconsume.results import pace as paces
from selfconsume.results import provenance
from selfconsume.results.format import DATA, seeds_of
from selfconsume.results.store import Store


def status(store: Store, as_json: bool) -> None:
    """Prints the progress of a directory of results."""
    facts = _facts(store)
    if as_json:
        print(json.dumps(facts, indent=2))
    else:
        _print(store, facts)


def _facts(store: Store) -> dict[str, Any]:
    study, progress, pace = store.study, store.progress(), paces.pace(store)
    seeds = seeds_of(study)
    cells = [
        {
            "run": cell["id"],
            **cell["labels"],
            "generations": min((progress.get((cell["id"], seed), -1) + 1 for seed in seeds), default=0),
            "seeds": sum((cell["id"], seed) in progress for seed in seeds),
        }
        for cell in study["cells"]
    ]
    runs = {cell["id"] for cell in study["cells"]}
    generations = study["generations"]
    return {
        "directory": str(store.path),
        "finished": pace.done >= pace.total,
        "generations": generations,
        "seeds": len(seeds),
        "hidden_runs": len({run for run, _ in progress} - runs),
        "hidden_seeds": len({seed for run, seed in progress if run in runs} - set(seeds)),
        "hidden_generations": max([0, *(t + 1 - generations for (run, _), t in progress.items() if run in runs)]),
        "unfinished_fits": len(store.unfinished),
        "bytes": sum(file.stat().st_size for file in (store.path / DATA).iterdir()),
        "started": store.studies[0]["time"],
        "layouts": [dict(pairs) for pairs in {tuple(sorted(segment.layout.items())) for segment in store.segments}],
        "measured": [row._asdict() for row in provenance.gather(store)],
        **display.facts(pace),
        "share": {name: study["share"][name] for name in ("number", "count")} if "share" in study else None,
        "merged": [merged["name"] for merged in store.merges],
        "runs": cells,
    }


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
