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
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from safetensors import safe_open
from safetensors.numpy import save

from selfconsume.types import Problem

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
        Problem: It is not a directory of results, or its log is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.studies: list[dict[str, Any]] = []
        self.lanes: dict[str, list[Lane]] = {}
        self.segments: list[Segment] = []
        self.unfinished: dict[str, Unfinished] = {}
        self._verified: set[str] = set()
        if not (self.path / LOG).is_file():
            raise Problem(f"{self.path}: not a directory of results (it has no {LOG}); give the --out of a `run`")
        self._size = 0
        for number, line in enumerate((self.path / LOG).read_bytes().splitlines(keepends=True), 1):
            if not line.endswith(b"\n"):
                break  # The process was killed while it wrote this line: it commits nothing.
            try:
                self._apply(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise Problem(f"{self.path / LOG}:{number}: damaged line ({error}); restore it from a copy") from None
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
            Problem: It is missing or not what the log says.
        """
        path = self.path / DATA / file
        if file not in self._verified:
            try:
                with open(path, "rb") as handle:
                    found = hashlib.file_digest(handle, "sha256").hexdigest()
            except OSError as error:
                raise Problem(f"{path}: cannot be read ({error.strerror}); restore it from a copy") from None
            if found != sha256:
                raise Problem(f"{path}: its checksum is not the one in the log; restore it from a copy")
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

    def _apply(self, event: Mapping[str, Any]) -> None:
        event = dict(event)
        match event.pop("event"):
            case "study":
                self.studies.append(event)
            case "lanes":
                self.lanes[event["id"]] = [(run, seed) for run, seeds in event["lanes"] for seed in seeds]
            case "segment":
                segment = Segment(**event)
                self.segments.append(segment)
                held = self.unfinished.get(segment.lanes)
                if held and held.generation <= segment.last:
                    del self.unfinished[segment.lanes]
            case "unfinished":
                self.unfinished[event["lanes"]] = Unfinished(**event)


class Writer(Store):
    """A directory of results, opened by the one process that may write to it.

    Use as a context manager; the directory is created if need be, and locked.

    Raises:
        Problem: Another process is writing to it, or it holds other files.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        if path.exists() and not path.is_dir():
            raise Problem(f"{path}: is a file; give a directory")
        if path.is_dir() and any(path.iterdir()) and not (path / LOG).exists() and not (path / ".lock").exists():
            raise Problem(f"{path}: holds other files; give a new directory")
        try:
            (path / DATA).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Problem(f"{path}: cannot be created ({error.strerror})") from None
        self._lock = FileLock(path / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise Problem(f"{path}: another process is writing to it; wait for it or give another directory") from None
        try:
            (path / LOG).touch()
            super().__init__(path)
        except BaseException:
            self._lock.release()
            raise
        self._log = open(path / LOG, "r+b")  # noqa: SIM115 (held until close)
        self._log.truncate(self._size)
        self._log.seek(self._size)
        named = {s.file for s in self.segments} | {u.file for u in self.unfinished.values()} | self._states()
        for left in (path / DATA).iterdir():
            if left.name not in named:
                left.unlink()  # written, but never committed

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: Any) -> None:
        self._log.close()
        self._lock.release()

    def follow(self) -> None:
        """Whoever writes knows what there is."""

    def commit(self, kind: str, **fields: Any) -> None:
        """Appends one line to the log, and waits until it is on the disk."""
        line = json.dumps({"event": kind, **fields}, separators=(",", ":")).encode() + b"\n"
        self._log.write(line)
        self._log.flush()
        os.fsync(self._log.fileno())
        self._apply(json.loads(line))

    def write(self, file: str, tensors: Mapping[str, np.ndarray]) -> str:
        """Writes a file of tensors so that it is whole or absent.

        Returns:
            Its checksum.
        """
        data = save({name: np.asarray(tensor, order="C") for name, tensor in tensors.items()})
        target = self.path / DATA / file
        temporary = target.with_suffix(".tmp")
        with open(temporary, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, target)
        folder = os.open(target.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        return hashlib.sha256(data).hexdigest()

    def add_lanes(self, lanes: list[Lane]) -> str:
        """Makes a batch of lanes known.

        Returns:
            Its identity: a function of the lanes alone.
        """
        name, grouped = _identified(lanes)
        if name not in self.lanes:
            self.commit("lanes", id=name, lanes=grouped)
        return name

    def forget_states(self, lanes: str, keep: tuple[int, ...]) -> None:
        """Removes whole fits of a batch that a later generation has made superfluous."""
        last = max((s.last for s in self.segments if s.lanes == lanes and s.state), default=-1)
        for segment in self.segments:
            if segment.lanes == lanes and segment.state and segment.last not in (last, *keep):
                (self.path / DATA / segment.state).unlink(missing_ok=True)
        named = {each.file for each in self.unfinished.values()}
        for left in (self.path / DATA).glob(f"{lanes}-*.unfinished.safetensors"):
            if left.name not in named:
                left.unlink(missing_ok=True)

    def _states(self) -> set[str]:
        return {segment.state for segment in self.segments if segment.state}


class Follower(Store):
    """A directory of results beside the one process that writes to it, on another host: it reads, and writes nothing."""

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def follow(self) -> None:
        """Reads again what is committed."""
        self.__init__(self.path)

    def commit(self, kind: str, **fields: Any) -> None:
        """Left to the writer, like all of the following."""

    def write(self, file: str, tensors: Mapping[str, np.ndarray]) -> str:
        return ""

    def add_lanes(self, lanes: list[Lane]) -> str:
        return _identified(lanes)[0]

    def forget_states(self, lanes: str, keep: tuple[int, ...]) -> None:
        pass


def _identified(lanes: list[Lane]) -> tuple[str, list[tuple[str, list[int]]]]:
    """The identity of a batch of lanes, and the lanes grouped by run."""
    grouped: list[tuple[str, list[int]]] = []
    for run, seed in lanes:
        if not grouped or grouped[-1][0] != run:
            grouped.append((run, []))
        grouped[-1][1].append(int(seed))
    return hashlib.sha256(json.dumps(grouped).encode()).hexdigest()[:16], grouped
