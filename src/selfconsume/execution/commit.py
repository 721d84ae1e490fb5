"""Committing what tasks give: the only writer of generations. It computes nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from selfconsume.execution.messages import Advance, Arrays, Checkpoint, Message, Record
from selfconsume.execution.schedule import MetricTask, Task
from selfconsume.results import format as fmt
from selfconsume.results.writer import Writer

COMMIT_SECONDS = 2.0
"""Generations that take less are committed together: a killed run loses at most this much finished work."""
COMMIT_BYTES = 256 * 2**20


class TaskCommits:
    """Commits the messages of one task, generations that take little time several at once.

    Args:
        writer: The directory.
        task: The task.
    """

    def __init__(self, writer: Writer, task: Task | MetricTask) -> None:
        self._writer, self._task = writer, task
        self._lanes = writer.add_lanes(task.lanes)
        self._records: list[Record] = []
        self._since = time.monotonic()

    def take(self, message: Message) -> None:
        """Takes up a message, and commits what has come together where it is time."""
        if isinstance(message, Advance):
            return
        if isinstance(message, Checkpoint):
            self.flush()
            commit_checkpoint(self._writer, self._lanes, message)
            self._since = time.monotonic()
            return
        self._records.append(message)
        if isinstance(self._task, MetricTask):
            return
        # Runs that start from generation 0 need its whole fit again, which is stored at the end of a segment only.
        first = self._task.keeps_states or self._task.cells[0].run.start == "first"
        size = sum(array.nbytes for record in self._records for array in record.tensors.values())
        state_is_kept = message.t == 0 and first
        if state_is_kept or time.monotonic() - self._since > COMMIT_SECONDS or size > COMMIT_BYTES:
            self.flush(state_is_kept=state_is_kept)

    def flush(self, *, state_is_kept: bool = False) -> None:
        """Commits what is not committed yet; ``state_is_kept``: its last whole fit is kept for good."""
        if self._records:
            keep = fmt.VALUES if isinstance(self._task, MetricTask) else self._task.keep
            commit(self._writer, self._lanes, self._records, keep, state_is_kept=state_is_kept)
            self._records = []
            self._since = time.monotonic()


def commit(
    writer: Writer,
    lanes: str,
    records: Sequence[Record],
    keep: str,
    *,
    state_is_kept: bool = False,
    replaces: int = 0,
) -> None:
    """Commits consecutive generations of a batch of lanes as one segment.

    Args:
        writer: The directory.
        lanes: The identity of the batch.
        records: Its generations.
        keep: What `records` hold: a value of the setting `keep`, or `fmt.VALUES`.
        state_is_kept: Whether the last whole fit is kept for good.
        replaces: The line of the log whose files are damaged; they are removed when this is committed.
    """
    first, last = records[0].t, records[-1].t
    arrays = {name: array for record in records for name, array in record.tensors.items()}
    state = {}
    if (fit := records[-1].fit) is not None:
        file, sha256 = writer.write(lanes, first, last, fmt.STATE, _named(fit))
        state = {"state": file, "state_sha256": sha256, "state_is_kept": state_is_kept}
    part = fmt.VALUES if keep == fmt.VALUES else fmt.ARRAYS
    file, sha256 = writer.write(lanes, first, last, part, arrays)
    names = {key: sorted(set().union(*(record.values[key] for record in records))) for key in records[-1].values}
    parts = records[0].seconds
    writer.commit(
        fmt.SEGMENT,
        lanes=lanes,
        first=first,
        last=last,
        file=file,
        sha256=sha256,
        metrics=names,
        fewest=_least([record.fewest for record in records]),
        kept=keep,
        layout=records[-1].layout,
        host=records[-1].host,
        time=round(time.time(), 3),
        seconds={part: round(sum(record.seconds.get(part, 0.0) for record in records), 4) for part in parts},
        **state,
        **({"replaces": replaces} if replaces else {}),
    )
    writer.forget_states(lanes)


def commit_checkpoint(writer: Writer, lanes: str, checkpoint: Checkpoint) -> None:
    """Commits a fit in progress; the checkpoint before stays until this one is committed."""
    t = checkpoint.t
    file, sha256 = writer.write(lanes, t, t, fmt.UNFINISHED, _named(checkpoint.fit))
    writer.commit(fmt.UNFINISHED, lanes=lanes, generation=t, file=file, sha256=sha256)
    writer.forget_states(lanes)


def _named(fit: Arrays) -> dict[str, np.ndarray]:
    return {f"{fmt.FIT}{name}": array for name, array in fit.items()}


def _least(parts: Sequence[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """By metric and run the smallest number of all generations."""
    result: dict[str, dict[str, int]] = {}
    for part in parts:
        for metric, runs in part.items():
            least = result.setdefault(metric, {})
            for run, number in runs.items():
                least[run] = min(number, least.get(run, number))
    return result
