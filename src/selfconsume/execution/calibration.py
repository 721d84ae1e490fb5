"""A short calibration: a few lanes of each cohort for a few generations, to predict what the whole study takes."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from selfconsume.execution.compute_task import compute_task
from selfconsume.execution.messages import Advance, Record, Start
from selfconsume.execution.schedule import Task
from selfconsume.lanes.cohorts import cohort_of
from selfconsume.lanes.layout import DeviceLayout

GENERATIONS = 3
"""Generations that are computed: the first two compile, the last one shows what a generation takes."""

SECONDS = 60.0
"""Time after which no further cohort is measured; those that are left are taken to be like the mean of the others."""


class CohortTime(NamedTuple):
    """What a cohort takes.

    Attributes:
        compilation: Seconds until its programs are there; few where the compilation cache holds them.
        generation: Seconds of a generation of one lane on one device.
    """

    compilation: float
    generation: float


class Calibration(NamedTuple):
    """What the cohorts of a study take.

    Attributes:
        times: By cohort.
        measured: Number of cohorts that were measured.
    """

    times: dict[Any, CohortTime]
    measured: int


def calibrate(tasks: Sequence[Task], layout: DeviceLayout, seconds: float = SECONDS) -> Calibration:
    """Measures the cohorts of some tasks, those with most work first, until the time is over. Nothing is stored.

    Regimes whose pool grows take longer later than what is measured here.
    """
    work: dict[Any, int] = {}
    examples: dict[Any, Task] = {}
    for task in tasks:
        cohort = cohort_of(task.cells[0].run)
        work[cohort] = work.get(cohort, 0) + len(task.seeds) * len(task.generations)
        examples.setdefault(cohort, task)
    end = time.monotonic() + seconds
    times: dict[Any, CohortTime] = {}
    for cohort in sorted(work, key=lambda key: -work[key]):
        if times and time.monotonic() > end:
            break
        times[cohort] = measure(examples[cohort], layout, end - time.monotonic())
    count = len(times)
    mean = CohortTime(*(sum(column) / count for column in zip(*times.values(), strict=True))) if times else None
    return Calibration({cohort: times.get(cohort) or mean for cohort in work if mean}, count)


def measure(task: Task, layout: DeviceLayout, seconds: float = SECONDS) -> CohortTime:
    """Measures one cohort: as many of a task's lanes as run at the same time, from generation 0, for a few generations.

    A fit that takes longer than ``seconds`` is not finished: its pace is that of its latest updates.
    """
    run = task.cells[0].run
    at_once = 1 if run.fits_on_host else layout.groups
    count = min(len(task.seeds), at_once)
    until = min(GENERATIONS - 1, task.last)
    small = task._replace(cells=task.cells[:count], seeds=task.seeds[:count], progress=-1, until=until, origins=[])
    ends, advances = _moments(small, layout, seconds)
    if len(ends) == 1 and until == 0:
        # A single generation: the second time its programs are there.
        (again,), _ = _moments(small, layout, math.inf)
        return CohortTime(max(ends[0] - again, 0.0), again)
    if len(ends) > 1:
        generation = ends[-1] - ends[-2]
        return CohortTime(max(ends[-1] - len(ends) * generation, 0.0), generation)
    (first, start), (last, done) = advances[-2:]
    generation = (last - first) / max(done - start, 1e-9)
    moment, share = advances[0]
    return CohortTime(max(moment - share * generation, 0.0), generation)


def _moments(task: Task, layout: DeviceLayout, seconds: float) -> tuple[list[float], list[tuple[float, float]]]:
    """Seconds after which each generation ended; seconds and generations done of each report in between."""
    start = time.monotonic()
    ends: list[float] = []
    advances: list[tuple[float, float]] = []
    for message in compute_task(task, Start(), layout):
        moment = time.monotonic() - start
        if isinstance(message, Record):
            ends.append(moment)
        elif isinstance(message, Advance):
            advances.append((moment, message.done))
        if moment > seconds and (len(ends) > 1 or len(advances) > 1):
            break
    return ends, advances
