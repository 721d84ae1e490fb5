"""Decides whether the first line of a CSV file holds column names or data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.sources.files.csv_fields import as_numbers

if TYPE_CHECKING:
    import polars


MIN_COUNT = 4
"""Columns from which on a first line 0, 1, 2, ... is a header: fewer such numbers may be data."""
MIN_ROWS = 10
"""Rows from which on values have a range that a number can lie outside of."""


def has_header(path: str, frame: polars.DataFrame, header: bool | None, decimal: str) -> bool:
    """Whether the first row of a table, all of whose fields are text, holds column names.

    A first line without numbers is a header. Numbers are column names if they count the columns, or if all of them lie far
    outside the values below.

    Args:
        path: The file, for messages.
        frame: All rows as text, the first line included.
        header: The user's word; None to detect it.
        decimal: The decimal mark.

    Raises:
        ConfigError: The first line may be either.
    """
    if header is not None or frame.height < 2:
        return header is not False
    names = [str(name or "").strip() for name in frame.row(0)]
    body = frame.slice(1)
    first = np.array([as_numbers(frame[column].head(1), decimal)[0] for column in frame.columns], np.float64)
    numeric = np.isfinite(first)
    if not numeric.any():
        return True
    recurring = [
        name
        for name, column, is_number in zip(names, frame.columns, numeric, strict=True)
        if not is_number and name and (body[column].str.strip_chars() == name).any()
    ]
    if recurring:
        raise ConfigError(
            f"source.path: the first line of '{path}' holds data, not column names ('{recurring[0]}' recurs below it); add a "
            "line of column names, or set header = false, which names the columns column_1, column_2, ..."
        )
    is_count = first.tolist() == list(range(len(first)))
    if is_count and len(first) >= MIN_COUNT:
        return True
    if len(set(names)) == len(names) and (is_count or body.height >= MIN_ROWS) and _all_outside(first, body, decimal):
        return True
    raise ConfigError(
        f"source.path: the first line of '{path}' holds numbers ({', '.join(names[:4])}{', ...' * (len(names) > 4)}); set "
        "header = true if these are column names, or header = false if they are data"
    )


def _all_outside(first: np.ndarray, body: polars.DataFrame, decimal: str) -> bool:
    """Whether each number of the first line lies further from the values below it than these extend."""
    for number, column in zip(first, body.columns, strict=True):
        if not np.isfinite(number):
            continue
        values = as_numbers(body[column], decimal).drop_nulls().drop_nans().to_numpy()
        if not len(values):
            continue
        low, high = values.min(), values.max()
        if low - (high - low) <= number <= high + (high - low):
            return False
    return True
