"""Repair of a directory of results: damaged segments are computed again, and replaced one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from selfconsume.errors import ConfigError
from selfconsume.execution import commit, restore
from selfconsume.execution.engine import Engine, PreparedTask, SingleTask
from selfconsume.execution.messages import Record
from selfconsume.execution.schedule import MetricTask, Task
from selfconsume.metrics.metric_key import metric_key
from selfconsume.results import format as fmt
from selfconsume.results import integrity
from selfconsume.results.format import DATA, Lane
from selfconsume.results.store import Segment, Store
from selfconsume.results.writer import Writer
from selfconsume.study import toml_file
from selfconsume.study.cells import Cell


def repair(writer: Writer, engine: Engine, on_segment: Callable[[int, int], None] = lambda done, total: None) -> int:
    """Computes damaged segments again, by the study that each was computed for; equal bit for bit on the same layout.

    A segment's old files are removed when its new ones are committed. Fits restart from the latest undamaged whole fit
    before the segment, else from generation 0; checkpoints of fits in progress are removed where they are damaged.

    Args:
        writer: The directory.
        engine: Where tasks are computed.
        on_segment: Called with the numbers of repaired and of damaged segments.

    Returns:
        The number of repaired segments.

    Raises:
        ConfigError: A segment's study cannot be read any more, or names other runs.
    """
    _remove_damaged_checkpoints(writer)
    damaged = [segment for segment, _ in integrity.segment_faults(writer.store)]
    # Values that were added later are measured on stored generations.
    damaged.sort(key=lambda segment: segment.keep == fmt.VALUES)
    for i, segment in enumerate(damaged):
        on_segment(i, len(damaged))
        _replace(writer, engine, segment, writer.store.without(damaged[i:]))
    return len(damaged)


def _remove_damaged_checkpoints(writer: Writer) -> None:
    for partial in list(writer.store.unfinished.values()):
        try:
            writer.store.tensors(partial.file, partial.sha256)
        except ConfigError:
            (writer.path / DATA / partial.file).unlink(missing_ok=True)


def _replace(writer: Writer, engine: Engine, segment: Segment, sound: Store) -> None:
    task, start = _task(sound, segment)
    generations = range(segment.first, segment.last + 1)
    records = [
        message
        for _, message in engine.run(SingleTask((task, start)))
        if isinstance(message, Record) and message.t in generations
    ]
    commit.commit(
        writer,
        segment.lanes,
        records,
        segment.keep,
        state_is_kept=segment.state_is_kept,
        replaces=segment.number,
    )


def _task(sound: Store, segment: Segment) -> PreparedTask:
    """The task that computes a segment again from undamaged segments."""
    lanes = sound.lanes[segment.lanes]
    cells, seeds = _cells(sound, segment, lanes), [seed for _, seed in lanes]
    tables = sound.studies[segment.study]["tables"]
    study = toml_file.from_stored(tables)
    metrics = tuple(metric for metric in study.metrics if metric_key(metric) in segment.metrics)
    if segment.keep == fmt.VALUES:
        keys = tuple(metric_key(metric) for metric in study.metrics)
        measurement = MetricTask(cells, seeds, range(segment.first, segment.last + 1), metrics, keys)
        return measurement, restore.metric_start(sound, measurement)
    progress = _latest_start(sound, segment, lanes)
    task = Task(cells, seeds, progress, segment.last, [], False, metrics, segment.keep, 0, study.last)
    return task, restore.start(sound, task)


def _cells(sound: Store, segment: Segment, lanes: Sequence[Lane]) -> list[Cell]:
    study = toml_file.from_stored(sound.studies[segment.study]["tables"])
    cells = {cell.id: cell for cell in study.cells}
    if unknown := sorted({run for run, _ in lanes} - set(cells)):
        raise ConfigError(
            f"{sound.path}: run {unknown[0]} cannot be computed again: its study, or a kind in it, has changed since; "
            "restore its files from a copy, or use the version that wrote them"
        )
    return [cells[run] for run, _ in lanes]


def _latest_start(sound: Store, segment: Segment, lanes: Sequence[Lane]) -> int:
    """The latest generation before a segment with the whole fits and all earlier generations of its lanes; -1 for none."""
    members = set(lanes)
    stored: set[int] = set()
    states = []
    for earlier in sound.segments:
        if earlier.keep != fmt.VALUES and members <= set(sound.lanes[earlier.lanes]):
            stored.update(range(earlier.first, earlier.last + 1))
            if earlier.last < segment.first and sound.has_state(earlier):
                states.append(earlier.last)
    return max((t for t in states if stored.issuperset(range(t + 1))), default=-1)
