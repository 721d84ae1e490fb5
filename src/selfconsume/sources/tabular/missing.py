"""Missing values of a table: refused by column, dropped by row, or imputed from the training rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.sources.tabular.table import Origin, Table

Missing = Literal["refuse", "drop", "impute"]
CHUNK_VALUES = 2**22
"""Values looked at together, so that memory stays bounded for memory-mapped files."""


def treat(origin: Origin, table: Table, missing: Missing, label: str | None) -> Table:
    """The table without rows of missing values; with "impute" they stay, and only unlabelled rows are refused.

    Raises:
        ConfigError: Values are missing and to be refused, or too few complete rows are left.
    """
    if table.values.ndim == 4:
        return table
    n_rows = len(table.values)
    counts, is_broken = _missing_counts(table.values)
    places = [f"{count} in {name}" for name, count in zip(names(table), counts, strict=True) if count]
    if table.labels is not None and table.labels.dtype == object:
        unlabelled = np.array([value is None for value in table.labels])
        if unlabelled.any() and missing != "drop":
            rows = f"{unlabelled.sum()} rows of {'the labels' if label is None else repr(label)}"
            raise ConfigError(f"source.label: {rows} are empty; fill them, or set missing = 'drop'")
        is_broken = is_broken | unlabelled
        places += [f"{unlabelled.sum()} in the label"] if unlabelled.any() else []
    if not is_broken.any():
        return table
    where = _listed(places)
    if missing == "impute":
        note = (
            f"imputed {counts.sum()} missing values ({where}) by the mean of the training rows, categories by the most "
            "frequent one: deviations and correlations shrink"
        )
        return table._replace(has_missing=True, notes=(*table.notes, note))
    fault = f"{is_broken.sum()} of the {n_rows} rows of {origin} hold missing, NaN or infinite values ({where})"
    if missing == "refuse":
        raise ConfigError(f"{origin.field}: {fault}; set missing = 'drop' or 'impute', or fill them")
    if (~is_broken).sum() < 2:
        raise ConfigError(f"{origin.field}: {fault}; fewer than 2 complete rows are left, choose columns or fill them")
    labels = None if table.labels is None else table.labels[~is_broken]
    if labels is not None and labels.dtype == object and all(isinstance(value, int | float) for value in labels):
        labels = np.array(labels.tolist())
    note = f"dropped {is_broken.sum()} of {n_rows} rows with missing values ({where})"
    return table._replace(values=table.values[~is_broken], labels=labels, notes=(*table.notes, note))


def replacements(origin: Origin, table: Table, train: np.ndarray) -> np.ndarray:
    """What is imputed in each column, ``(d,)``: the mean of its training rows, for categories the most frequent one.

    Args:
        origin: Where the table comes from.
        table: The table.
        train: Its training rows, float64 ``(n, d)``.

    Raises:
        ConfigError: A column has no value in the training rows.
    """
    is_present = np.isfinite(train)
    if (is_empty := ~is_present.any(axis=0)).any():
        name = names(table)[int(np.flatnonzero(is_empty)[0])]
        raise ConfigError(
            f"{origin.field}: {name} of {origin} has no value in the training rows to impute from; leave it out"
        )
    means = np.where(is_present, train, 0.0).sum(axis=0) / is_present.sum(axis=0)
    for j, levels in enumerate(table.categories or ()):
        if levels is not None:
            codes = train[is_present[:, j], j].astype(int)
            means[j] = np.bincount(codes, minlength=len(levels)).argmax()
    return means


def _missing_counts(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Missing, NaN or infinite values of each column, ``(d,)``; and the rows that have one, ``(n,)``."""
    counts, is_broken = np.zeros(values.shape[1], np.int64), np.zeros(len(values), bool)
    for part in chunks(values):
        is_missing = ~np.isfinite(values[part])
        counts += is_missing.sum(axis=0)
        is_broken[part] = is_missing.any(axis=1)
    return counts, is_broken


def chunks(values: np.ndarray) -> Iterator[slice]:
    """Consecutive rows of bounded size."""
    step = max(1, CHUNK_VALUES // max(1, values[:1].size))
    for start in range(0, len(values), step):
        yield slice(start, start + step)


def names(table: Table) -> list[str]:
    """The names of the columns, or their numbers."""
    return list(table.columns or [f"column {j}" for j in range(table.values.shape[1])])


def _listed(places: list[str]) -> str:
    """The first columns and their counts."""
    return ", ".join(places[:8]) + (f" and {len(places) - 8} more" if len(places) > 8 else "")
