"""Schedules of ratios and counts, shared by the regimes.

A schedule is a list by generation: its first entry applies to generation 1, its last entry from then on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated

from annotated_types import Ge

Ratio = Annotated[float, Ge(0)]
Count = Annotated[int, Ge(0)]


def value_at(schedule: float | tuple[float, ...], t: int) -> float:
    """The value of a schedule in generation ``t >= 1``; a number is constant."""
    return schedule[min(t, len(schedule)) - 1] if isinstance(schedule, Sequence) else schedule


def maximum(schedule: float | tuple[float, ...]) -> float:
    """The largest value of a schedule."""
    return max(schedule) if isinstance(schedule, Sequence) else schedule


def floor_count(ratio: float, n: int) -> int:
    """``floor(ratio * n)`` of the ratio as a decimal: 0.29 of 100 is 29, although 0.29 * 100 < 29 in floating point."""
    return math.floor(Fraction(repr(float(ratio))) * n)
