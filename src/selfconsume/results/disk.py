"""Writing to a disk that may be full, read-only or gone: whole or not at all, and one line that names the file."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from selfconsume.errors import ConfigError

COPY_BYTES = 2**24
"""Bytes that are written at a time."""
REMEDIES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room in your quota",
    errno.EFBIG: "raise the limit on the size of files",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
    errno.ENOENT: "its folder has vanished: bring it back",
    errno.ESTALE: "its folder has vanished: bring it back",
}


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an error of the operating system into one line.

    Raises:
        ConfigError: A file cannot be written.
    """
    try:
        yield
    except OSError as error:
        remedy = REMEDIES.get(error.errno or 0, "repair the disk")
        raise ConfigError(
            f"{error.filename or path}: cannot be written ({error.strerror or error}); {remedy}, and run the same command "
            "again: what is committed is kept"
        ) from None


def append(log: FileIO, path: Path, line: bytes, end: int) -> None:
    """Appends a line to the log, and waits until it is on the disk. A line that does not fit is taken back.

    Args:
        log: The log, opened without a buffer: nothing is written later, when it is closed.
        path: Its path, for messages.
        line: The line.
        end: Bytes of the log before it.

    Raises:
        ConfigError: It cannot be written, or the log was removed since it was opened.
    """
    with writing(path):
        if not os.fstat(log.fileno()).st_nlink:
            raise FileNotFoundError(errno.ENOENT, "it was removed", str(path))
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[log.write(rest) :]
            os.fsync(log.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                log.truncate(end)
                log.seek(end)
            raise


def write_whole(target: Path, source: BinaryIO) -> str:
    """Writes a file under a temporary name, and renames it when it is on the disk.

    Returns:
        Its checksum (sha256).

    Raises:
        ConfigError: It cannot be written; what was written of it is removed.
    """
    temporary, checksum = target.with_suffix(".tmp"), hashlib.sha256()
    with writing(target):
        try:
            with open(temporary, "wb") as handle:
                while block := source.read(COPY_BYTES):
                    checksum.update(block)
                    handle.write(block)
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, target)
            sync(target.parent)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    return checksum.hexdigest()


def sync(folder: Path) -> None:
    """Waits until names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
