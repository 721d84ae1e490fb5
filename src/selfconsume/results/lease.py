"""The right to write to a directory: a lock among processes of one host, and a lease among hosts.

Network file systems do not lock reliably. The lease is a file that names its owner, whose modification time the owner renews;
others watch whether it changes. No clock is read, as those of two hosts may differ. An owner that was suspended for longer than
a lease lasts notices at its next commit that another process has taken over.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from selfconsume.errors import ConfigError
from selfconsume.files.regular import read_bytes
from selfconsume.results.disk import writing
from selfconsume.results.format import LEASE, LOCK

HEARTBEAT = 5.0
"""Seconds between two renewals."""
EXPIRY = 30.0
"""Seconds without a renewal after which an owner on another host is taken for dead."""
POLL = 0.5
MAX_BYTES = 10_000


class Lease:
    """The right to write to a directory, held until `release`.

    Args:
        folder: The directory.

    Raises:
        ConfigError: Another process has it, or the folder cannot be written. Takes up to `EXPIRY` seconds where a process on
            another host had it and did not give it back.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LEASE
        self._token = secrets.token_hex(8)
        self._stop = threading.Event()
        self._lock = FileLock(folder / LOCK)
        is_locked = True
        with writing(folder / LOCK):
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise ConfigError(
                    f"{folder}: another process is writing to it; wait for it or give another directory"
                ) from None
            except RuntimeError:  # The file system has no locks.
                is_locked = False
        try:
            _wait_for_others(folder, self._path, is_locked)
            self._take()
        except BaseException:
            self._lock.release()
            raise
        self._thread = threading.Thread(target=self._renew, daemon=True, name="lease")
        self._thread.start()

    def check(self) -> None:
        """Refuses to go on where another process has taken over.

        Raises:
            ConfigError: It has.
        """
        owner = _owner(self._path)
        if owner.get("token") != self._token:
            raise ConfigError(
                f"{self._path.parent}: {_named(owner)} has taken over, as this process did not answer for {EXPIRY:.0f} s; "
                "what is committed is kept"
            )

    def release(self) -> None:
        """Gives the right back."""
        self._stop.set()
        with contextlib.suppress(OSError):
            if _owner(self._path).get("token") == self._token:
                self._path.unlink(missing_ok=True)
        self._lock.release()

    def _take(self) -> None:
        for left in self._path.parent.glob(f"{LEASE}.*"):
            if is_temporary(left.name):  # Of a process that was killed before it had the lease.
                left.unlink(missing_ok=True)
        content = {"token": self._token, "host": socket.gethostname(), "process": os.getpid()}
        temporary = self._path.with_name(f"{LEASE}.{self._token}")
        with writing(self._path):
            temporary.write_text(json.dumps(content) + "\n")
            os.replace(temporary, self._path)

    def _renew(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            # Where it cannot be renewed, the next commit says why.
            with contextlib.suppress(OSError):
                os.utime(self._path)


def is_temporary(name: str) -> bool:
    """Whether a file is a lease that a process was writing."""
    return re.fullmatch(re.escape(LEASE) + r"\.[0-9a-f]{16}", name) is not None


def _wait_for_others(folder: Path, path: Path, is_locked: bool) -> None:
    """Returns when no other process holds the lease.

    Raises:
        ConfigError: One does: it has renewed the lease meanwhile.
    """
    owner = _owner(path)
    if not owner:
        return
    if owner.get("host") == socket.gethostname() and (is_locked or not _is_running(owner.get("process"))):
        return  # A process of this host that was killed.
    renewal, since = _modified(path), time.monotonic()
    while time.monotonic() - since < EXPIRY:
        time.sleep(POLL)
        if (latest := _modified(path)) is None:
            return
        if latest != renewal:
            raise ConfigError(f"{folder}: {_named(owner)} is writing to it; wait for it or give another directory")


def _owner(path: Path) -> dict[str, Any]:
    """What a lease says of its owner; empty where there is no lease, or a damaged one."""
    try:
        owner = json.loads(read_bytes(path, MAX_BYTES))
        return owner if isinstance(owner, dict) else {}
    except (OSError, ValueError, RecursionError):
        return {}


def _named(owner: dict[str, Any]) -> str:
    host, process = str(owner.get("host", "?"))[:60], str(owner.get("process", "?"))[:20]
    return f"process {process} on {host!r}"


def _modified(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _is_running(process: Any) -> bool:
    if not isinstance(process, int) or process <= 0:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
