"""What a merge has joined."""

from __future__ import annotations

from collections.abc import Callable

from selfconsume.cli.display import console
from selfconsume.execution.run_study import Progress
from selfconsume.results import format as fmt
from selfconsume.results.store import Store


def as_progress(on_progress: Callable[[Progress], None]) -> Callable[[int, int], None]:
    """A callback for numbers of copied and of all segments."""
    return lambda done, total: on_progress(Progress(done, total, f"{done} of {total} segments copied"))


def show(store: Store) -> None:
    """Says what the directory holds now, and what its study still lacks."""
    study, progress = store.study, store.progress()
    lanes = [(cell["id"], seed) for cell in study["cells"] for seed in fmt.seeds_of(study)]
    missing = [lane for lane in lanes if progress.get(lane, -1) + 1 < study["generations"]]
    joined = console.count(len({merged["directory"] for merged in store.merges}), "directory", "directories")
    console.say(
        f"{store.path}: {joined} joined; {console.count(len(study['cells']), 'run')} x "
        f"{console.count(len(fmt.seeds_of(study)), 'seed')} x {console.count(study['generations'], 'generation')}"
    )
    if missing:
        console.say(
            f"unfinished: {len(missing)} of {len(lanes)} lanes lack generations (run {missing[0][0]}, seed {missing[0][1]}, ..)"
            "; merge their directories too, or run the study with this --out"
        )
    else:
        console.say(f"complete; next: selfconsume report {store.path}")
