"""What a study will take of time, memory and disk, predicted before it is run."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from selfconsume.execution import resources
from selfconsume.execution.calibration import Calibration
from selfconsume.execution.commit import COMMIT_SECONDS
from selfconsume.execution.schedule import Task
from selfconsume.lanes.cohorts import cohort_of
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.loop import generation_zero


class Prediction(NamedTuple):
    """Resources of what is left of a study.

    Attributes:
        compilation: Seconds of compilation.
        computation: Seconds of everything else.
        memory: Bytes of one process at its largest batch of lanes.
        disk: Bytes of samples, generators, values, whole fits and the log.
    """

    compilation: float
    computation: float
    memory: int
    disk: int

    @property
    def seconds(self) -> float:
        """Both together."""
        return self.compilation + self.computation


def predict(
    tasks: Sequence[Task], layout: DeviceLayout, calibration: Calibration | None = None, workers: int = 1
) -> Prediction:
    """Predicts what tasks take; times are 0 without a calibration.

    Args:
        tasks: The tasks, divided between ``workers``.
        layout: The devices of one worker.
        calibration: What the cohorts take.
        workers: Processes that compute tasks at the same time; with several, one lane takes one of them.
    """
    compilation = computation = longest = 0.0
    cohorts = {cohort_of(task.cells[0].run) for task in tasks}
    for task in tasks if calibration else ():
        seconds = _seconds(task, layout, calibration, workers)
        computation += seconds
        longest = max(longest, seconds)
    if calibration:
        # Every worker compiles the cohorts that it meets, at the same time as the others.
        met = min(len(cohorts), -(-len(tasks) // workers))
        compilation = sum(calibration.times[cohort].compilation for cohort in cohorts) / max(len(cohorts), 1) * met
        computation = max(computation / workers, longest)
    most = max((len(task.seeds) * resources.lane_bytes(task.cells[0].run, task.last) for task in tasks), default=0)
    segments = sum(_segments(task, layout, calibration, workers) for task in tasks)
    disk = sum(_disk(task) for task in tasks) + segments * resources.SEGMENT_BYTES
    return Prediction(compilation, computation, most + resident_bytes(), disk)


def resident_bytes() -> int:
    """Memory of this process now; 0 where the operating system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _seconds(task: Task, layout: DeviceLayout, calibration: Calibration | None, workers: int) -> float:
    if calibration is None:
        return 0.0
    run = task.cells[0].run
    at_once = 1 if run.fits_on_host or workers > 1 else layout.groups
    rounds = math.ceil(len(task.seeds) / at_once)
    return rounds * len(task.generations) * calibration.times[cohort_of(run)].generation


def _segments(task: Task, layout: DeviceLayout, calibration: Calibration | None, workers: int) -> int:
    """Segments of a task, as many as it takes commits."""
    seconds = _seconds(task, layout, calibration, workers)
    return max(1, min(len(task.generations), math.ceil(seconds / COMMIT_SECONDS)))


def _disk(task: Task) -> int:
    """Samples, generators and values of a task, and the whole fit that it ends with."""
    run = task.cells[0].run
    fit = resources.tree_bytes(generation_zero.fit_structure(run, 1))
    generation = resources.generation_bytes(run, task.keep, len(task.metrics))
    return len(task.seeds) * (len(task.generations) * generation + fit)
