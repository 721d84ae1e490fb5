"""Runs what a study still lacks, and commits it: new lanes, more generations, more metrics.

The work that is left is a function of the study and of the directory, so that starting, resuming and extending are the same
thing: run the same command again.
"""

from __future__ import annotations

import itertools
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from selfconsume.errors import ConfigError
from selfconsume.execution import provenance, recorded_content, resources
from selfconsume.execution import repair as repairs
from selfconsume.execution.budget import Budget
from selfconsume.execution.engine import Engine
from selfconsume.execution.engines.local import LocalEngine
from selfconsume.execution.schedule import MetricTask, Task, lacking, pending
from selfconsume.execution.shares import Share
from selfconsume.execution.stage import Stage
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.metrics.metric_key import metric_key
from selfconsume.results import format as fmt
from selfconsume.results.store import Store
from selfconsume.results.writer import Follower, Writer
from selfconsume.study.cells import Cell
from selfconsume.study.identity import difference
from selfconsume.study.study import Study


class Progress(NamedTuple):
    """How far an execution is, in lanes times generations."""

    done: float
    total: int
    text: str


def execute(
    study: Study,
    out: str | Path,
    *,
    layout: DeviceLayout | None = None,
    engine: Engine | None = None,
    text: str | None = None,
    repair: bool = False,
    share: Share | None = None,
    budget: float | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Store:
    """Computes what the directory lacks of the study and stores it.

    Killed at any moment and called again, it continues; with more seeds, generations, axes or metrics, it adds them, and no
    earlier number changes.

    Args:
        study: The study.
        out: The directory of results; created if need be.
        layout: The devices; default: all local ones.
        engine: Where tasks are computed; default: in this process.
        text: The study file's text, kept for the report; default: that of the study.
        repair: Whether damaged generations are computed again first, see `repair.repair`.
        share: The share of the study that this directory holds; None: all of it.
        budget: Seconds after which it stops, with a generation's end; None: no limit. `missing` says what is left then.
        on_progress: Called with the progress, several times a second at most.

    Returns:
        The directory, opened for reading.

    Raises:
        ConfigError: There is no room for it, or the directory belongs to a study that shares no run with this one, is locked,
            or is damaged.
    """
    resources.check(study, out, share.count if share else 1)
    layout = layout or DeviceLayout.default()
    engine = engine or LocalEngine(layout)
    time_left = Budget(budget)
    with _opened(out, layout, repair) as directory:
        store = directory.store
        _check_runs(study, store)
        if isinstance(directory, Writer):
            if repair:
                repairs.repair(directory, engine)
            announce(directory, study, layout, text or study.text, share=share.record(study) if share else {})
        stages = _stages(study, store, layout, share, engine.workers)
        total = sum(len(task.seeds) * len(task.generations) for tasks in stages for task in tasks)
        done = 0.0
        for tasks in stages:
            stage = Stage(tasks, directory, layout, time_left, is_first=not done)
            for position, message in engine.run(stage):
                stage.take(position, message)
                on_progress(Progress(done + stage.finished, total, stage.note(position, message)))
            done += stage.finished
            if stage.is_stopped:
                break
    layout.meet()
    return Store(out)


def _stages(
    study: Study, store: Store, layout: DeviceLayout, share: Share | None, workers: int
) -> list[Sequence[Task | MetricTask]]:
    """What a directory lacks of a study: tasks by stage, then metrics of stored generations."""
    tasks = pending(study, store, layout, frozenset(share.lanes(study)) if share else None, workers)
    stages = [tuple(stage) for _, stage in itertools.groupby(tasks, key=lambda task: task.stage)]
    return [*stages, tuple(lacking(study, store))]


def _check_runs(study: Study, store: Store) -> None:
    """Refuses a directory that holds other runs only, or runs whose recorded samples have changed."""
    runs = {run for lanes in store.lanes.values() for run, _ in lanes}
    if runs and not runs & {cell.id for cell in study.cells}:
        why = difference(store.study["tables"], study.table())
        raise ConfigError(f"{store.path}: its results share no run with this study ({why}); give another --out")
    recorded_content.check(study, store)


def missing(study: Study, store: Store, layout: DeviceLayout, share: Share | None = None) -> int:
    """Lanes times generations that a directory still lacks of a study, metrics to add included."""
    stages = _stages(study, store, layout, share, 1)
    return sum(len(task.seeds) * len(task.generations) for tasks in stages for task in tasks)


def _opened(out: str | Path, layout: DeviceLayout, repair: bool) -> Writer | Follower:
    """The directory, for writing on the first host. The others see it as it was before the first one began."""
    if repair and layout.hosts > 1:
        raise ConfigError("--repair: expected one host; repair on one host, then run on all of them")
    if layout.leads:
        writer = Writer(out, repair=repair)
        layout.meet()
    else:
        layout.meet()
        writer = Follower(out)
    layout.meet()
    return writer


def announce(writer: Writer, study: Study, layout: DeviceLayout, text: str | None, **further: Any) -> None:
    """Commits that a study is run, with further fields."""
    packages = ("selfconsume", "jax", "jaxlib", "equinox", "numpy", "scipy")
    writer.commit(
        fmt.STUDY,
        tables=study.table(),
        text=text,
        cells=[
            {"id": cell.id, "labels": cell.labels, "measured": on, **_recorded(cell, study)}
            for cell, on in zip(study.cells, provenance.of_cells(study.cells, study.metrics), strict=True)
        ],
        axes=list(study.axes),
        seeds=study.settings.seeds,
        generations=study.settings.generations,
        metrics=[metric_key(metric) for metric in study.metrics],
        measured=provenance.of_metrics(study.metrics),
        time=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        python=sys.version.split()[0],
        versions={name: metadata.version(name) for name in packages},
        machine={"cores": os.cpu_count(), "host": platform.node(), **layout.record()},
        **{name: value for name, value in further.items() if value},
    )


def _recorded(cell: Cell, study: Study) -> dict[str, Any]:
    """The checksums of a cell's recorded samples, if its samples are recorded."""
    checksums = recorded_content.of_cell(cell, study)
    return {"recorded": checksums} if checksums else {}
