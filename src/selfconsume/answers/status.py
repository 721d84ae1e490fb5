"""The progress of a directory of results, as plain values."""

from __future__ import annotations

from typing import Any

from selfconsume.results import pace as paces
from selfconsume.results import provenance
from selfconsume.results.format import DATA, seeds_of
from selfconsume.results.pace import Pace
from selfconsume.results.store import Store


def status(store: Store) -> dict[str, Any]:
    """What is stored of the latest study: runs with their seeds and generations, pace, size, devices, what was measured.

    Raises:
        ConfigError: The directory holds no study yet.
    """
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
        **pace_facts(pace),
        "share": {name: study["share"][name] for name in ("number", "count")} if "share" in study else None,
        "merged": [merged["name"] for merged in store.merges],
        "runs": cells,
    }


def pace_facts(pace: Pace) -> dict[str, Any]:
    """The pace as plain values."""
    return {
        "generations_done": pace.done,
        "generations_total": pace.total,
        "generations_per_second": pace.per_second,
        "seconds_left": pace.seconds_left if pace.done < pace.total else 0.0,
        "machines": [machine._asdict() for machine in pace.machines],
    }
