"""What every value was measured on: how many samples against how much real data, through which weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax

from selfconsume import config
from selfconsume.featured import extractor_of
from selfconsume.store import Store
from selfconsume.study import Cell
from selfconsume.types import Metric, Source

SHORT = 12
"""Digits of a checksum that are shown."""


class Measured(NamedTuple):
    """How the values of one metric came about, in all cells of the latest study that agree on it.

    Attributes:
        metric: Kind of the metric, and of the extractor before it: ``classifier.frechet``.
        n: Samples of a generation.
        split: Which real data they are compared with: "test", "train and test", or "" for none.
        reference: Examples in that data.
        extractor: Kind of the extractor, or "".
        sha256: Fingerprint of the extractor's weights, or "".
        cells: How many cells.
    """

    metric: str
    n: int
    split: str
    reference: int
    extractor: str
    sha256: str
    cells: int


def of_cells(cells: Sequence[Cell], metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """What the store keeps beside each cell: samples, real examples by split, and the extractor's checksum by metric."""
    extractors = {_name(metric): each for metric in metrics if (each := extractor_of(metric)) is not None}
    known: dict[Source, dict[str, Any]] = {}
    result = []
    for cell in cells:
        source = cell.run.source
        if source not in known:
            test = jax.eval_shape(source.test, jax.random.key(0)).shape[0]
            seen = {name: extractor.fingerprint(source) for name, extractor in extractors.items()}
            known[source] = {"train": source.size, "test": test} | ({"extractors": seen} if seen else {})
        result.append({"n": cell.run.sampled, **known[source]})
    return result


def of_metrics(metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """What the store keeps beside each metric: its name, and which real data it compares with."""
    return [{"name": _name(metric), "split": metric.split} for metric in metrics]


def gather(store: Store) -> list[Measured]:
    """How the values of the latest study came about; empty for studies that were stored before this was."""
    study = store.study
    found: dict[tuple[Any, ...], int] = {}
    for about, given in zip(study.get("measured", ()), study["tables"]["metrics"], strict=False):
        extractor = given.get("features", {}).get("kind", "")
        for cell in study["cells"]:
            on, split = cell["measured"], about["split"]
            reference = sum(on[part] for part in split.split(" and ")) if split else 0
            sha256 = on.get("extractors", {}).get(about["name"], "")
            row = (about["name"], on["n"], split, reference, extractor, sha256)
            found[row] = found.get(row, 0) + 1
    return [Measured(*row, cells) for row, cells in found.items()]


def lines(store: Store) -> list[str]:
    """What was compared with what, in sentences."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for row in gather(store):
        if row.split:
            groups.setdefault(row[1:], []).append(row.metric)
    result = []
    for (n, split, reference, extractor, sha256, _), names in groups.items():
        through = f", through {extractor} (sha256 {sha256[:SHORT]})" if extractor else ""
        result.append(f"{', '.join(names)}: {n} samples against {reference} real examples ({split}){through}")
    return result


def warnings(store: Store) -> list[str]:
    """What must not be compared without a second thought, in sentences; empty where everything is alike."""
    rows = [row for row in gather(store) if row.split]
    result = []
    for numbers, what in ((lambda row: row.n, "samples"), (lambda row: row.reference, "real examples")):
        apart = {row.metric for row in rows if len(_of(rows, row.metric, numbers)) > 1}
        if apart:
            counts = ", ".join(map(str, sorted({numbers(row) for row in rows if row.metric in apart})))
            result.append(
                f"cells differ in their number of {what} ({counts}): {_names(apart)} depend on it by themselves; compare "
                "each cell with its own floor, not with cells of another number"
            )
    apart = {row.metric for row in rows if len(_of(rows, row.metric, lambda row: row.sha256)) > 1}
    if apart:
        result.append(
            f"cells differ in the weights of the extractor: values of {_names(apart)} are on different scales"
        )
    if changed := _changed(store):
        result.append(
            f"the weights behind {_names(changed)} have changed since earlier generations were measured: values before and "
            "after are on different scales; measure all of them again in a new directory"
        )
    return result


def _of(rows: Iterable[Measured], metric: str, value: Any) -> set[Any]:
    return {value(row) for row in rows if row.metric == metric}


def _name(metric: Metric) -> str:
    return ".".join(reversed(config.kinds_of(metric)))


def _changed(store: Store) -> set[str]:
    """Metrics whose extractor's weights are not the ones that an earlier run of the same cells was measured with."""
    now = {cell["id"]: cell.get("measured", {}).get("extractors", {}) for cell in store.study["cells"]}
    result = set()
    for study in store.studies[:-1]:
        for cell in study["cells"]:
            for name, sha256 in cell.get("measured", {}).get("extractors", {}).items():
                if now.get(cell["id"], {}).get(name, sha256) != sha256:
                    result.add(name)
    return result


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
