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
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from selfconsume.errors import ConfigError
from selfconsume.execution import provenance, recorded_content, resources, restore
from selfconsume.execution import repair as repairs
from selfconsume.execution.commit import TaskCommits
from selfconsume.execution.engine import Engine, LocalEngine, PreparedTask
from selfconsume.execution.messages import Advance, Checkpoint, Message, Record
from selfconsume.execution.schedule import MetricTask, Task, lacking, pending
from selfconsume.execution.shares import Share
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
        text: The study file's text, kept for the report.
        repair: Whether damaged generations are computed again first, see `repair.repair`.
        share: The share of the study that this directory holds; None: all of it.
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
    with _opened(out, layout, repair) as directory:
        store = directory.store
        _check_runs(study, store)
        if isinstance(directory, Writer):
            if repair:
                repairs.repair(directory, engine)
            announce(directory, study, layout, text, share=share.record(study) if share else {})
        tasks = pending(study, store, layout, frozenset(share.lanes(study)) if share else None)
        missing = lacking(study, store)
        total = sum(len(task.seeds) * len(task.generations) for task in (*tasks, *missing))
        stages: list[list[Task | MetricTask]] = [
            *(list(stage) for _, stage in itertools.groupby(tasks, key=lambda task: task.stage)),
            list(missing),
        ]
        done = 0.0
        for stage in stages:
            for advance, note in _run(stage, engine, directory, layout):
                on_progress(Progress(done + advance, total, note))
            done += sum(len(task.seeds) * len(task.generations) for task in stage)
    layout.meet()
    return Store(out)


def _check_runs(study: Study, store: Store) -> None:
    """Refuses a directory that holds other runs only, or runs whose recorded samples have changed."""
    runs = {run for lanes in store.lanes.values() for run, _ in lanes}
    if runs and not runs & {cell.id for cell in study.cells}:
        why = difference(store.study["tables"], study.table())
        raise ConfigError(f"{store.path}: its results share no run with this study ({why}); give another --out")
    recorded_content.check(study, store)


def _run(
    tasks: Sequence[Task | MetricTask],
    engine: Engine,
    directory: Writer | Follower,
    layout: DeviceLayout,
) -> Iterator[tuple[float, str]]:
    """Computes and commits tasks that do not depend on each other; yields lanes times generations done, and a note."""
    finished = [0.0] * len(tasks)
    commits: dict[int, TaskCommits] = {}
    for position, message in engine.run(_prepared(tasks, directory, layout)):
        task = tasks[position]
        if isinstance(directory, Writer):
            if position not in commits:
                commits[position] = TaskCommits(directory, task)
            commits[position].take(message)
            if isinstance(message, Record) and message.t == task.generations[-1]:
                commits.pop(position).flush()
        if not isinstance(message, Checkpoint):
            done = message.done if isinstance(message, Advance) else message.t + 1 - task.generations[0]
            finished[position] = done * len(task.seeds)
            yield sum(finished), _note(task, done, message)


def _note(task: Task | MetricTask, done: float, message: Message) -> str:
    """How far a task is, in words."""
    if isinstance(task, MetricTask):
        return "metrics of stored generations"
    loss = f", loss {message.loss:.4g}" if isinstance(message, Advance) else ""
    t = min(task.progress + 1 + int(done), task.until)
    return f"generation {t} of {task.last}, {len(task.seeds)} lanes{loss}"


def _prepared(
    tasks: Sequence[Task | MetricTask], directory: Writer | Follower, layout: DeviceLayout
) -> Iterator[PreparedTask]:
    """Tasks with what they start from, read when the engine asks for them."""
    for task in tasks:
        layout.meet()
        directory.follow()
        store = directory.store
        start = restore.metric_start(store, task) if isinstance(task, MetricTask) else restore.start(store, task)
        layout.meet()
        yield task, start


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
