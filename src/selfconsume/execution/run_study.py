"""Runs what a study still lacks, and commits it: new lanes, more generations, more metrics.

The work that is left is a function of the study and of the directory, so that starting, resuming and extending are the same
thing: run the same command again.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.execution import provenance, resources, restore
from selfconsume.execution.schedule import Task, lacking, pending
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.lanes.measurement import check_value_names
from selfconsume.lanes.records import Losses, PartialFit, Record, Values
from selfconsume.metrics.metric_key import metric_key
from selfconsume.models.checkpoints import pytrees
from selfconsume.results.store import Store
from selfconsume.results.writer import Follower, Writer
from selfconsume.study.identity import difference
from selfconsume.study.study import Cell, Study
from selfconsume.types import Metric

COMMIT_SECONDS = 2.0
"""Generations that take less are committed together: a killed run loses at most this much finished work."""
COMMIT_BYTES = 256 * 2**20
CHECKPOINT_SECONDS = 120.0
"""A fit that takes longer than this is checkpointed within the generation."""


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
    text: str | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Store:
    """Computes what the directory lacks of the study and stores it.

    Killed at any moment and called again, it continues; with more seeds, generations, axes or metrics, it adds them, and no
    earlier number changes.

    Args:
        study: What is wanted.
        out: The directory of results; created if need be.
        layout: The devices; default: all local ones.
        text: The study file's text, kept for the report.
        on_progress: Called with the progress, several times a second at most.

    Returns:
        The directory, opened for reading.

    Raises:
        ConfigError: There is no room for it, or the directory belongs to a study that shares no run with this one, is locked,
            or is damaged.
    """
    resources.check(study, out)
    layout = layout or DeviceLayout.default()
    with _opened(out, layout) as writer:
        known = {run for lanes in writer.lanes.values() for run, _ in lanes}
        if known and not known & {cell.id for cell in study.cells}:
            why = difference(writer.study["tables"], study.table())
            raise ConfigError(f"{out}: its results share no run with this study ({why}); give another --out")
        _announce(writer, study, layout, text)
        tasks = pending(study, writer, layout)
        missing = lacking(study, writer)
        total = sum(len(task.seeds) * (task.until - task.after) for task in tasks)
        total += sum(len(cells) * len(generations) for cells, _, generations, _ in missing)
        done = 0.0
        for task in tasks:
            for share, note in _run(study, task, writer, layout):
                lanes, now = len(task.seeds), min(task.after + 1 + int(share), task.until)
                on_progress(
                    Progress(done + share * lanes, total, f"generation {now} of {study.last}, {lanes} lanes{note}")
                )
            done += len(task.seeds) * (task.until - task.after)
        for cells, seeds, generations, metrics in missing:
            for count, _ in enumerate(_add_metrics(study, cells, seeds, generations, metrics, writer, layout), 1):
                on_progress(Progress(done + count * len(cells), total, "metrics of stored generations"))
            done += len(cells) * len(generations)
    layout.meet()
    return Store(out)


def _opened(out: str | Path, layout: DeviceLayout) -> Writer | Follower:
    """The directory, for writing on the first host. The others see it as it was before the first one began."""
    if layout.leads:
        writer = Writer(out)
        layout.meet()
    else:
        layout.meet()
        writer = Follower(out)
    layout.meet()
    return writer


def _announce(writer: Writer | Follower, study: Study, layout: DeviceLayout, text: str | None) -> None:
    packages = ("selfconsume", "jax", "jaxlib", "equinox", "numpy", "scipy")
    writer.commit(
        "study",
        tables=study.table(),
        text=text,
        cells=[
            {"id": cell.id, "labels": cell.labels, "measured": on}
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
        machine={"cores": os.cpu_count(), **layout.record()},
    )


def _batch(cells: list[Cell], seeds: list[int], layout: DeviceLayout) -> LaneBatch:
    """Lanes on the devices, several of them for each lane where there are more."""
    return LaneBatch([cell.run for cell in cells], seeds, layout.spread(len(seeds), cells[0].run.microbatch))


def _run(study: Study, task: Task, writer: Writer | Follower, layout: DeviceLayout) -> Iterator[tuple[float, str]]:
    """Runs a task to its last generation and commits it; yields the generations done, and the loss within a fit."""
    batch = _batch(task.cells, task.seeds, layout)
    run, layout = batch.run, batch.layout
    layout.meet()
    writer.follow()
    lanes = writer.add_lanes(task.lanes)
    after = restore.generations(writer, batch, task.lanes, task.after) if task.after >= 0 else None
    first = restore.fit(writer, run, task.lanes, 0) if task.after >= 0 and run.start == "first" else None
    origin = restore.fit(writer, run, task.origins, 0) if task.origins else None
    held = writer.unfinished.get(lanes)
    partial = restore.partial(writer, run, held) if held and held.generation == task.after + 1 else None
    layout.meet()
    buffer: list[Record] = []
    shares: list[float] = []
    losses = Losses()
    since = time.monotonic()
    finished = 0
    for item in batch.generations(
        study.metrics, task.until, history=after, first=first, partial=partial, origin=origin, on_progress=shares.append
    ):
        if isinstance(item, PartialFit):
            if time.monotonic() - since > CHECKPOINT_SECONDS:
                _flush(writer, lanes, buffer, study, task.cells, layout)
                name = f"{lanes}-{item.t:06d}.unfinished.safetensors"
                # A new name each time: the checkpoint before must stay whole until this one is committed.
                name = name.replace(".unf", f"-{int(item.fit.iteration[0])}.unf")
                fit = jax.tree.map(lambda leaf: leaf[: batch.count], layout.fetch(item.fit))
                sha = writer.write(name, pytrees.named(fit, "fit"))
                writer.commit("unfinished", lanes=lanes, generation=item.t, file=name, sha256=sha)
                writer.forget_states(lanes)
                since = time.monotonic()
            latest = losses.since_last(item.t, *layout.fetch((item.fit.iteration[0], item.fit.loss[: batch.count])))
            yield finished + (shares[-1] if shares else 0.0), f", loss {latest:.4g}"
            continue
        buffer.append(item)
        finished += 1
        size = sum(record.samples.nbytes for record in buffer)
        # Whoever starts from generation 0 needs its whole fit again, which is stored at the end of a segment only.
        state_is_kept = item.t == 0 and (task.keeps_states or run.start == "first")
        if state_is_kept or time.monotonic() - since > COMMIT_SECONDS or size > COMMIT_BYTES:
            _flush(writer, lanes, buffer, study, task.cells, layout, state_is_kept=state_is_kept)
            since = time.monotonic()
        yield finished, ""
    _flush(writer, lanes, buffer, study, task.cells, layout)


def _flush(
    writer: Writer | Follower,
    lanes: str,
    buffer: list[Record],
    study: Study,
    cells: list[Cell],
    layout: DeviceLayout,
    *,
    state_is_kept: bool = False,
) -> None:
    """Commits the generations in the buffer and empties it; ``state_is_kept``: their last whole fit is kept for good."""
    if not buffer:
        return
    keep = study.settings.keep
    arrays: dict[str, np.ndarray] = {}
    for record in buffer:
        arrays[f"{record.t}/alive"] = record.alive
        if keep != "generators":
            arrays[f"{record.t}/samples"] = record.samples
            arrays[f"{record.t}/valid"] = record.valid
        if keep != "samples":
            arrays |= pytrees.named(record.fit.generator, f"{record.t}/generator")
        for metric, values in record.values.items():
            arrays |= {f"{record.t}/value/{metric}/{name}": value for name, value in values.items()}
        arrays |= {f"{record.t}/compared/{metric}": numbers for metric, numbers in record.compared.items()}
    start, last = buffer[0].t, buffer[-1]
    stem = f"{lanes}-{start:06d}-{last.t:06d}"
    state = f"{stem}.state.safetensors"
    state_sha = writer.write(state, pytrees.named(last.fit, "fit"))
    sha = writer.write(f"{stem}.safetensors", arrays)
    parts = [record.seconds for record in buffer]
    names = {m: sorted(set().union(*(r.values[m] for r in buffer))) for m in last.values}
    writer.commit(
        "segment",
        lanes=lanes,
        first=start,
        last=last.t,
        file=f"{stem}.safetensors",
        sha256=sha,
        metrics=names,
        fewest=provenance.fewest(study.metrics, cells, [(record.alive, record.compared) for record in buffer]),
        kept=keep,
        layout=layout.record(),
        seconds={name: round(sum(part.get(name, 0.0) for part in parts), 4) for name in parts[0]},
        state=state,
        state_sha256=state_sha,
        state_is_kept=state_is_kept,
    )
    writer.forget_states(lanes)
    buffer.clear()


def _add_metrics(
    study: Study,
    cells: list[Cell],
    seeds: list[int],
    generations: list[int],
    metrics: list[Metric],
    writer: Writer | Follower,
    layout: DeviceLayout,
) -> Iterator[int]:
    """Measures stored generations anew; yields after each."""
    batch = _batch(cells, seeds, layout)
    layout = batch.layout
    layout.meet()
    writer.follow()
    lanes = [(cell.id, seed) for cell, seed in zip(cells, seeds, strict=True)]
    name = writer.add_lanes(lanes)
    prepared_data = batch.prepare(metrics)
    arrays: dict[str, np.ndarray] = {}
    names: dict[str, set[str]] = {}
    found: list[tuple[np.ndarray, Values]] = []
    wanted = {metric_key(metric) for metric in study.metrics}
    stored = {metric: each for s in writer.segments for metric, each in s.metrics.items() if metric in wanted}
    started = time.monotonic()
    for t in generations:
        record = restore.generation(writer, batch, lanes, t)
        before = restore.generation(writer, batch, lanes, t - 1) if t else record
        if record.fit.generator is None and any(
            not metric.has_noise_floor and not metric.accepts_features for metric in metrics
        ):
            raise ConfigError(
                f"{writer.path}: metrics of the generator were added, but keep = 'samples' kept no generators; "
                "drop them or run in a new directory with keep = 'all'"
            )
        generator, previous = layout.put(record.fit.generator), layout.put(before.fit.generator)
        on_device = layout.put({"samples": record.samples, "valid": record.valid})
        samples, valid = on_device["samples"], on_device["valid"]
        values, compared = batch.measure(metrics, prepared_data, t, generator, previous, samples, valid)
        arrays |= {f"{t}/compared/{metric}": numbers for metric, numbers in compared.items()}
        found.append((record.alive, compared))
        if t == 0:
            for metric, floors in batch.floors(metrics, prepared_data, generator).items():
                values[metric].update(floors)
        for metric, each in values.items():
            for key, value in each.items():
                arrays[f"{t}/value/{metric}/{key}"] = np.where(record.alive, value, np.nan)
                names.setdefault(metric, set()).add(key)
        check_value_names(stored | names)
        yield t
    tag = len(writer.segments)
    file = f"{name}-{generations[0]:06d}-{generations[-1]:06d}-{tag}.values.safetensors"
    sha = writer.write(file, arrays)
    writer.commit(
        "segment",
        lanes=name,
        first=generations[0],
        last=generations[-1],
        file=file,
        sha256=sha,
        metrics={metric: sorted(each) for metric, each in names.items()},
        fewest=provenance.fewest(metrics, cells, found),
        kept="values",
        layout=layout.record(),
        seconds={"measure": round(time.monotonic() - started, 4)},
    )
