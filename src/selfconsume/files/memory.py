"""The memory of this machine, and the refusal of what cannot fit into it before it is allocated."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from selfconsume.errors import ConfigError

CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@functools.cache
def machine_memory() -> int:
    """Bytes of memory that this process may use: those of the machine, or of the container where that has fewer."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in CONTAINER_LIMITS:
        try:
            sizes.append(int(Path(file).read_text()))
        except (OSError, ValueError):
            continue
    return min(sizes)


def check_fits(needed: int, content: str, remedy: str) -> None:
    """Refuses an array that this machine has no memory for.

    Args:
        needed: Its bytes.
        content: What takes them, with the field in front: ``source: 10 examples of shape (3,)``.
        remedy: What to do.

    Raises:
        ConfigError: It does not fit.
    """
    if needed > machine_memory():
        raise ConfigError(
            f"{content} take {_bytes(needed)} of memory, this machine has {_bytes(machine_memory())}; {remedy}"
        )


def _bytes(number: int) -> str:
    """A number of bytes with a unit, of bounded length."""
    value, units = number, ["bytes", "kB", "MB", "GB", "TB", "PB"]
    while value >= 10_000 and len(units) > 1:
        value //= 1000
        units.pop(0)
    return f"{value} {units[0]}" if value < 10_000_000 else f"over 10000000 {units[0]}"
