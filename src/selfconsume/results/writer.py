"""The one process that writes a directory of results, and the others beside it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from safetensors.numpy import save

from selfconsume.errors import ConfigError
from selfconsume.results.store import DATA, LOG, Lane, Store


class Writer(Store):
    """A directory of results, opened by the one process that may write to it.

    Use as a context manager; the directory is created if need be, and locked.

    Raises:
        ConfigError: Another process is writing to it, or it holds other files.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        if path.exists() and not path.is_dir():
            raise ConfigError(f"{path}: is a file; give a directory")
        if path.is_dir() and any(path.iterdir()) and not (path / LOG).exists() and not (path / ".lock").exists():
            raise ConfigError(f"{path}: holds other files; give a new directory")
        try:
            (path / DATA).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be created ({error.strerror})") from None
        self._lock = FileLock(path / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(
                f"{path}: another process is writing to it; wait for it or give another directory"
            ) from None
        try:
            (path / LOG).touch()
            super().__init__(path)
        except BaseException:
            self._lock.release()
            raise
        self._log = open(path / LOG, "r+b")  # noqa: SIM115 (held until close)
        self._log.truncate(self._size)
        self._log.seek(self._size)
        states = {s.state for s in self.segments if s.state}
        named = {s.file for s in self.segments} | {u.file for u in self.unfinished.values()} | states
        for left in (path / DATA).iterdir():
            if left.name not in named:
                left.unlink()  # written, but never committed
        # Segments whose whole fit is on the disk.
        self._whole = [s for s in self.segments if s.state and (path / DATA / s.state).exists()]

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
        if kind == "segment" and self.segments[-1].state:
            self._whole.append(self.segments[-1])

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

    def forget_states(self, lanes: str) -> None:
        """Removes whole fits of lanes of a batch that its last committed generation has made superfluous."""
        last = max((s.last for s in self._whole if s.lanes == lanes), default=-1)
        for segment in self._whole:
            if segment.last < last and not segment.state_is_kept and self._covers(lanes, segment.lanes):
                (self.path / DATA / segment.state).unlink(missing_ok=True)
        self._whole = [segment for segment in self._whole if (self.path / DATA / segment.state).exists()]
        named = {each.file for each in self.unfinished.values()}
        for left in (self.path / DATA).glob(f"{lanes}-*.unfinished.safetensors"):
            if left.name not in named:
                left.unlink(missing_ok=True)

    def _covers(self, lanes: str, others: str) -> bool:
        """Whether all lanes of another batch are in this one."""
        return lanes == others or set(self.lanes[lanes]) >= set(self.lanes[others])


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

    def forget_states(self, lanes: str) -> None:
        pass


def _identified(lanes: list[Lane]) -> tuple[str, list[tuple[str, list[int]]]]:
    """The identity of a batch of lanes, and the lanes grouped by run."""
    grouped: list[tuple[str, list[int]]] = []
    for run, seed in lanes:
        if not grouped or grouped[-1][0] != run:
            grouped.append((run, []))
        grouped[-1][1].append(int(seed))
    return hashlib.sha256(json.dumps(grouped).encode()).hexdigest()[:16], grouped
