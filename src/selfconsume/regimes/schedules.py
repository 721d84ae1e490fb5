"""The regimes of the literature, each a weighting of the pool.

Ratios and counts may be schedules: a list by generation, whose first entry belongs to generation 1 and whose last entry
holds from then on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated

from annotated_types import Ge

Ratio = Annotated[float, Ge(0)]
Count = Annotated[int, Ge(0)]


def at(schedule: float | tuple[float, ...], t: int) -> float:
    """The entry of a schedule that holds in generation ``t >= 1``; a plain number holds always."""
    return schedule[min(t, len(schedule)) - 1] if isinstance(schedule, Sequence) else schedule


def highest(schedule: float | tuple[float, ...]) -> float:
    """The largest entry of a schedule."""
    return max(schedule) if isinstance(schedule, Sequence) else schedule


def part(ratio: float, n: int) -> int:
    """``floor(ratio * n)`` for the decimal that was written: 0.29 of 100 is 29, although 0.29 * 100 < 29 in floats."""
    return math.floor(Fraction(repr(float(ratio))) * n)
