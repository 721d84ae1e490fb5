"""Weights & Biases (extra `wandb`): a group for each cell, a run for each seed; offline unless `WANDB_MODE` says otherwise."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from selfconsume.trackers.tracker import LaneRecord, Tracker, library

PROJECT = "selfconsume"


class WeightsAndBiases(Tracker):
    """Logs to a folder; ``wandb sync`` uploads it. With ``WANDB_MODE=online`` in the environment, logs over the network.

    A lane that is continued keeps the identity of its run. One run is open for each lane until the study ends.

    Args:
        folder: Where to write.
        place: The project; "" for `PROJECT`.
    """

    def __init__(self, folder: Path, place: str = "") -> None:
        self._wandb = library("wandb", "wandb")
        self._folder, self._project = folder, place or PROJECT
        self._runs: dict[str, Any] = {}

    def on_record(self, record: LaneRecord) -> None:
        if record.lane not in self._runs:
            self._runs[record.lane] = self._start(record)
        # W&B's own steps only grow: metrics that are added later to early generations would be dropped.
        self._runs[record.lane].log({"generation": record.generation, **record.values})

    def close(self) -> None:
        for run in self._runs.values():
            run.finish()

    def _start(self, record: LaneRecord) -> Any:
        self._folder.mkdir(parents=True, exist_ok=True)
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        run = self._wandb.init(
            project=self._project,
            dir=str(self._folder),
            id=record.lane,
            group=record.name,
            name=f"{record.name}, seed {record.seed}",
            config={"seed": record.seed, "run": record.cell, "directory": record.directory, **record.labels},
            mode=mode,
            resume="allow" if mode == "online" else None,
            reinit="create_new",
            settings=self._wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True),
        )
        run.define_metric("generation")
        run.define_metric("*", step_metric="generation")
        return run
