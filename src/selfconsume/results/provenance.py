"""What every value was measured on: how many samples against how much real data, through which weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from selfconsume.results.store import Store

SHORT = 12
"""Digits of a checksum that are shown."""


UNSURE = 0.9
"""Accuracy below which a classifier is warned of: with ten classes, it is then wrong as often as a class is there."""


class Measured(NamedTuple):
    """How the values of one metric came about, in all cells of the latest study that agree on it.

    Attributes:
        metric: Kind of the metric, and of the extractor before it: ``classifier.frechet``.
        n: Samples of a generation that are compared, where all of them are valid; 0 where the generator is asked itself.
        fewest: The fewest that any value compares: others were not valid.
        split: Which real data they are compared with: "test", "train", "train and test", or "" for none.
        reference: Examples of it that are compared.
        extractor: Kind of the extractor, or "".
        sha256: Fingerprint of the extractor's weights, or "".
        accuracy: Share of held-out real examples whose class the extractor knows; None where it is no classifier.
        cells: How many cells.
    """

    metric: str
    n: int
    fewest: int
    split: str
    reference: int
    extractor: str
    sha256: str
    accuracy: float | None
    cells: int


def described(study: Mapping[str, Any]) -> dict[str, dict[str, Measured]]:
    """How values come about that are measured while a study is the latest, by `metric_key` and run; each one cell.

    Empty for studies that were stored before this was.
    """
    result = {}
    tables = study["tables"]["metrics"]
    for text, about, given in zip(study["metrics"], study.get("measured", ()), tables, strict=False):
        name, split, extractor = about["name"], about["split"], given.get("features", {}).get("kind", "")
        result[text] = {}
        for cell in study["cells"]:
            on = cell["measured"]
            whole = on["n"], sum(on[part] for part in split.split(" and ")) if split else 0
            n, reference = on.get("compared", {}).get(name, whole)
            sha256, accuracy = (on.get(key, {}).get(name) for key in ("extractors", "accuracy"))
            result[text][cell["id"]] = Measured(name, n, n, split, reference, extractor, sha256 or "", accuracy, 1)
    return result


def gather(store: Store) -> list[Measured]:
    """How the stored values of the latest study came about; empty for studies that were stored before this was.

    What was measured while an earlier study was the latest is described as it was then.
    """
    runs, few = _holding(store)
    now = described(store.study)
    studies = {index: described(store.studies[index]) for index in {index for index, _ in runs}}
    found: dict[tuple[Any, ...], Measured] = {}
    for text, cells in now.items():
        indices = sorted(index for index, metric in runs if metric == text)
        for run, row in cells.items():
            rows = {studies[index].get(text, {}).get(run, row) for index in indices if run in runs[index, text]} or {
                row
            }
            for each in rows:
                key = each._replace(fewest=0)
                old = found.get(key, each._replace(cells=0))
                least = min(old.fewest, few.get((text, run), each.n))
                found[key] = each._replace(fewest=least, cells=old.cells + 1)
    return list(found.values())


def _holding(store: Store) -> tuple[dict[tuple[int, str], set[str]], dict[tuple[str, str], int]]:
    """Runs with values, by study that was the latest and by metric; and the fewest samples by metric and run."""
    runs: dict[tuple[int, str], set[str]] = {}
    few: dict[tuple[str, str], int] = {}
    named = {batch: {run for run, _ in lanes} for batch, lanes in store.lanes.items()}
    for segment in store.segments:
        if segment.first >= store.study["generations"]:
            continue
        for text in segment.metrics:
            runs.setdefault((segment.study, text), set()).update(named[segment.lanes])
        for text, each in segment.fewest.items():
            for run, number in each.items():
                few[text, run] = min(number, few.get((text, run), number))
    return runs, few


def lines(store: Store) -> list[str]:
    """What was compared with what, in sentences."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for row in gather(store):
        if row.split:
            groups.setdefault(row[1:-1], []).append(row.metric)
    result = []
    for (n, few, split, reference, extractor, sha256, accuracy), names in groups.items():
        what = f"{n} samples" if n else "generators"
        what += f" (where not all are valid, as few as {few})" if few < n else ""
        known = "" if accuracy is None else f", right on {accuracy:.0%} of held-out examples"
        through = f", through {extractor} (sha256 {sha256[:SHORT]}{known})" if extractor else ""
        result.append(f"{_names(names)}: {what} against {reference} real examples ({split}){through}")
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
                f"cells differ in their number of {what} ({counts}), on which bias or noise of {_names(apart)} depends; "
                "compare each cell with its own floor, not with cells of another number"
            )
    if short := [row for row in rows if row.fewest < row.n]:
        share = min(row.fewest / row.n for row in short)
        result.append(
            f"not all samples were valid: some values of {_names(row.metric for row in short)} compare only {share:.0%} of the "
            "samples that others, and the floors, compare; bias and noise are larger there"
        )
    if unsure := [row for row in rows if row.accuracy is not None and row.accuracy < UNSURE]:
        share = min(row.accuracy for row in unsure if row.accuracy is not None)
        result.append(
            f"{_names(row.extractor for row in unsure)} is right on only {share:.0%} of real examples that it was not trained "
            f"on: {_names(row.metric for row in unsure)} see little of the classes"
        )
    apart = {row.metric for row in rows if len(_of(rows, row.metric, lambda row: row.sha256)) > 1}
    if apart:
        result.append(
            f"cells or generations differ in the weights of the extractor: values of {_names(apart)} are on different "
            "scales; measure all of them again in a new directory (the column sha256 of `table --out` says which is which)"
        )
    return result


def _of(rows: Iterable[Measured], metric: str, value: Any) -> set[Any]:
    return {value(row) for row in rows if row.metric == metric}


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))
