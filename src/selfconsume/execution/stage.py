"""A stage of an execution: tasks that do not depend on each other, and the commits of what is computed of them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from selfconsume.execution import restore
from selfconsume.execution.budget import Budget
from selfconsume.execution.commit import TaskCommits
from selfconsume.execution.engine import PreparedTask
from selfconsume.execution.messages import Advance, Checkpoint, Message, Record
from selfconsume.execution.schedule import MetricTask, Task
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.results.writer import Follower, Writer


class Stage:
    """Tasks, from which an engine takes them, and to which their messages are given.

    Args:
        tasks: The tasks.
        directory: Where results are committed.
        layout: The devices, whose hosts stop together.
        budget: The time for it. A task ends with a generation or checkpoint after which there is no time for another one as
            long as the last; every task that is begun gives at least one.
        is_first: Whether nothing was computed before it: then a task is begun in any case.
    """

    def __init__(
        self,
        tasks: Sequence[Task | MetricTask],
        directory: Writer | Follower,
        layout: DeviceLayout,
        budget: Budget,
        *,
        is_first: bool,
    ) -> None:
        self._tasks = list(tasks)
        self._directory, self._layout, self._budget = directory, layout, budget
        self._is_first = is_first
        self._commits: dict[int, TaskCommits] = {}
        self._latest: dict[int, int] = {}
        self._starts: dict[int, int] = {}
        self._ends: dict[int, float] = {}
        self._stopped: set[int] = set()
        self._finished = [0.0] * len(tasks)
        self.is_stopped = False

    @property
    def count(self) -> int:
        """Number of tasks."""
        return len(self._tasks)

    @property
    def finished(self) -> float:
        """Lanes times generations done, those in progress by their finished share."""
        return sum(self._finished)

    def prepare(self, position: int) -> PreparedTask | None:
        """What is left of a task, with what that starts from; see `Work.prepare`."""
        if not (self._is_first and not self._starts) and self._is_over(0.0):
            self.is_stopped = True
            return None
        self._flush(position)
        task = self._rest(position)
        self._starts[position] = task.generations[0]
        self._layout.meet()
        self._directory.follow()
        store = self._directory.store
        start = restore.metric_start(store, task) if isinstance(task, MetricTask) else restore.start(store, task)
        self._layout.meet()
        return task, start

    def take(self, position: int, message: Message) -> None:
        """Takes a message of a task, and commits what it is time for."""
        task = self._tasks[position]
        if isinstance(self._directory, Writer):
            if position not in self._commits:
                self._commits[position] = TaskCommits(self._directory, task)
            self._commits[position].take(message)
        if isinstance(message, Advance | Record):
            done = self._starts[position] + message.done if isinstance(message, Advance) else message.t + 1
            self._finished[position] = (done - task.generations[0]) * len(task.seeds)
        if isinstance(message, Record):
            self._latest[position] = message.t
        if isinstance(message, Record) and message.t == task.generations[-1]:
            self._flush(position)
        elif isinstance(message, Record | Checkpoint):
            moment = time.monotonic()
            if self._is_over(moment - self._ends[position] if position in self._ends else 0.0):
                self._stopped.add(position)
                self._flush(position)
                self.is_stopped = True
            self._ends[position] = moment

    def continues(self, position: int) -> bool:
        """Whether a task goes on after its latest message."""
        return position not in self._stopped

    def note(self, position: int, message: Message) -> str:
        """How far a task is, in words."""
        task = self._tasks[position]
        if isinstance(task, MetricTask):
            return "metrics of stored generations"
        loss = f", loss {message.loss:.4g}" if isinstance(message, Advance) else ""
        t = min(self._latest.get(position, task.progress) + 1, task.until)
        return f"generation {t} of {task.last}, {len(task.seeds)} lanes{loss}"

    def _rest(self, position: int) -> Task | MetricTask:
        """What is left of a task."""
        task, latest = self._tasks[position], self._latest.get(position)
        if latest is None:
            return task
        if isinstance(task, MetricTask):
            return task._replace(generations=range(latest + 1, task.generations[-1] + 1))
        return task._replace(progress=latest, origins=[])

    def _flush(self, position: int) -> None:
        if position in self._commits:
            self._commits.pop(position).flush()

    def _is_over(self, seconds: float) -> bool:
        """Whether the budget does not cover this many seconds; the same on all hosts."""
        return self._budget.seconds is not None and bool(self._layout.agree(not self._budget.covers(seconds)))
