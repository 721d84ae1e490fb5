"""A study on the command line: its plan, and its execution with a progress bar."""

from __future__ import annotations

import json
from pathlib import Path

from rich import filesize
from rich.markup import escape

from selfconsume.cli.display import console
from selfconsume.cli.display.console import count
from selfconsume.execution import flops, resources, run_study, schedule
from selfconsume.execution.shares import Share
from selfconsume.lanes.cohorts import cohort_of
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.results.format import LOG
from selfconsume.results.store import Store
from selfconsume.study import validation
from selfconsume.study.study import Study


def execute(
    study: Study, out: Path, *, text: str | None = None, repair: bool = False, share: Share | None = None
) -> Store:
    """Runs a study with a progress bar. See `run_study.execute`."""
    layout = DeviceLayout.default()
    console.describe_data(line for cell in study.cells for line in cell.run.source.description)
    with console.progress() as on_progress:
        store = run_study.execute(
            study, out, layout=layout, text=text, repair=repair, share=share, on_progress=on_progress
        )
    layouts = {json.dumps(segment.layout, sort_keys=True) for segment in store.segments}
    if len(layouts) > 1:
        console.ERR.print(
            f"note: {out} was computed on {len(layouts)} layouts of devices; bits may differ between them"
        )
    return store


def plan(study: Study, out: Path, share: Share | None = None) -> None:
    """Prints the runs, seeds, generations and compiled cohorts that `run` would compute, and their cost.

    Raises:
        ConfigError: There is no room for it.
    """
    resources.check(study, out, share.count if share else 1)
    store = Store(out) if (out / LOG).exists() else None
    todo = schedule.pending(study, store, DeviceLayout.default(), frozenset(share.lanes(study)) if share else None)
    cohorts = {cohort_of(cell.run) for cell in study.cells}
    console.OUT.print(
        f"{count(len(study.cells), 'run')} x {count(len(study.seeds), 'seed')} x "
        f"{count(study.settings.generations, 'generation')} in {count(len(cohorts), 'compiled cohort')}; "
        f"about {filesize.decimal(resources.disk_bytes(study))} on disk"
    )
    for cell in study.cells:
        labels = ", ".join(f"{name} = {value}" for name, value in cell.labels.items())
        console.OUT.print(escape(f"  {cell.id}  {labels or validation.label('regime', cell.run.regime)}"))
    for line in flops.lines(todo):
        console.OUT.print(escape(line))
    lanes = sum(len(task.seeds) * (task.until - task.progress) for task in todo)
    work = f"{count(lanes, 'generation')} of lanes in {count(len(todo), 'batch', 'batches')}"
    console.OUT.print(f"to do: {work if todo else 'nothing'}")
