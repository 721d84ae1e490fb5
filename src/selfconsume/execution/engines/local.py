"""Tasks in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from selfconsume.execution.compute_task import compute_task
from selfconsume.execution.engine import Work
from selfconsume.execution.messages import Message
from selfconsume.lanes.layout import DeviceLayout


@dataclasses.dataclass(frozen=True)
class LocalEngine:
    """Tasks one after the other, in this process."""

    layout: DeviceLayout

    @property
    def workers(self) -> int:
        return 1

    def run(self, work: Work) -> Iterator[tuple[int, Message]]:
        """See `Engine.run`."""
        for position in range(work.count):
            if (prepared := work.prepare(position)) is None:
                return
            for message in compute_task(*prepared, self.layout):
                yield position, message
                if not work.continues(position):
                    break
