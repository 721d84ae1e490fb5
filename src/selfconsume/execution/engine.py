"""Engines: where tasks are computed. An engine takes tasks with their starting arrays and gives their messages."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Protocol

from selfconsume.execution.compute_task import compute_task
from selfconsume.execution.messages import Message, Start
from selfconsume.execution.schedule import MetricTask, Task
from selfconsume.lanes.layout import DeviceLayout

PreparedTask = tuple[Task | MetricTask, Start]


class Engine(Protocol):
    """Computes tasks that do not depend on each other, in any order."""

    def run(self, tasks: Iterable[PreparedTask]) -> Iterator[tuple[int, Message]]:
        """The messages of all tasks, each with the position of its task; those of one task are in order.

        Starting arrays are read when the next task is asked for.
        """
        ...


@dataclasses.dataclass(frozen=True)
class LocalEngine:
    """Tasks one after the other, in this process."""

    layout: DeviceLayout

    def run(self, tasks: Iterable[PreparedTask]) -> Iterator[tuple[int, Message]]:
        """See `Engine.run`."""
        for position, (task, start) in enumerate(tasks):
            for message in compute_task(task, start, self.layout):
                yield position, message
