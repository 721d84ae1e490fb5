"""Provenance of measured values: what each was computed from, noted when it is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from selfconsume.lanes.measurement import compared_counts, real_sizes
from selfconsume.metrics.metric_key import metric_key
from selfconsume.metrics.on_features import extractor_of
from selfconsume.study import validation
from selfconsume.study.study import Cell
from selfconsume.types import Metric, Source


def of_cells(cells: Sequence[Cell], metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """Provenance of the values of each cell, as the log stores it.

    Number of samples, number of real examples by split, and by metric what differs from these, with the extractor's
    checksum and accuracy.
    """
    known: dict[tuple[Source, int], dict[str, Any]] = {}
    for cell in cells:
        source, n = cell.run.source, cell.run.sample_size
        if (source, n) not in known:
            known[source, n] = {"n": n} | _of_source(source, n, metrics)
    return [known[cell.run.source, cell.run.sample_size] for cell in cells]


def _of_source(source: Source, n: int, metrics: Sequence[Metric]) -> dict[str, Any]:
    sizes = real_sizes(source)
    parts: dict[str, dict[str, Any]] = {"compared": {}, "extractors": {}, "accuracy": {}}
    for metric in metrics:
        name, extractor = _name(metric), extractor_of(metric)
        if metric.compares_with:
            parts["compared"][name] = compared_counts(metric, n, sizes)
        if extractor is not None:
            parts["extractors"][name] = extractor.fingerprint(source)
            if (accuracy := extractor.accuracy(source)) is not None:
                parts["accuracy"][name] = accuracy
    return sizes | {name: part for name, part in parts.items() if part}


def of_metrics(metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """What the store keeps beside each metric: its name, and which real data it compares with."""
    return [{"name": _name(metric), "split": metric.compares_with} for metric in metrics]


def fewest(
    metrics: Sequence[Metric], cells: Sequence[Cell], found: Sequence[tuple[np.ndarray, Mapping[str, np.ndarray]]]
) -> dict[str, dict[str, int]]:
    """What the store keeps beside a stretch of generations: by metric and run the fewest samples that were compared.

    Args:
        metrics: The metrics.
        cells: The cell of each lane.
        found: Of each generation, which lanes are alive, and `Record.compared`.
    """
    run = cells[0].run
    sizes = real_sizes(run.source)
    result: dict[str, dict[str, int]] = {}
    for metric in metrics:
        if not metric.compares_with:
            continue
        most = compared_counts(metric, run.sample_size, sizes)[0]
        least = np.min([np.where(alive, counts[metric_key(metric)], most) for alive, counts in found], axis=0)
        for cell, number in zip(cells, least.tolist(), strict=True):
            if number < most:
                few = result.setdefault(metric_key(metric), {})
                few[cell.id] = min(number, few.get(cell.id, number))
    return result


def _name(metric: Metric) -> str:
    return ".".join(reversed(validation.kinds_of(metric)))
