"""Provenance of stored values: sample and reference counts, split, and the extractor's weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from selfconsume.results.store import Store

SHORT = 12
"""Digits of a checksum that are shown."""


UNSURE = 0.9
"""Accuracy below which a classifier is warned of: with ten classes, it is then wrong as often as a class is there."""


class Measured(NamedTuple):
    """Provenance of one metric's values, shared by some cells of the latest study.

    Attributes:
        metric: Kind of the metric, and of the extractor before it: ``classifier.frechet``.
        n: Samples of a generation that are compared if all are valid; 0 for values computed from the generator itself.
        fewest: Smallest number of valid samples that any value compares.
        split: The real data: "test", "train", "train and test", or "" for none.
        n_reference: Number of real examples that are compared.
        extractor: Kind of the extractor, or "".
        sha256: Fingerprint of the extractor's weights, or "".
        accuracy: The extractor's accuracy on held-out real examples; None unless it is a classifier.
        cells: Number of cells.
    """

    metric: str
    n: int
    fewest: int
    split: str
    n_reference: int
    extractor: str
    sha256: str
    accuracy: float | None
    cells: int


def described(study: Mapping[str, Any]) -> dict[str, dict[str, Measured]]:
    """Provenance of values measured by one stored study, by `metric_key` and run; each of one cell.

    Empty for studies stored without provenance.
    """
    result = {}
    tables = study["tables"]["metrics"]
    for text, about, table in zip(study["metrics"], study.get("measured", ()), tables, strict=False):
        name, split, extractor = about["name"], about["split"], table.get("features", {}).get("kind", "")
        result[text] = {}
        for cell in study["cells"]:
            on = cell["measured"]
            counts = on["n"], sum(on[part] for part in split.split(" and ")) if split else 0
            n, n_reference = on.get("compared", {}).get(name, counts)
            sha256, accuracy = (on.get(key, {}).get(name) for key in ("extractors", "accuracy"))
            result[text][cell["id"]] = Measured(name, n, n, split, n_reference, extractor, sha256 or "", accuracy, 1)
    return result


def gather(store: Store) -> list[Measured]:
    """Provenance of the stored values of the latest study; empty for studies stored without provenance.

    Values measured by an earlier study keep the provenance of that study.
    """
    runs, few = _holding(store)
    latest = described(store.study)
    studies = {index: described(store.studies[index]) for index in {index for index, _ in runs}}
    merged: dict[tuple[Any, ...], Measured] = {}
    for text, cells in latest.items():
        indices = sorted(index for index, metric in runs if metric == text)
        for run, row in cells.items():
            rows = {studies[index].get(text, {}).get(run, row) for index in indices if run in runs[index, text]} or {
                row
            }
            for cell in rows:
                key = cell._replace(fewest=0)
                old = merged.get(key, cell._replace(cells=0))
                least = min(old.fewest, few.get((text, run), cell.n))
                merged[key] = cell._replace(fewest=least, cells=old.cells + 1)
    return list(merged.values())


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
        for text, numbers in segment.fewest.items():
            for run, number in numbers.items():
                few[text, run] = min(number, few.get((text, run), number))
    return runs, few


def lines(store: Store) -> list[str]:
    """Provenance in sentences: samples, real data and extractor of each metric."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for row in gather(store):
        if row.split:
            groups.setdefault(row[1:-1], []).append(row.metric)
    result = []
    for (n, few, split, n_reference, extractor, sha256, accuracy), names in groups.items():
        samples = f"{n} samples" if n else "generators"
        samples += f" (where not all are valid, as few as {few})" if few < n else ""
        correct = "" if accuracy is None else f", right on {accuracy:.0%} of held-out examples"
        through = f", through {extractor} (sha256 {sha256[:SHORT]}{correct})" if extractor else ""
        result.append(f"{_names(names)}: {samples} against {n_reference} real examples ({split}){through}")
    return [*result, *training_lines(store)]


def training_lines(store: Store) -> list[str]:
    """How much of the old weights one retraining leaves in the averages that samples are drawn from, in a sentence."""
    cells = store.study["cells"] if store.studies else []
    shares = {cell["measured"].get("old_weights_kept") for cell in cells if "measured" in cell} - {None}
    if not shares:
        return []
    low, high = min(shares), max(shares)
    share = f"{high:.2g}" if low == high else f"{low:.2g} to {high:.2g}"
    return [
        f"averaged weights keep a share of {share} of those that a retraining starts from: the nearer to 1, the less it moves"
    ]


def data_lines(store: Store) -> list[str]:
    """What was read from the source of each cell: rows, columns, scale and what was skipped, in lines without repetition."""
    cells = store.study["cells"] if store.studies else []
    return list(dict.fromkeys(line for cell in cells for line in cell.get("measured", {}).get("data", ())))


def warnings(store: Store) -> list[str]:
    """Differences in provenance that make values incomparable, in sentences; empty if there are none."""
    rows = [row for row in gather(store) if row.split]
    result = []
    for numbers, noun in ((lambda row: row.n, "samples"), (lambda row: row.n_reference, "real examples")):
        apart = {row.metric for row in rows if len(_of(rows, row.metric, numbers)) > 1}
        if apart:
            counts = ", ".join(map(str, sorted({numbers(row) for row in rows if row.metric in apart})))
            result.append(
                f"cells differ in their number of {noun} ({counts}), on which bias or noise of {_names(apart)} depends; "
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
