"""Provenance of measured values: what each was computed from, noted when it is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from selfconsume.extractors.representation import extractor_for
from selfconsume.lanes.measurement import real_sizes
from selfconsume.loop.generation import compared_counts
from selfconsume.loop.run import Run
from selfconsume.metrics.metric_key import metric_key
from selfconsume.models.training.training_settings import TrainingSettings
from selfconsume.study import validation
from selfconsume.study.cells import Cell
from selfconsume.types import Metric, Representation, Source


def of_cells(cells: Sequence[Cell], metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """Provenance of the values of each cell, as the log stores it.

    Number of samples, number of real examples by split, and by metric what differs from these, with the extractor's
    checksum and accuracy.
    """
    described: dict[tuple[Any, ...], dict[str, Any]] = {}
    keys = [(cell.run.source, cell.run.sample_size, cell.run.representation) for cell in cells]
    for source, n, representation in keys:
        if (source, n, representation) not in described:
            described[source, n, representation] = {"n": n} | _of_source(source, n, representation, metrics)
    return [described[key] | _of_training(cell.run) for key, cell in zip(keys, cells, strict=True)]


def _of_training(run: Run) -> dict[str, Any]:
    """How much of its old weights a warm start keeps in one retraining; empty without warm starts or networks."""
    if run.start == "cold" or not isinstance(run.family, TrainingSettings):
        return {}
    return {"old_weights_kept": run.family.old_weights_kept()}


def _of_source(
    source: Source, n: int, representation: Representation | None, metrics: Sequence[Metric]
) -> dict[str, Any]:
    sizes = real_sizes(source)
    parts: dict[str, dict[str, Any]] = {"compared": {}, "extractors": {}, "accuracy": {}}
    for metric in metrics:
        name, extractor = _name(metric), extractor_for(metric, representation)
        if metric.compares_with:
            parts["compared"][name] = compared_counts(metric, n, sizes)
        if extractor is not None:
            parts["extractors"][name] = extractor.fingerprint(source)
            if (accuracy := extractor.accuracy(source)) is not None:
                parts["accuracy"][name] = accuracy
    if (units := source.units) is not None:
        parts["units"] = dict(zip(("center", "factor"), map(list, units), strict=True))
    if columns := source.table_columns:
        parts["columns"] = {name: None if words is None else list(words) for name, words in columns}
    if representation is not None:
        parts["representation"] = {"sha256": representation.fingerprint(source)}
    data = {"data": list(source.description)} if source.description else {}
    return sizes | data | {name: part for name, part in parts.items() if part}


def of_metrics(metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """What the store keeps beside each metric: its name, and which real data it compares with."""
    return [{"name": _name(metric), "split": metric.compares_with} for metric in metrics]


def most_compared(metrics: Sequence[Metric], run: Run) -> dict[str, int]:
    """How many samples metrics compare where all are valid, by `metric_key`; without those that compare with no real data."""
    sizes, n = real_sizes(run.source), run.sample_size
    chosen = [metric for metric in metrics if metric.compares_with]
    return {metric_key(metric): compared_counts(metric, n, sizes)[0] for metric in chosen}


def fewest(
    most: Mapping[str, int], cells: Sequence[Cell], alive: np.ndarray, counts: Mapping[str, np.ndarray]
) -> dict[str, dict[str, int]]:
    """What the store keeps beside a generation: by metric and run the fewest samples that were compared, if not all were.

    Args:
        most: See `most_compared`.
        cells: The cell of each lane.
        alive: Which lanes have not diverged.
        counts: How many samples each metric compared, one entry a lane.
    """
    result: dict[str, dict[str, int]] = {}
    for metric, number in most.items():
        least = np.where(alive, counts[metric], number)
        for lane in np.flatnonzero(least < number).tolist():
            few = result.setdefault(metric, {})
            few[cells[lane].id] = min(int(least[lane]), few.get(cells[lane].id, number))
    return result


def _name(metric: Metric) -> str:
    return ".".join(reversed(validation.kinds_of(metric)))
