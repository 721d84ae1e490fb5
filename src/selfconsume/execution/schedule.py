"""What a study still lacks, as batches of lanes in the order in which they are run."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from selfconsume.execution import resources
from selfconsume.lanes.cohorts import cohort_of
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.metrics.metric_key import metric_key
from selfconsume.results import format as fmt
from selfconsume.results.format import Lane
from selfconsume.results.store import Store
from selfconsume.study.cells import Cell
from selfconsume.study.study import Study
from selfconsume.types import Metric

BATCHES = 2
"""Batches for each of several workers: few, because each compiles its programs; more than one, because they differ in cost."""


class Task(NamedTuple):
    """Lanes of one cohort that stand at the same generation.

    Attributes:
        cells: The cell of each lane.
        seeds: Its seed.
        progress: Their last stored generation; -1 if none.
        until: The last generation to compute.
        origins: The lanes whose fit of generation 0 they take over; none where they make their own.
        keeps_states: Whether other lanes take over theirs.
        metrics: What is measured.
        keep: What is stored of each generation, see `Settings`.
        stage: Tasks start from what those of lower stages give.
        last: The last generation of the study.
    """

    cells: list[Cell]
    seeds: list[int]
    progress: int
    until: int
    origins: list[Lane]
    keeps_states: bool
    metrics: tuple[Metric, ...]
    keep: str
    stage: int
    last: int

    @property
    def lanes(self) -> list[Lane]:
        """Run and seed of each lane."""
        return [(cell.id, seed) for cell, seed in zip(self.cells, self.seeds, strict=True)]

    @property
    def generations(self) -> range:
        """The generations that are computed."""
        return range(self.progress + 1, self.until + 1)


class MetricTask(NamedTuple):
    """Metrics of stored generations of lanes of one cohort.

    Attributes:
        cells: The cell of each lane.
        seeds: Its seed.
        generations: Consecutive generations.
        metrics: What is measured of them.
        study_keys: The keys of all metrics of the study, whose values must have names of their own.
    """

    cells: list[Cell]
    seeds: list[int]
    generations: range
    metrics: tuple[Metric, ...]
    study_keys: tuple[str, ...]

    @property
    def lanes(self) -> list[Lane]:
        """Run and seed of each lane."""
        return [(cell.id, seed) for cell, seed in zip(self.cells, self.seeds, strict=True)]


def pending(
    study: Study,
    store: Store | None,
    layout: DeviceLayout,
    lanes: Collection[Lane] | None = None,
    workers: int = 1,
) -> list[Task]:
    """Batches of lanes that have generations to go, by stage.

    Where fits may take hours, runs of one seed that share generation 0 fit it once: one lane makes it, the others take it
    over, and only then do they go on together.

    Args:
        study: The study.
        store: What is stored of it.
        layout: The devices.
        lanes: The lanes that are computed here; None: all.
        workers: Number of batches that are computed at the same time.
    """
    done = store.resumable() if store else {}
    at = {(cell.id, seed): done.get((cell.id, seed), -1) for cell in study.cells for seed in study.seeds}
    if lanes is not None:
        at = {lane: t for lane, t in at.items() if lane in lanes}
    first = _anchored(study, store)
    makers: dict[Lane, Lane] = {}
    for cell in study.cells:
        for seed in study.seeds if cell.run.long_fits and cell.run.generation_zero_inputs else ():
            if at.get(lane := (cell.id, seed), 0) < 0:
                makers[lane] = first.setdefault((cell.run.generation_zero_inputs, seed), lane)
    own = {lane: at[lane] for lane, maker in makers.items() if maker == lane}
    shared = {lane: at[lane] for lane, maker in makers.items() if maker != lane}
    rest = {lane: max(t, 0) if lane in makers else t for lane, t in at.items()}
    return [
        *(task._replace(until=0, keeps_states=True) for task in _grouped(study, layout, own, 0, workers)),
        *(
            task._replace(origins=[makers[lane] for lane in task.lanes], stage=1)
            for task in _grouped(study, layout, shared, 0, workers)
        ),
        *(task._replace(stage=2) for task in _grouped(study, layout, rest, study.last, workers)),
    ]


def _anchored(study: Study, store: Store | None) -> dict[tuple[Any, int], Lane]:
    """Lanes whose fit of generation 0 is kept, by what it depends on."""
    runs = {cell.id: cell.run for cell in study.cells}
    anchors: dict[tuple[Any, int], Lane] = {}
    for segment in store.segments if store else ():
        if store and segment.state_is_kept and segment.last == 0 and store.has_state(segment):
            for run, seed in store.lanes[segment.lanes]:
                if run in runs:
                    anchors.setdefault((runs[run].generation_zero_inputs, seed), (run, seed))
    return anchors


def _grouped(study: Study, layout: DeviceLayout, at: dict[Lane, int], until: int, workers: int) -> Iterator[Task]:
    """Lanes that share programs and stand at the same generation, as many together as fit into memory.

    Where several workers compute them, each gets about `BATCHES` equal batches.
    """
    groups: dict[Any, tuple[list[Cell], list[int]]] = {}
    for cell in study.cells:
        cohort = cohort_of(cell.run)
        for seed in study.seeds:
            t = at.get((cell.id, seed), until)
            if t < until:
                cells, seeds = groups.setdefault((cohort, t), ([], []))
                cells.append(cell)
                seeds.append(seed)
    total = sum(len(seeds) for _, seeds in groups.values())
    for (_, t), (cells, seeds) in groups.items():
        most = max(len(layout.devices), resources.together(cells[0].run, study.last))
        if workers > 1:
            most = min(most, -(-total // (BATCHES * workers)))
        for i in range(0, len(cells), most):
            rows = slice(i, i + most)
            # The generator of a model outside JAX is its samples: they are stored once.
            keep = "samples" if cells[0].run.fits_on_host and study.settings.keep == "all" else study.settings.keep
            yield Task(cells[rows], seeds[rows], t, until, [], False, study.metrics, keep, 0, study.last)


def lacking(study: Study, store: Store) -> list[MetricTask]:
    """Stored generations whose values of some metrics of the study are missing, with these metrics."""
    cells = {cell.id: cell for cell in study.cells}
    lanes = {(cell.id, seed) for cell in study.cells for seed in study.seeds}
    keys = tuple(metric_key(metric) for metric in study.metrics)
    measured = _measured(store)
    result = []
    for segment in store.segments:
        if segment.keep == fmt.VALUES:
            continue
        chosen = [lane for lane in store.lanes[segment.lanes] if lane in lanes]
        generations = range(segment.first, min(segment.last, study.last) + 1)
        for batches, group in itertools.groupby(
            generations, key=lambda t: [measured.get((t, key), set()) for key in keys]
        ):
            if all(segment.lanes in names for names in batches):
                continue
            ts = list(group)
            covered = [{lane for name in names for lane in store.lanes[name]} for names in batches]
            groups: dict[tuple[bool, ...], list[Lane]] = {}
            for lane in chosen:
                groups.setdefault(tuple(lane not in measured_lanes for measured_lanes in covered), []).append(lane)
            for missing, members in groups.items():
                metrics = tuple(metric for metric, lacks in zip(study.metrics, missing, strict=True) if lacks)
                if metrics:
                    runs, seeds = [cells[run] for run, _ in members], [seed for _, seed in members]
                    result.append(MetricTask(runs, seeds, range(ts[0], ts[-1] + 1), metrics, keys))
    return result


def _measured(store: Store) -> dict[tuple[int, str], set[str]]:
    """Batches of lanes that have values of a metric in a generation. They overlap: fewer lanes may have got it before."""
    batches: dict[tuple[int, str], set[str]] = {}
    for segment in store.segments:
        for t in range(segment.first, segment.last + 1):
            for metric in segment.metrics:
                batches.setdefault((t, metric), set()).add(segment.lanes)
    return batches
