"""What a batch of lanes yields as it goes: finished generations, unfinished fits, and the time they took."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np

from selfconsume.types import FitState

Values = dict[str, np.ndarray]
"""Metric values by name, one entry a lane."""


class Record(NamedTuple):
    """One generation of every lane of a batch, on the host."""

    t: int
    alive: np.ndarray
    samples: np.ndarray
    valid: np.ndarray
    fit: FitState
    values: dict[str, Values]
    """By `metric_key`: the position in the study does not matter."""
    seconds: dict[str, float]
    compared: Mapping[str, np.ndarray] = MappingProxyType({})
    """By metric as `values`: how many samples a value compares, one entry a lane."""


class Partial(NamedTuple):
    """A fit in progress, between two advances."""

    t: int
    fit: FitState


class Clock:
    """Wall-clock seconds by part of a generation."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str, result: Any = None) -> None:
        """The time since the last lap, once `result` is there."""
        jax.block_until_ready(result)
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self._last = now


class Losses:
    """The loss while a fit runs, from what a fit knows: its number of updates and its mean loss so far."""

    def __init__(self) -> None:
        self._last: tuple[int, int, np.ndarray | float] = (-1, 0, 0.0)

    def since_last(self, t: int, updates: int, mean: np.ndarray) -> float:
        """The mean loss since the last call of generation ``t``; the median over lanes."""
        before, old = self._last[1:] if self._last[0] == t else (0, 0.0)
        self._last = (t, int(updates), mean)
        return float(np.median((updates * np.float64(mean) - before * np.float64(old)) / (updates - before)))
