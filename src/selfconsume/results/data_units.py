"""Examples in the data's own units: inverts the standardisation and the encoding by which a source was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from selfconsume.results.store import Store

Units = Mapping[str, Sequence[float]]
"""The stored form of `Source.units`: ``{"center": [...], "factor": [...]}``."""


def by_run(store: Store) -> dict[str, Units]:
    """The units of each run whose source standardised its data, by the run's identity; later studies override earlier ones."""
    cells: list[Mapping[str, Any]] = [cell for study in store.studies for cell in study["cells"]]
    return {cell["id"]: cell["measured"]["units"] for cell in cells if "units" in cell.get("measured", {})}


def columns_by_run(store: Store) -> dict[str, dict[str, list[str] | None]]:
    """By run's identity the columns of the source's table, each with its categories, None for numbers; without arrays."""
    cells: list[Mapping[str, Any]] = [cell for study in store.studies for cell in study["cells"]]
    return {cell["id"]: cell["measured"]["columns"] for cell in cells if "columns" in cell.get("measured", {})}


def table(rows: np.ndarray, columns: Mapping[str, Sequence[str] | None] | None) -> pl.DataFrame:
    """Rows in the data's own units ``(n, d)`` as a table with the source's columns; a category is that of the largest value.

    Args:
        rows: The rows; those of other shapes are flattened.
        columns: Columns and their categories as `columns_by_run` gives them; None: coordinates are numbered.
    """
    rows = rows.reshape(len(rows), -1)
    if columns is None:
        return pl.DataFrame({f"x{j}": rows[:, j] for j in range(rows.shape[1])})
    series, start = [], 0
    for name, words in columns.items():
        width = 1 if words is None else len(words)
        block, start = rows[:, start : start + width], start + width
        values = block[:, 0] if words is None else np.asarray(words)[block.argmax(axis=1)]
        series.append(pl.Series(name, values))
    return pl.DataFrame(series)


def decode(rows: np.ndarray, units: Units | None) -> np.ndarray:
    """Standardised rows ``(n, d)`` as float64 in the data's own units; unchanged where the source did not standardise."""
    if units is None:
        return rows
    return np.asarray(rows, np.float64) * np.asarray(units["factor"]) + np.asarray(units["center"])
