"""The pace of a study: lanes times generations that machines commit, from the times in the log."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from selfconsume.results import format as fmt
from selfconsume.results.format import Lane
from selfconsume.results.store import Segment, Store


class MachinePace(NamedTuple):
    """What one machine has committed since the study was last run into a directory.

    Attributes:
        host: The machine.
        generations: Lanes times generations.
        latest: When it last committed, in seconds since 1970.
    """

    host: str
    generations: int
    latest: float


class Pace(NamedTuple):
    """Progress of the study in a directory, in lanes times generations.

    Attributes:
        done: Stored.
        total: In the whole study, or in the share of it that the directory holds.
        per_second: Rate since the study was last run, start-up and compilation included; 0 if nothing was committed since.
        latest: When a generation was last committed, in seconds since 1970; 0 if unknown.
        machines: What machines have committed since the study was last run.
    """

    done: int
    total: int
    per_second: float
    latest: float
    machines: list[MachinePace]

    @property
    def seconds_left(self) -> float | None:
        """Time until all is done at this rate; None if unknown."""
        return (self.total - self.done) / self.per_second if self.per_second else None


def pace(store: Store) -> Pace:
    """Progress and rate of the latest study in a directory."""
    generations = store.study["generations"]
    lanes = set(study_lanes(store))
    progress = store.progress()
    done = sum(min(progress.get(lane, -1) + 1, generations) for lane in lanes)
    machines: dict[str, MachinePace] = {}
    committed = list(_since_start(store))
    for segment in committed:
        count = len(store.lanes[segment.lanes]) * (segment.last - segment.first + 1)
        old = machines.get(segment.host, MachinePace(segment.host, 0, 0.0))
        machines[segment.host] = MachinePace(segment.host, old.generations + count, max(old.latest, segment.time))
    seconds = max((segment.time for segment in committed), default=0.0) - started(store)
    rate = sum(machine.generations for machine in machines.values()) / seconds if committed and seconds > 0 else 0.0
    latest = max((segment.time for segment in store.segments), default=0.0)
    ordered = sorted(machines.values(), key=lambda machine: -machine.generations)
    return Pace(done, len(lanes) * generations, rate, latest, ordered)


def together(paces: Iterable[Pace]) -> Pace:
    """The pace of several directories that are written at the same time, such as the shares of a study."""
    parts = list(paces)
    machines = [machine for part in parts for machine in part.machines]
    return Pace(
        sum(part.done for part in parts),
        sum(part.total for part in parts),
        sum(part.per_second for part in parts if part.done < part.total),
        max((part.latest for part in parts), default=0.0),
        machines,
    )


def study_lanes(store: Store) -> Iterator[Lane]:
    """Run and seed pairs that the latest study asks of a directory: of its share, where it holds one."""
    study = store.study
    if "share" in study:
        return ((run, seed) for run, seeds in study["share"]["lanes"] for seed in seeds)
    return ((cell["id"], seed) for cell in study["cells"] for seed in fmt.seeds_of(study))


def started(store: Store) -> float:
    """When the latest study was last run, in seconds since 1970."""
    try:
        return datetime.datetime.strptime(store.study["time"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
    except (KeyError, ValueError):
        return 0.0


def _since_start(store: Store) -> Iterator[Segment]:
    """Segments with generations that were committed since the latest study was last run."""
    start = started(store)
    for segment in store.segments:
        is_current = segment.study == len(store.studies) - 1 and segment.time >= start > 0
        if is_current and not segment.origin and segment.keep != fmt.VALUES:
            yield segment
