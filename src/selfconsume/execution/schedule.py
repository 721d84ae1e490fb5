"""What a study still lacks, as batches of lanes in the order in which they are run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

from selfconsume.execution import resources
from selfconsume.lanes.cohorts import cohort_of
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.metrics.metric_key import metric_key
from selfconsume.results.store import Lane, Store
from selfconsume.study.study import Cell, Study
from selfconsume.types import Metric


class Task(NamedTuple):
    """Lanes of one cohort that stand at the same generation.

    Attributes:
        cells: The cell of each lane.
        seeds: Its seed.
        after: The last generation that they have; -1 if none.
        until: The last generation that they are to get.
        origins: The lanes whose fit of generation 0 they take over; none where they make their own.
        keeps_states: Whether other lanes take over theirs.
    """

    cells: list[Cell]
    seeds: list[int]
    after: int
    until: int
    origins: list[Lane]
    keeps_states: bool

    @property
    def lanes(self) -> list[Lane]:
        return [(cell.id, seed) for cell, seed in zip(self.cells, self.seeds, strict=True)]


def pending(study: Study, store: Store | None, layout: DeviceLayout) -> list[Task]:
    """Batches of lanes that have generations to go.

    Where fits may take hours, runs of one seed that share generation 0 fit it once: one lane makes it, the others take it
    over, and only then do they go on together.
    """
    done = store.progress() if store else {}
    at = {(cell.id, seed): done.get((cell.id, seed), -1) for cell in study.cells for seed in study.seeds}
    first = _anchored(study, store)
    makes: dict[Lane, Lane] = {}
    for cell in study.cells:
        for seed in study.seeds if cell.run.long_fits and cell.run.generation_zero_inputs else ():
            if at[lane := (cell.id, seed)] < 0:
                makes[lane] = first.setdefault((cell.run.generation_zero_inputs, seed), lane)
    stages = [
        _grouped(
            study, layout, {lane: at[lane] for lane, maker in makes.items() if maker == lane}, 0, keeps_states=True
        ),
        _grouped(study, layout, {lane: at[lane] for lane, maker in makes.items() if maker != lane}, 0, makers=makes),
        _grouped(study, layout, {lane: max(t, 0) if lane in makes else t for lane, t in at.items()}, study.last),
    ]
    return [task for stage in stages for task in stage]


def _anchored(study: Study, store: Store | None) -> dict[tuple[Any, int], Lane]:
    """Lanes whose fit of generation 0 is kept, by what it depends on."""
    runs = {cell.id: cell.run for cell in study.cells}
    found: dict[tuple[Any, int], Lane] = {}
    for segment in store.segments if store else ():
        if segment.state_is_kept and segment.last == 0:
            for run, seed in store.lanes[segment.lanes]:
                if run in runs:
                    found.setdefault((runs[run].generation_zero_inputs, seed), (run, seed))
    return found


def _grouped(
    study: Study,
    layout: DeviceLayout,
    at: dict[Lane, int],
    until: int,
    *,
    makers: dict[Lane, Lane] | None = None,
    keeps_states: bool = False,
) -> Iterator[Task]:
    """Lanes that share programs and stand at the same generation, as many together as fit into memory."""
    groups: dict[Any, tuple[list[Cell], list[int]]] = {}
    for cell in study.cells:
        cohort = cohort_of(cell.run)
        for seed in study.seeds:
            t = at.get((cell.id, seed), until)
            if t < until:
                cells, seeds = groups.setdefault((cohort, t), ([], []))
                cells.append(cell)
                seeds.append(seed)
    for (_, t), (cells, seeds) in groups.items():
        most = max(len(layout.devices), resources.together(cells[0].run, study.last))
        for i in range(0, len(cells), most):
            task = Task(cells[i : i + most], seeds[i : i + most], t, until, [], keeps_states)
            yield task._replace(origins=[makers[lane] for lane in task.lanes]) if makers else task


def lacking(study: Study, store: Store) -> list[tuple[list[Cell], list[int], list[int], list[Metric]]]:
    """Stored generations whose values of some metrics of the study are missing, with these metrics."""
    cells = {cell.id: cell for cell in study.cells}
    wanted = {(cell.id, seed) for cell in study.cells for seed in study.seeds}
    # Which batches of lanes have a metric in a generation. Batches overlap: a study that named fewer lanes may have added it.
    have: dict[tuple[int, str], set[str]] = {}
    for segment in store.segments:
        for t in range(segment.first, segment.last + 1):
            for metric in segment.metrics:
                have.setdefault((t, metric), set()).add(segment.lanes)
    result = []
    for segment in store.segments:
        if segment.kept == "values":
            continue
        chosen = [lane for lane in store.lanes[segment.lanes] if lane in wanted]
        generations = range(segment.first, min(segment.last, study.last) + 1)
        for held, group in itertools.groupby(
            generations, key=lambda t: [have.get((t, metric_key(metric)), set()) for metric in study.metrics]
        ):
            if all(segment.lanes in batches for batches in held):
                continue
            ts = list(group)
            covered = [set().union(*(store.lanes[batch] for batch in batches)) for batches in held]
            groups: dict[tuple[bool, ...], list[Lane]] = {}
            for lane in chosen:
                groups.setdefault(tuple(lane not in lanes for lanes in covered), []).append(lane)
            for lacks, lanes in groups.items():
                metrics = [metric for metric, lack in zip(study.metrics, lacks, strict=True) if lack]
                if metrics:
                    result.append(([cells[run] for run, _ in lanes], [seed for _, seed in lanes], ts, metrics))
    return result
