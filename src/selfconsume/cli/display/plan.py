"""The plan of a study: what `run` would compute, and what that would take."""

from __future__ import annotations

from pathlib import Path

from rich import filesize
from rich.markup import escape

from selfconsume.analysis import drift_power
from selfconsume.cli.display import console
from selfconsume.cli.display.console import count
from selfconsume.execution import calibration, flops, prediction, resources, schedule
from selfconsume.execution.budget import duration
from selfconsume.execution.schedule import Task
from selfconsume.execution.shares import Share
from selfconsume.lanes.cohorts import cohort_of
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.results.format import LOG
from selfconsume.results.store import Store
from selfconsume.study import validation
from selfconsume.study.study import Study


def show(
    study: Study,
    out: Path,
    *,
    share: Share | None = None,
    workers: int = 1,
    budget: float | None = None,
    calibrates: bool | None = None,
) -> None:
    """Prints the runs, seeds, generations and compiled cohorts that `run` would compute, and their cost.

    Args:
        study: The study.
        out: The directory of results.
        share: The share of the study that would be computed.
        workers: Processes that would compute it.
        budget: Seconds of one call.
        calibrates: Whether a few lanes are computed to predict the time; None: unless fits may take hours.

    Raises:
        ConfigError: There is no room for it.
    """
    resources.check(study, out, share.count if share else 1)
    layout = DeviceLayout.default()
    store = Store(out) if (out / LOG).exists() else None
    lanes = frozenset(share.lanes(study)) if share else None
    todo = schedule.pending(study, store, layout, lanes, workers)
    cohorts = {cohort_of(cell.run) for cell in study.cells}
    console.OUT.print(
        f"{count(len(study.cells), 'run')} x {count(len(study.seeds), 'seed')} x "
        f"{count(study.settings.generations, 'generation')} in {count(len(cohorts), 'compiled cohort')}; "
        f"about {filesize.decimal(resources.disk_bytes(study))} on disk"
    )
    for cell in study.cells:
        labels = ", ".join(f"{name} = {value}" for name, value in cell.labels.items())
        console.OUT.print(escape(f"  {cell.id}  {labels or validation.label('regime', cell.run.regime)}"))
    for line in (*flops.lines(todo), *drift_power.lines(study)):
        console.OUT.print(escape(line))
    generations = sum(len(task.seeds) * len(task.generations) for task in todo)
    work = f"{count(generations, 'generation')} of lanes in {count(len(todo), 'batch', 'batches')}"
    where = f"share {share.number} of {share.count}: " if share else ""
    console.OUT.print(f"to do: {where}{work if todo else 'nothing'}")
    if todo:
        has_long_fits = any(task.cells[0].run.long_fits for task in todo)
        for line in _cost(todo, layout, workers, budget, has_long_fits if calibrates is None else not calibrates):
            console.OUT.print(escape(line))


def _cost(
    tasks: list[Task], layout: DeviceLayout, workers: int, budget: float | None, is_unmeasured: bool
) -> list[str]:
    """Time, memory and disk of tasks in sentences."""
    measured = None if is_unmeasured else calibration.calibrate(tasks, layout)
    cost = prediction.predict(tasks, layout, measured, workers)
    scope = " for each worker" if workers > 1 else ""
    result = [f"memory: about {filesize.decimal(cost.memory)}{scope}; disk: about {filesize.decimal(cost.disk)}"]
    if measured is None:
        return [*result, "time: not measured; --calibrate computes a few lanes to predict it"]
    cohorts = len(measured.times)
    on = "every cohort" if measured.measured == cohorts else f"{measured.measured} of {cohorts} cohorts"
    place = f" on {workers} workers" if workers > 1 else ""
    result.append(
        f"time: about {duration(max(cost.seconds, 0.1))}{place}, {duration(max(cost.compilation, 0.1))} of it compilation; "
        f"measured on {on}, a few lanes of the first generations"
    )
    if budget is not None and cost.seconds > budget:
        result.append(f"about {int(-(-cost.seconds // budget))} calls with this budget")
    return result
