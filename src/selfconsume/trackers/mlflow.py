"""MLflow (extra `mlflow`): an experiment for each study's directory, a run for each lane."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from selfconsume.trackers.tracker import LaneRecord, Tracker, library, plain

MOST = 1000
"""Metrics that MLflow takes at once."""


class Mlflow(Tracker):
    """Logs to a tracking store, by default a folder; a lane that is continued keeps its run.

    Args:
        folder: Where to write unless a place is given.
        place: A tracking URI, such as ``http://host:5000``, or "".
    """

    def __init__(self, folder: Path, place: str = "") -> None:
        self._mlflow = library("mlflow", "mlflow")
        self._client = self._mlflow.MlflowClient(tracking_uri=place or _local(folder))
        self._runs: dict[str, str] = {}
        self._experiments: dict[str, str] = {}

    def on_record(self, record: LaneRecord) -> None:
        run = self._runs.get(record.lane) or self._runs.setdefault(record.lane, self._run(record))
        moment = int(time.time() * 1000)
        metric = self._mlflow.entities.Metric
        metrics = [metric(plain(name), value, moment, record.generation) for name, value in record.values.items()]
        for start in range(0, len(metrics), MOST):
            self._client.log_batch(run, metrics[start : start + MOST])

    def close(self) -> None:
        for run in self._runs.values():
            self._client.set_terminated(run)

    def _run(self, record: LaneRecord) -> str:
        """The run of a lane: found by its tag, or created."""
        experiment = self._experiment(f"selfconsume {record.directory}")
        query = f"tags.`selfconsume.lane` = '{record.lane}'"
        for run in self._client.search_runs([experiment], filter_string=query, max_results=1):
            return run.info.run_id
        tags = {
            "mlflow.runName": f"{record.name}, seed {record.seed}",
            "selfconsume.lane": record.lane,
            "selfconsume.cell": record.cell,
            "selfconsume.group": record.name,
        }
        run = self._client.create_run(experiment, tags=tags)
        parameters: dict[str, Any] = {"seed": record.seed, **record.labels}
        for name, value in parameters.items():
            self._client.log_param(run.info.run_id, plain(name), value)
        return run.info.run_id

    def _experiment(self, name: str) -> str:
        if name not in self._experiments:
            stored = self._client.get_experiment_by_name(name)
            self._experiments[name] = self._client.create_experiment(name) if stored is None else stored.experiment_id
        return self._experiments[name]


def _local(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    # MLflow 3 asks for databases, which its slim package cannot write; a folder is what was asked for here.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    return folder.resolve().as_uri()
