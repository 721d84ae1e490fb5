"""Regular files: opened without waiting for a pipe, and never a device that has no end."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


def open_regular(path: str | Path) -> BufferedReader:
    """A regular file, opened for reading.

    Opening a named pipe could wait forever, and a device may have no end. The check is on the opened file, so that it cannot
    be exchanged in between.

    Raises:
        OSError: It cannot be opened, or is a folder, a pipe, a socket or a device.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(descriptor)
        mode = status.st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if not status.st_size and hasattr(os, "pread"):
            os.pread(descriptor, 1, 0)  # What the kernel shows as a file, but has to be waited for, refuses this.
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(path: str | Path, most: int | None = None) -> bytes:
    """The content of a regular file.

    Args:
        path: The file.
        most: Most bytes.

    Raises:
        OSError: It cannot be opened or read, is no regular file, or has more bytes.
    """
    with open_regular(path) as file:
        # No more is asked for than there is: a buffer of that size would be allocated.
        content = file.read() if most is None else file.read(min(most, os.fstat(file.fileno()).st_size) + 1)
    if most is not None and len(content) > most:
        raise OSError(errno.EFBIG, f"has more than {most} bytes", str(path))
    return content
