"""Input and output of an engine: the arrays that a task starts from, and its results. Arrays and plain data only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

Arrays = Mapping[str, np.ndarray]
"""Arrays by name, one row a lane."""


class StoredGeneration(NamedTuple):
    """One stored generation of some lanes.

    Attributes:
        t: The generation.
        alive: Which lanes have not diverged, ``(lanes,)``.
        samples: Samples, ``(lanes, n, *shape)``; rows of lanes whose samples were not kept are zero. Empty: of no lane.
        valid: Which of them are valid, likewise.
        generator: The generators' arrays; rows of lanes whose generators were not kept are zero. None: not asked for.
        redrawn: Lanes whose samples were not kept and are drawn again from `generator`, ``(lanes,)``.
        some_lack_generators: Whether the generator of some lane was not kept.
    """

    t: int
    alive: np.ndarray
    samples: np.ndarray
    valid: np.ndarray
    generator: Arrays | None
    redrawn: np.ndarray
    some_lack_generators: bool


class Start(NamedTuple):
    """What a task starts from.

    Attributes:
        generations: Stored generations, oldest first: as far as regimes look back, or those that are measured.
        fit: The whole fit of the last of them.
        first: The whole fit of generation 0, where runs start from it.
        origin: The fit of generation 0 that is taken over from other lanes.
        partial: A generation, and its fit as it was checkpointed.
        names: Names of values by metric that are stored already, for metrics added later.
    """

    generations: Iterable[StoredGeneration] = ()
    fit: Arrays | None = None
    first: Arrays | None = None
    origin: Arrays | None = None
    partial: tuple[int, Arrays] | None = None
    names: Mapping[str, Iterable[str]] = {}


class Record(NamedTuple):
    """A computed generation of a task's lanes.

    Attributes:
        t: The generation.
        tensors: What is stored of it, by the names of `results.format`.
        values: Names of its values by metric.
        fewest: By metric and run the fewest samples that a value compares, where not all were valid.
        seconds: Wall-clock seconds by part.
        layout: Devices that it was computed on.
        host: The machine that computed it.
        fit: The whole fit, from which the next generation can start; None for metrics added later.
    """

    t: int
    tensors: Arrays
    values: Mapping[str, list[str]]
    fewest: Mapping[str, Mapping[str, int]]
    seconds: Mapping[str, float]
    layout: Mapping[str, object]
    host: str
    fit: Arrays | None = None


class Checkpoint(NamedTuple):
    """The fit of generation ``t`` in progress, to be continued from should the process end."""

    t: int
    fit: Arrays


class Advance(NamedTuple):
    """How far a task is: generations done, a share of one included, and the current loss (median over lanes)."""

    done: float
    loss: float


Message = Record | Checkpoint | Advance
