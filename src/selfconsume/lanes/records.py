"""Results of a batch of lanes: generations, partial fits, durations and training losses."""

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
    """By `metric_key`."""
    seconds: dict[str, float]
    compared: Mapping[str, np.ndarray] = MappingProxyType({})
    """Numbers of samples that the values compare, by `metric_key`, one entry a lane."""
    errors: Mapping[str, Values] = MappingProxyType({})
    """Bootstrap standard errors of the values, by `metric_key`, where the run has resamples."""


class PartialFit(NamedTuple):
    """A fit in progress, between two chunks of updates."""

    t: int
    fit: FitState


class Clock:
    """Wall-clock seconds of each part of a generation."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str, result: Any = None) -> None:
        """Records the time since the last lap, after waiting for `result`."""
        jax.block_until_ready(result)
        stop = time.perf_counter()
        self.seconds[name] = stop - self._last
        self._last = stop


class Losses:
    """Recent training loss during a fit, from the fit's number of updates and its mean loss since the start."""

    def __init__(self) -> None:
        self._last: tuple[int, int, np.ndarray | float] = (-1, 0, 0.0)

    def since_last(self, t: int, updates: int, mean: np.ndarray) -> float:
        """The mean loss since the previous call of generation ``t``; the median over lanes."""
        previous_updates, previous_mean = self._last[1:] if self._last[0] == t else (0, 0.0)
        self._last = (t, int(updates), mean)
        total = updates * np.float64(mean) - previous_updates * np.float64(previous_mean)
        return float(np.median(total / (updates - previous_updates)))
