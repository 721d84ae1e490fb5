"""What is on disk: an append-only log and files of tensors, per batch of lanes and stretch of generations, never per run.

The log is the only commit point. Arrays are written under a temporary name, synced, renamed, and named in the log with
their checksum; whatever the log does not name does not exist. A process that is killed at any moment therefore loses only
what came after its last log line.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import gc
import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from selfconsume.errors import ConfigError
from selfconsume.files.regular import open_regular
from selfconsume.results import events, log
from selfconsume.results import format as fmt
from selfconsume.results.format import DATA, Lane

REMEDY = "restore it from a copy, or compute it again with `run --repair`"


class Segment(NamedTuple):
    """Some generations of a batch of lanes, as one line of the log commits them.

    Attributes:
        lanes: Identity of the batch.
        first: First generation in `file`.
        last: Last generation in `file`.
        file: Samples, generators and metric values, named as `format` says.
        sha256: Its checksum.
        metrics: Value names in the file, by metric.
        keep: "all", "samples", "generators", or "values" for metrics that were added later.
        layout: Devices that the numbers were computed on.
        seconds: Wall-clock seconds by part.
        state: File of the last generation's whole fit, from which the next one starts; "" where there is none.
        state_sha256: Its checksum.
        state_is_kept: Whether that fit is needed as long as the directory is: later generations, or other runs, start from it.
        fewest: By metric and run: the fewest samples that a value compares, where that is fewer than all that were drawn.
        replaces: Line of the log that commits the same generations from files damaged since; 0 where there is none.
        time: When it was committed, in seconds since 1970; 0 if unknown.
        host: The machine that computed it; "" if unknown.
        origin: The directory that it was merged from, by id; "" if it was computed here.
        study: Which of `Store.studies` was the latest when this was committed, or when the replaced line was.
        number: The line of the log.
    """

    lanes: str
    first: int
    last: int
    file: str
    sha256: str
    metrics: dict[str, list[str]]
    keep: str
    layout: dict[str, Any]
    seconds: dict[str, float]
    state: str = ""
    state_sha256: str = ""
    state_is_kept: bool = False
    fewest: dict[str, dict[str, int]] = {}  # noqa: RUF012 (never changed)
    replaces: int = 0
    time: float = 0.0
    host: str = ""
    origin: str = ""
    study: int = -1
    number: int = 0


@dataclasses.dataclass(frozen=True)
class Unfinished:
    """A fit in progress of a batch of lanes; ``number`` is the line of the log."""

    lanes: str
    generation: int
    file: str
    sha256: str
    number: int = 0


class Store:
    """A directory of results, opened for reading.

    Args:
        path: The directory.

    Raises:
        ConfigError: It is not a directory of results, or its log is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.studies: list[dict[str, Any]] = []
        self.lanes: dict[str, list[Lane]] = {}
        self.segments: list[Segment] = []
        self.unfinished: dict[str, Unfinished] = {}
        self.merges: list[dict[str, Any]] = []
        self._verified: set[str] = set()
        self.directory = ""
        self.number, self.checksum, self.size = 0, "", 0
        with _without_collection():
            for entry in log.entries(self.path, events.parsed):
                self.apply(entry)

    @property
    def study(self) -> dict[str, Any]:
        """The latest study: its tables, cells, seeds, generations and metrics.

        Raises:
            ConfigError: No study was run yet.
        """
        if not self.studies:
            raise ConfigError(f"{self.path}: holds no study yet; run one with --out {self.path}")
        return self.studies[-1]

    def progress(self) -> dict[Lane, int]:
        """The last committed generation of every lane."""
        done: dict[Lane, int] = {}
        for segment in self.segments:
            if segment.keep != fmt.VALUES:
                for lane in self.lanes[segment.lanes]:
                    done[lane] = max(done.get(lane, -1), segment.last)
        return done

    def resumable(self) -> dict[Lane, int]:
        """The last generation of every lane whose whole fit is on the disk, -1 where none is: where it can be continued.

        It is the last committed generation, unless the end of the log was lost after the whole fit before it was removed.
        """
        done = self.progress()
        latest = dict.fromkeys(done, -1)
        for segment in reversed(self.segments):
            lanes = self.lanes[segment.lanes]
            if segment.state and any(segment.last > latest[lane] for lane in lanes) and self.has_state(segment):
                latest |= {lane: max(latest[lane], segment.last) for lane in lanes}
        return latest

    def numbered(self, number: int) -> Segment:
        """The segment that a line of the log commits."""
        return next(segment for segment in reversed(self.segments) if segment.number == number)

    def without(self, segments: Collection[Segment]) -> Store:
        """The same results without some segments."""
        store = copy.copy(self)
        numbers = {segment.number for segment in segments}
        store.segments = [segment for segment in self.segments if segment.number not in numbers]
        return store

    def has_state(self, segment: Segment) -> bool:
        """Whether the whole fit that ended a segment is on the disk: those that no run starts from are removed."""
        return bool(segment.state) and (self.path / DATA / segment.state).exists()

    def tensors(self, file: str, sha256: str) -> contextlib.AbstractContextManager[Any]:
        """An open safetensors file whose checksum has been verified.

        Raises:
            ConfigError: It is missing or not what the log says.
        """
        path = self.path / DATA / file
        if file not in self._verified:
            try:
                with open_regular(path) as handle:
                    checksum = hashlib.file_digest(handle, "sha256").hexdigest()
            except OSError as error:
                raise ConfigError(f"{path}: cannot be read ({error.strerror}); {REMEDY}") from None
            if checksum != sha256:
                raise ConfigError(f"{path}: its checksum is not the one in the log; {REMEDY}")
            self._verified.add(file)
        try:
            return safe_open(path, "numpy")
        except (SafetensorError, OSError) as error:
            raise ConfigError(f"{path}: cannot be read ({error}); {REMEDY}") from None

    def values(self, generations: Collection[int] | None = None) -> Iterator[tuple[Segment, int, str, str, np.ndarray]]:
        """Every stored metric value of all or the given generations: segment, generation, metric, name, one entry a lane."""
        for segment in self.segments:
            with self.tensors(segment.file, segment.sha256) as tensors:
                names_stored = set(tensors.keys())
                for t in range(segment.first, segment.last + 1):
                    if generations is not None and t not in generations:
                        continue
                    for metric, names in segment.metrics.items():
                        for name in names:
                            if (key := fmt.value(t, metric, name)) in names_stored:
                                yield segment, t, metric, name, tensors.get_tensor(key)

    def compared(self, segment: Segment, t: int, metric: str) -> np.ndarray | None:
        """How many samples the values of a metric compare, one entry a lane; None where that was not kept."""
        with self.tensors(segment.file, segment.sha256) as tensors:
            key = fmt.compared(t, metric)
            return tensors.get_tensor(key) if key in set(tensors.keys()) else None

    def error(self, segment: Segment, t: int, metric: str, name: str) -> np.ndarray | None:
        """Bootstrap standard errors of a value over examples, one entry a lane; None where there are none."""
        with self.tensors(segment.file, segment.sha256) as tensors:
            key = fmt.error(t, metric, name)
            return tensors.get_tensor(key) if key in set(tensors.keys()) else None

    def apply(self, entry: log.Entry) -> None:
        """Takes up a line of the log, whose fields `events.parsed` has checked. They become the store's.

        Raises:
            ConfigError: Its event is not known, or contradicts the lines before.
        """
        try:
            if entry.event == fmt.SEGMENT:  # Most lines of a log.
                self._take_segment(entry.number, entry.fields)
            else:
                self._take_up(entry.number, entry.event, entry.fields)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise log.damaged(self.path, entry.number, error) from None
        self.number, self.checksum, self.size = entry.number, entry.checksum, entry.end

    def _take_up(self, number: int, event: str, fields: dict[str, Any]) -> None:
        match event:
            case fmt.OPEN:
                self.directory = fields["directory"]
            case fmt.STUDY:
                self.studies.append(events.Fields(fields, functools.partial(log.damaged, self.path, number)))
            case fmt.LANES:
                if fields["id"] != fmt.lanes_id(fields["lanes"]):
                    raise ValueError("the lanes are not those that their id stands for")
                self.lanes[fields["id"]] = [(run, seed) for run, seeds in fields["lanes"] for seed in seeds]
            case fmt.UNFINISHED:
                partial = Unfinished(**fields, number=number)
                t = partial.generation
                self._check_name(partial.file, number, partial.lanes, t, t, fmt.UNFINISHED)
                self.unfinished[partial.lanes] = partial
            case fmt.MERGE:
                self.merges.append(fields)
            case _:
                raise ValueError(f"{event!r} is not an event")

    def _take_segment(self, number: int, fields: dict[str, Any]) -> None:
        fields["study"] = range(len(self.studies))[fields.get("study", -1)] if self.studies else -1
        fields["keep"], fields["number"] = fields.pop("kept"), number
        if self.segments:
            _share_equal(fields, self.segments[-1])
        segment = Segment(**fields)
        part = fmt.VALUES if segment.keep == fmt.VALUES else fmt.ARRAYS
        self._check_name(segment.file, number, segment.lanes, segment.first, segment.last, part)
        if segment.state:
            self._check_name(segment.state, number, segment.lanes, segment.first, segment.last, fmt.STATE)
        if segment.replaces:
            self._replace(segment)
        else:
            self.segments.append(segment)
        partial = self.unfinished.get(segment.lanes)
        if partial and partial.generation <= segment.last:
            del self.unfinished[segment.lanes]

    def _replace(self, segment: Segment) -> None:
        """Puts a segment in the place of the one that it replaces."""
        index = {old.number: i for i, old in enumerate(self.segments)}.get(segment.replaces, -1)
        old = self.segments[index] if index >= 0 else None
        if old is None or (old.lanes, old.first, old.last) != (segment.lanes, segment.first, segment.last):
            raise ValueError(f"line {segment.replaces} commits other generations")
        self.segments[index] = segment._replace(study=old.study)

    def _check_name(self, name: str, number: int, lanes: str, first: int, last: int, part: str) -> None:
        """Refuses a file that this line's writer has not named: no log leads out of the directory."""
        if lanes not in self.lanes:
            raise ValueError(f"lanes {lanes!r} are not in the lines before")
        if name != fmt.file_name(self.directory, number, lanes, first, last, part):
            raise ValueError(f"{name!r} is not a file of this line")


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Pauses the search for cyclic garbage, which goes through all lines of a long log again and again."""
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_enabled:
            gc.enable()


def _share_equal(fields: dict[str, Any], previous: Segment) -> None:
    """Puts tables of the segment before in the place of equal ones: copies in a million lines would fill the memory."""
    for name in ("layout", "metrics", "fewest"):
        value = getattr(previous, name)
        if fields.get(name) is not value and fields.get(name) == value:
            fields[name] = value
