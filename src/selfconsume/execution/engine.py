"""The contract between what computes and what commits: an engine takes tasks of a stage and gives their messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from selfconsume.execution.messages import Message, Start
from selfconsume.execution.schedule import MetricTask, Task

PreparedTask = tuple[Task | MetricTask, Start]


class Work(Protocol):
    """Tasks that do not depend on each other, as engines see them."""

    @property
    def count(self) -> int:
        """Number of tasks."""
        ...

    def prepare(self, position: int) -> PreparedTask | None:
        """What is left of a task, with what that starts from; None if no more is to be computed.

        Asked again after a worker was lost, it continues from the last generation whose message was taken.
        """
        ...

    def continues(self, position: int) -> bool:
        """Whether a task goes on after its latest message."""
        ...


class Engine(Protocol):
    """Computes tasks, in any order."""

    @property
    def workers(self) -> int:
        """Number of tasks that are computed at the same time."""
        ...

    def run(self, work: Work) -> Iterator[tuple[int, Message]]:
        """The messages of all tasks, each with the position of its task; those of one task are in order.

        A message counts as taken when the next one is asked for.
        """
        ...


class SingleTask:
    """Work of one task, which cannot be prepared twice.

    Args:
        prepared: The task and what it starts from.
    """

    count = 1

    def __init__(self, prepared: PreparedTask) -> None:
        self._prepared = prepared

    def prepare(self, position: int) -> PreparedTask:
        return self._prepared

    def continues(self, position: int) -> bool:
        return True
