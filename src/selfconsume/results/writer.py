"""The one process that writes a directory of results, and the processes of other hosts that follow it."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors.numpy import save

from selfconsume.errors import ConfigError
from selfconsume.files.regular import read_bytes
from selfconsume.results import disk, events, log
from selfconsume.results import format as fmt
from selfconsume.results.format import DATA, LEASE, LOCK, LOG, OPENING, Lane
from selfconsume.results.lease import Lease, is_temporary
from selfconsume.results.log import Entry
from selfconsume.results.store import Store


class Writer:
    """A directory of results, opened by the one process that may write to it.

    Use as a context manager; the directory is created if need be, and locked. `store` is what it holds.

    Args:
        path: The directory.
        repair: Whether a damaged log is cut before its first damaged line; a copy of it stays beside it.

    Raises:
        ConfigError: Another process is writing to it, it holds other files, or its log is damaged.
    """

    def __init__(self, path: str | Path, *, repair: bool = False) -> None:
        self.path = path = Path(path)
        if path.exists() and not path.is_dir():
            raise ConfigError(f"{path}: is a file; give a directory")
        if path.is_dir():
            with disk.writing(path / LOG):
                _check_ownership(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be created ({error.strerror})") from None
        self._lease = Lease(path)
        try:
            with disk.writing(path / LOG):
                self._open(repair)
        except BaseException:
            self._lease.release()
            raise
        self._states = [segment for segment in self.store.segments if self.store.has_state(segment)]

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: Any) -> None:
        self._log.close()
        self._lease.release()

    def _open(self, repair: bool) -> None:
        """Opens the log at its end, and removes what was not committed."""
        if _is_new(self.path):
            _create(self.path)
        if repair:
            log.cut_damage(self.path)
        (self.path / DATA).mkdir(exist_ok=True)
        self.store = Store(self.path)
        self._log = open(self.path / LOG, "r+b", buffering=0)  # noqa: SIM115 (held until close)
        self._log.truncate(self.store.size)
        self._log.seek(self.store.size)
        if not repair:  # Files of lines that were cut stay until they are computed again.
            self._remove_leftovers()

    def follow(self) -> None:
        """Nothing: the process that writes knows what is committed."""

    def commit(self, event: str, **fields: Any) -> None:
        """Appends one line to the log, and waits until it is on the disk.

        Raises:
            ConfigError: It cannot be written, or another process has taken over.
        """
        self._lease.check()
        number = self.store.number + 1
        line = fmt.line(number, self.store.checksum, event, fields)
        disk.append(self._log, self.path / LOG, line, self.store.size)
        replaced = self.store.numbered(fields["replaces"]) if fields.get("replaces") else None
        fields, checksum = events.parsed(line, number, self.store.checksum)
        self.store.apply(Entry(number, fields.pop("event"), fields, checksum, self.store.size + len(line)))
        if fields.get("state"):
            self._states.append(self.store.numbered(number))
        if replaced is not None:
            for file in (replaced.file, replaced.state):
                if file:
                    (self.path / DATA / file).unlink(missing_ok=True)
            self._states = [segment for segment in self._states if segment.number != replaced.number]

    def write(self, lanes: str, first: int, last: int, part: str, tensors: Mapping[str, np.ndarray]) -> tuple[str, str]:
        """Writes a file of tensors so that it is whole or absent; the next line of the log has to commit it.

        Returns:
            Its name and its checksum.
        """
        data = save({name: np.asarray(tensor, order="C") for name, tensor in tensors.items()})
        return self.copy(io.BytesIO(data), lanes, first, last, part)

    def copy(self, source: BinaryIO, lanes: str, first: int, last: int, part: str) -> tuple[str, str]:
        """Writes the content of a file of tensors, see `write`."""
        file = fmt.file_name(self.store.directory, self.store.number + 1, lanes, first, last, part)
        return file, disk.write_whole(self.path / DATA / file, source)

    def add_lanes(self, lanes: list[Lane]) -> str:
        """Gives a batch of lanes its identity, a function of the lanes alone, and commits it where it is new."""
        groups = fmt.grouped(lanes)
        name = fmt.lanes_id(groups)
        if name not in self.store.lanes:
            self.commit(fmt.LANES, id=name, lanes=groups)
        return name

    def forget_states(self, lanes: str) -> None:
        """Removes whole fits of lanes of a batch that its last committed generation has made superfluous."""
        last = max((segment.last for segment in self._states if segment.lanes == lanes), default=-1)
        for segment in self._states:
            if segment.last < last and not segment.state_is_kept and self._covers(lanes, segment.lanes):
                (self.path / DATA / segment.state).unlink(missing_ok=True)
        self._states = [segment for segment in self._states if self.store.has_state(segment)]
        named = {unfinished.file for unfinished in self.store.unfinished.values()}
        for file in (self.path / DATA).glob(f"{lanes}-*.{fmt.UNFINISHED}.safetensors"):
            if file.name not in named and fmt.is_file_of(self.store.directory, file.name):
                file.unlink(missing_ok=True)

    def _covers(self, lanes: str, subset: str) -> bool:
        """Whether all lanes of another batch are in this one."""
        return lanes == subset or set(self.store.lanes[lanes]) >= set(self.store.lanes[subset])

    def _remove_leftovers(self) -> None:
        """Removes files that a writer of this directory has written, but never committed. Others are left alone."""
        segments = self.store.segments
        named = {segment.file for segment in segments} | {segment.state for segment in segments}
        named |= {unfinished.file for unfinished in self.store.unfinished.values()}
        for file in (self.path / DATA).iterdir():
            if file.name not in named and fmt.is_file_of(self.store.directory, file.name) and file.is_file():
                file.unlink()


class Follower:
    """A directory of results on another host than the one that writes it: `store` is read again by `follow`."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.follow()

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def follow(self) -> None:
        """Reads again what is committed."""
        self.store = Store(self.path)


def _is_new(path: Path) -> bool:
    """Whether a log has to be begun: there is none, or a process was killed while it wrote its first line."""
    log = path / LOG
    if not log.exists():
        return True
    content = read_bytes(log)
    return b"\n" not in content and (content.startswith(OPENING) or OPENING.startswith(content))


def _check_ownership(path: Path) -> None:
    """Refuses a directory that holds anything before its log has begun."""
    if not _is_new(path):
        return
    names = {file.name for file in path.iterdir()} - {LOCK, LEASE, LOG, DATA}
    foreign = [name for name in names if not is_temporary(name)]
    data = path / DATA
    if foreign or (data.exists() and (not data.is_dir() or any(data.iterdir()))):
        raise ConfigError(f"{path}: holds other files; give a new directory")


def _create(path: Path) -> None:
    """Begins the log."""
    first = fmt.line(1, "", fmt.OPEN, {"format": fmt.FORMAT, "directory": secrets.token_hex(8)})
    with open(path / LOG, "wb") as handle:
        handle.write(first)
        handle.flush()
        os.fsync(handle.fileno())
    disk.sync(path)
