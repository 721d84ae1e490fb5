"""What is on disk: an append-only log and files of tensors, per batch of lanes and stretch of generations, never per run.

The log is the only commit point. Arrays are written under a temporary name, synced, renamed, and named in the log with
their checksum; whatever the log does not name does not exist. A process that is killed at any moment therefore loses only
what came after its last log line.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from selfconsume.errors import ConfigError

LOG = "log.jsonl"
DATA = "data"

Lane = tuple[str, int]
"""A run's identity and a seed."""


@dataclasses.dataclass(frozen=True)
class Segment:
    """Some generations of a batch of lanes, as one line of the log commits them.

    Attributes:
        lanes: Identity of the batch.
        first: First generation in `file`.
        last: Last generation in `file`.
        file: Samples, generators and metric values, named ``t/...``.
        sha256: Its checksum.
        metrics: Value names in the file, by metric.
        kept: "all", "samples", "generators", or "values" for metrics that were added later.
        layout: Devices that the numbers were computed on.
        seconds: Wall-clock seconds by part.
        state: File of the last generation's whole fit, from which the next one starts; "" where there is none.
        state_sha256: Its checksum.
        state_is_kept: Whether that fit is needed as long as the directory is: later generations, or other runs, start from it.
        fewest: By metric and run: the fewest samples that a value compares, where that is fewer than all that were drawn.
        study: Which of `Store.studies` was the latest when this was committed.
    """

    lanes: str
    first: int
    last: int
    file: str
    sha256: str
    metrics: dict[str, list[str]]
    kept: str
    layout: dict[str, Any]
    seconds: dict[str, float]
    state: str = ""
    state_sha256: str = ""
    state_is_kept: bool = False
    fewest: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    study: int = -1


@dataclasses.dataclass(frozen=True)
class Unfinished:
    """A fit in progress of a batch of lanes."""

    lanes: str
    generation: int
    file: str
    sha256: str


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
        self._verified: set[str] = set()
        if not (self.path / LOG).is_file():
            raise ConfigError(f"{self.path}: not a directory of results (it has no {LOG}); give the --out of a `run`")
        self._size = 0
        for number, line in enumerate((self.path / LOG).read_bytes().splitlines(keepends=True), 1):
            if not line.endswith(b"\n"):
                break  # The process was killed while it wrote this line: it commits nothing.
            try:
                self._apply(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigError(
                    f"{self.path / LOG}:{number}: damaged line ({error}); restore it from a copy"
                ) from None
            self._size += len(line)

    @property
    def study(self) -> dict[str, Any]:
        """The latest study: its tables, cells, seeds, generations and metrics."""
        return self.studies[-1]

    def progress(self) -> dict[Lane, int]:
        """The last committed generation of every lane."""
        done: dict[Lane, int] = {}
        for segment in self.segments:
            if segment.kept != "values":
                for lane in self.lanes[segment.lanes]:
                    done[lane] = max(done.get(lane, -1), segment.last)
        return done

    def tensors(self, file: str, sha256: str) -> contextlib.AbstractContextManager[Any]:
        """An open safetensors file whose checksum has been verified.

        Raises:
            ConfigError: It is missing or not what the log says.
        """
        path = self.path / DATA / file
        if file not in self._verified:
            try:
                with open(path, "rb") as handle:
                    found = hashlib.file_digest(handle, "sha256").hexdigest()
            except OSError as error:
                raise ConfigError(f"{path}: cannot be read ({error.strerror}); restore it from a copy") from None
            if found != sha256:
                raise ConfigError(f"{path}: its checksum is not the one in the log; restore it from a copy")
            self._verified.add(file)
        return safe_open(path, "numpy")

    def values(self, generations: Collection[int] | None = None) -> Iterator[tuple[Segment, int, str, str, np.ndarray]]:
        """Every stored metric value of all or the given generations: segment, generation, metric, name, one entry a lane."""
        for segment in self.segments:
            with self.tensors(segment.file, segment.sha256) as tensors:
                there = set(tensors.keys())
                for t in range(segment.first, segment.last + 1):
                    if generations is not None and t not in generations:
                        continue
                    for metric, names in segment.metrics.items():
                        for name in names:
                            if (key := f"{t}/value/{metric}/{name}") in there:
                                yield segment, t, metric, name, tensors.get_tensor(key)

    def compared(self, segment: Segment, t: int, metric: str) -> np.ndarray | None:
        """How many samples the values of a metric compare, one entry a lane; None where that was not kept."""
        with self.tensors(segment.file, segment.sha256) as tensors:
            key = f"{t}/compared/{metric}"
            return tensors.get_tensor(key) if key in set(tensors.keys()) else None

    def _apply(self, event: Mapping[str, Any]) -> None:
        event = dict(event)
        match event.pop("event"):
            case "study":
                self.studies.append(event)
            case "lanes":
                self.lanes[event["id"]] = [(run, seed) for run, seeds in event["lanes"] for seed in seeds]
            case "segment":
                segment = Segment(**event, study=len(self.studies) - 1)
                self.segments.append(segment)
                held = self.unfinished.get(segment.lanes)
                if held and held.generation <= segment.last:
                    del self.unfinished[segment.lanes]
            case "unfinished":
                self.unfinished[event["lanes"]] = Unfinished(**event)
