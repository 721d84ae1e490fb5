"""Fields of a CSV file, read as text, as numbers and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import polars

MISSING = ("", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "nan", "NaN", "NAN", "-nan", "null", "NULL", "None")
"""Texts of a missing value."""


def as_numbers(column: polars.Series, decimal: str) -> polars.Series:
    """A column of text as float64; null where it is no number."""
    import polars

    stripped = column.str.strip_chars()
    if stripped.drop_nulls().str.to_lowercase().is_in(["true", "false"]).all() and stripped.drop_nulls().len():
        return (stripped.str.to_lowercase() == "true").cast(polars.Float64)
    if decimal == ",":
        # A point is neither a decimal mark nor guessed to be a separator of thousands.
        stripped = stripped.str.replace(".", "?", literal=True).str.replace(",", ".", literal=True)
    return stripped.set(stripped.is_in(MISSING).fill_null(False), None).cast(polars.Float64, strict=False)


def label_values(column: polars.Series) -> np.ndarray:
    """Labels as integers where all of them are, else as they are; None where one is missing."""
    import polars

    if column.dtype != polars.String:
        return column.to_numpy() if not column.null_count() else column.cast(polars.Object).to_numpy()
    stripped = column.str.strip_chars()
    stripped = stripped.set(stripped.is_in(MISSING).fill_null(False), None)
    present = stripped.drop_nulls()
    for dtype in (polars.Int64, polars.Float64):
        numbers = stripped.cast(dtype, strict=False)
        if len(present) and numbers.null_count() == stripped.null_count():
            stripped = numbers
            break
    return stripped.to_numpy() if not stripped.null_count() else np.array(stripped.to_list(), object)
