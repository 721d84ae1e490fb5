"""What a task computes: the same in this process, in a worker, or on another machine. It reads no store and writes none."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from selfconsume.execution import provenance
from selfconsume.execution.messages import Advance, Arrays, Checkpoint, Message, Record, Start
from selfconsume.execution.rebuild import rebuilt
from selfconsume.execution.schedule import MetricTask, Task
from selfconsume.lanes import records as lane_records
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.lanes.measurement import check_value_names, masked
from selfconsume.lanes.records import Losses, PartialFit, Values
from selfconsume.loop import generation_zero
from selfconsume.models.checkpoints import pytrees
from selfconsume.results import format as fmt
from selfconsume.types import FitState

CHECKPOINT_SECONDS = 120.0
"""A fit that takes longer than this is checkpointed within the generation."""


def compute_task(task: Task | MetricTask, start: Start, layout: DeviceLayout) -> Iterator[Message]:
    """Computes the generations of a task, or metrics of stored generations.

    Args:
        task: Lanes of one cohort, and what they lack.
        start: The arrays that they start from.
        layout: The devices; spread over the lanes where there are more devices than lanes.
    """
    spread = layout.spread(len(task.seeds), task.cells[0].run.microbatch)
    batch = LaneBatch([cell.run for cell in task.cells], task.seeds, spread)
    return _measured(task, start, batch) if isinstance(task, MetricTask) else _retrained(task, start, batch)


def _retrained(task: Task, start: Start, batch: LaneBatch) -> Iterator[Message]:
    """The generations of a task, checkpoints of long fits, and its progress."""
    layout, run, record = batch.layout, batch.run, batch.layout.record()

    def fit(arrays: Arrays | None, t: int) -> Any:
        return None if arrays is None else pytrees.rebuilt(arrays, generation_zero.fit_structure(run, t))

    history = [rebuilt(batch, generation) for generation in start.generations]
    if history:
        history[-1] = history[-1]._replace(fit=fit(start.fit, history[-1].t))
    partial = None if start.partial is None else PartialFit(start.partial[0], fit(start.partial[1], start.partial[0]))
    most = provenance.most_compared(task.metrics, run)
    shares, losses = [0.0], Losses()
    since, finished = time.monotonic(), 0
    for item in batch.generations(
        task.metrics,
        task.until,
        history=history or None,
        first=fit(start.first, 0),
        partial=partial,
        origin=fit(start.origin, 0),
        on_progress=shares.append,
    ):
        if isinstance(item, PartialFit):
            # Hosts checkpoint together: all of them have a part in fetching the arrays.
            if layout.agree(time.monotonic() - since > CHECKPOINT_SECONDS):
                unfinished = jax.tree.map(lambda leaf: leaf[: batch.count], layout.fetch(item.fit))
                yield Checkpoint(item.t, pytrees.named(unfinished))
                since = time.monotonic()
            loss = losses.since_last(item.t, *layout.fetch((item.fit.iteration[0], item.fit.loss[: batch.count])))
            yield Advance(finished + shares[-1], loss)
            continue
        finished += 1
        yield _record(task, item, most, record)
        since = time.monotonic()


def _record(task: Task, item: lane_records.Record, most: dict[str, int], layout: dict[str, Any]) -> Record:
    """What is stored of a generation, as arrays."""
    tensors: dict[str, np.ndarray] = {fmt.alive(item.t): item.alive}
    if task.keep != "generators":
        tensors |= {fmt.samples(item.t): item.samples, fmt.valid(item.t): item.valid}
    if task.keep != "samples":
        tensors |= pytrees.named(item.fit.generator, fmt.generator(item.t))
    tensors |= _value_tensors(item.t, item.values, item.compared, item.errors)
    names = {metric: list(values) for metric, values in item.values.items()}
    fewest = provenance.fewest(most, task.cells, item.alive, item.compared)
    return Record(item.t, tensors, names, fewest, item.seconds, layout, platform.node(), pytrees.named(item.fit))


def _value_tensors(
    t: int, values: Mapping[str, Values], compared: Mapping[str, np.ndarray], errors: Mapping[str, Values]
) -> dict[str, np.ndarray]:
    tensors = {fmt.value(t, key, name): value for key, named in values.items() for name, value in named.items()}
    tensors |= {fmt.error(t, key, name): error for key, named in errors.items() for name, error in named.items()}
    return tensors | {fmt.compared(t, key): numbers for key, numbers in compared.items()}


def _measured(task: MetricTask, start: Start, batch: LaneBatch) -> Iterator[Message]:
    """Metrics of stored generations."""
    layout, record = batch.layout, batch.layout.record()
    prepared = batch.prepare(task.metrics)
    most = provenance.most_compared(task.metrics, batch.run)
    names = {metric: set(stored) for metric, stored in start.names.items()}
    since, previous = time.monotonic(), None
    for generation in start.generations:
        stored = rebuilt(batch, generation)
        earlier, previous = previous or stored, stored
        if stored.t not in task.generations:
            continue
        on_device = layout.put({"samples": stored.samples, "valid": stored.valid})
        generators = [layout.put(_generator(fit)) for fit in (stored.fit, earlier.fit)]
        block = on_device["samples"], on_device["valid"]
        values, compared = batch.measure(task.metrics, prepared, stored.t, *generators, *block)
        errors = batch.errors(task.metrics, prepared, stored.t, generators[0], *block)
        if stored.t == 0:
            for metric, floors in batch.floors(task.metrics, prepared, generators[0]).items():
                values[metric].update(floors)
        values = masked(values, stored.alive)
        for metric, named in values.items():
            names.setdefault(metric, set()).update(named)
        check_value_names(names)
        fewest = provenance.fewest(most, task.cells, stored.alive, compared)
        seconds, since = {"measure": time.monotonic() - since}, time.monotonic()
        yield Record(
            stored.t,
            _value_tensors(stored.t, values, compared, errors),
            {metric: list(named) for metric, named in values.items()},
            fewest,
            seconds,
            record,
            platform.node(),
        )


def _generator(fit: FitState) -> Any:
    return fit.generator
