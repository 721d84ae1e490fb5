"""A budget of wall-clock time: a study stops at the end of a generation, in time, and is continued by the same command."""

from __future__ import annotations

import re
import time

from selfconsume.errors import ConfigError

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_TEXT = re.compile(
    r"(?:(\d{1,6}(?:\.\d{1,6})?)d)?(?:(\d{1,6}(?:\.\d{1,6})?)h)?(?:(\d{1,6}(?:\.\d{1,6})?)m)?(?:(\d{1,6}(?:\.\d{1,6})?)s)?"
)


class Budget:
    """Wall-clock time that may be spent, from now on.

    Args:
        seconds: The time; None: no limit.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    def covers(self, seconds: float = 0.0) -> bool:
        """Whether this many seconds are left."""
        return self._end is None or time.monotonic() + seconds <= self._end


def parse(text: str) -> float:
    """Seconds of a duration such as ``2h``, ``1h30m``, ``90m``, ``1.5d`` or ``45s``.

    Raises:
        ConfigError: It is none.
    """
    match = _TEXT.fullmatch(text.strip())
    if not match or not any(match.groups()):
        raise ConfigError(f"--budget {text[:40]}: expected a duration such as 2h, 1h30m, 90m or 45s")
    seconds = sum(float(number) * unit for number, unit in zip(match.groups(), _UNITS.values(), strict=True) if number)
    if not seconds:
        raise ConfigError(f"--budget {text[:40]}: expected more than no time")
    return seconds


def duration(seconds: float) -> str:
    """A duration in words of two units at most: ``1 h 20 min``, ``3 d 4 h``, ``8.1 s``."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s"
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    index = next(i for i, (_, size) in enumerate(units) if seconds >= size)
    (large, size), (small, small_size) = units[index], units[index + 1]
    rounded = round(seconds / small_size)
    quotient, rest = divmod(rounded, size // small_size)
    return f"{quotient} {large} {rest} {small}" if rest else f"{quotient} {large}"
