"""The execution of a study with a progress bar, and what is missing after it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from selfconsume.cli.display import console
from selfconsume.execution import run_study
from selfconsume.execution.engine import Engine
from selfconsume.execution.shares import Share
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.results.store import Store
from selfconsume.study.study import Study
from selfconsume.trackers import feed


def execute(
    study: Study,
    out: Path,
    *,
    engine: Engine | None = None,
    text: str | None = None,
    repair: bool = False,
    share: Share | None = None,
    budget: float | None = None,
    trackers: Sequence[str] = (),
) -> Store:
    """Runs a study with a progress bar. See `run_study.execute`."""
    console.describe_data(line for cell in study.cells for line in cell.run.source.description)
    with console.progress() as progress, feed.following(out, trackers, progress) as on_progress:
        store = run_study.execute(
            study,
            out,
            layout=DeviceLayout.default(),
            engine=engine,
            text=text,
            repair=repair,
            share=share,
            budget=budget,
            on_progress=on_progress,
        )
    layouts = {json.dumps(segment.layout, sort_keys=True) for segment in store.segments}
    if len(layouts) > 1:
        console.ERR.print(
            f"note: {out} was computed on {len(layouts)} layouts of devices; bits may differ between them"
        )
    return store


def missing(study: Study, store: Store, share: Share | None) -> str:
    """What a directory lacks of a study, in words; "" for nothing."""
    lanes = set(share.lanes(study)) if share else {(cell.id, seed) for cell in study.cells for seed in study.seeds}
    generations = run_study.missing(study, store, DeviceLayout.default(), share)
    if not generations:
        return ""
    progress = store.progress()
    unfinished = sum(progress.get(lane, -1) < study.last for lane in lanes)
    total = len(lanes) * study.settings.generations
    return f"{generations} of {total} generations of lanes are missing, in {unfinished} of {len(lanes)} lanes"
