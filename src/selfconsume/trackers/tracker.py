"""The interface of a tracker, and trackers by name."""

from __future__ import annotations

import abc
import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from selfconsume import registry
from selfconsume.errors import ConfigError

TRACKERS = {
    "wandb": "wandb:WeightsAndBiases",
    "mlflow": "mlflow:Mlflow",
    "tensorboard": "tensorboard:TensorBoard",
}
"""Name -> file and class."""


class LaneRecord(NamedTuple):
    """The values of one committed generation of one lane.

    Attributes:
        directory: Identity of the directory of results, the same for each of its records.
        cell: Identity of the run, seed aside.
        name: The cell in words, such as ``mix(ratio=0.5)``: what lanes are grouped by.
        labels: The cell's place on the study's axes.
        seed: The seed.
        generation: The generation.
        values: Name -> value; nan where the lane has diverged. Noise floors end in ``.floor``.
    """

    directory: str
    cell: str
    name: str
    labels: Mapping[str, Any]
    seed: int
    generation: int
    values: Mapping[str, float]

    @property
    def lane(self) -> str:
        """A name of directory, cell and seed, the same in every process."""
        return f"{self.directory}-{self.cell}-{self.seed}"


class Tracker(abc.ABC):
    """Takes what a study measures, lane by lane: a cell is a group, a seed a run of it, a generation a step.

    A subclass of one's own is passed to ``run(study, out, tracker=...)`` as it is.
    """

    @abc.abstractmethod
    def on_record(self, record: LaneRecord) -> None:
        """Takes a committed generation of a lane. The same one may come again with metrics that were added later."""

    def close(self) -> None:
        """Called once, after the last record."""


def make(tracker: str | Tracker, out: str | Path) -> Tracker:
    """A tracker by its name, ``NAME`` or ``NAME:PLACE``, for a directory of results.

    PLACE is a folder for "tensorboard", a tracking URI for "mlflow", a project for "wandb". By default everything is written to
    a folder beside the results, ``OUT-NAME``, and the network is not used.

    Raises:
        ConfigError: There is no such tracker, or its library is not installed.
    """
    if isinstance(tracker, Tracker):
        return tracker
    if not isinstance(tracker, str):
        raise ConfigError(f"tracker: expected a name or a Tracker, got {type(tracker).__name__}")
    name, _, place = tracker.partition(":")
    if name not in TRACKERS:
        raise ConfigError(f"tracker: unknown {name!r}; {registry.suggest(name, TRACKERS)}")
    module, cls = TRACKERS[name].split(":")
    folder = Path(f"{str(out).rstrip('/')}-{name}")
    return getattr(importlib.import_module(f"selfconsume.trackers.{module}"), cls)(folder, place)


def library(name: str, extra: str) -> Any:
    """An imported library of a tracker.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ConfigError(f"tracker: {extra!r} needs the library {name}; install selfconsume[{extra}]") from None


def plain(text: str) -> str:
    """A name that every tracker and file system takes."""
    return re.sub(r"[^\w.= -]+", "_", text).strip("_ ") or "run"
