"""Tables of numbers with named columns: CSV and Parquet files."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.sources.files import csv_text
from selfconsume.sources.files.archives import first_line
from selfconsume.sources.files.csv_fields import MISSING, as_numbers, label_values
from selfconsume.sources.files.headers import has_header

if TYPE_CHECKING:
    import polars

ROW_NUMBERS = re.compile(r"|Unnamed: \d+|__index_level_\d+__|_duplicated_\d+")
"""Names that writers of tables give to columns without a name."""
DECIMAL_COMMA = r"^\s*[+-]?\d+,\d+\s*$"


class Table(NamedTuple):
    """A file in memory: float64 rows ``(n, d)`` or uint8 images ``(n, H, W, C)``; NaN is a missing value."""

    values: np.ndarray
    labels: np.ndarray | None = None
    columns: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    """What was skipped or interpreted, for `Source.description`."""


class TableFormat(NamedTuple):
    """The fields of a recipe that say how a table is read."""

    columns: tuple[str, ...] | None
    label: str | None
    header: bool | None
    decimal: Literal[".", ","]


def read(path: str, form: TableFormat) -> Table:
    """Reads a .csv, .tsv or .parquet file.

    Raises:
        ConfigError: The file is unreadable, a column is absent or holds text, or the first line is ambiguous.
    """
    if Path(path).suffix.lower() == ".parquet":
        frame, notes = _read_parquet(path)
    else:
        frame, notes = _read_csv(path, form)
    for field, name in [("columns", name) for name in form.columns or ()] + [("label", form.label)]:
        if name is not None and name not in frame.columns:
            raise ConfigError(f"source.{field}: '{path}' has no column '{name}'; it has {listed(frame.columns)}")
    for name in form.columns or ():
        if (form.columns or ()).count(name) > 1:
            raise ConfigError(f"source.columns: '{name}' is named twice; name it once")
    names = form.columns
    if names is None:
        indices = _index_columns(path, frame, form.label)
        names = tuple(name for name in frame.columns if name != form.label and name not in indices)
        if indices:
            notes = [*notes, f"skipped {listed(indices)} (row index; name it in columns to use it)"]
        if "" in names:
            raise ConfigError(f"source.columns: '{path}' has a column without a name; name the columns to use")
    if not names:
        raise ConfigError(f"source.columns: '{path}' has no column but the label")
    values = _numbers(path, frame, names, form.decimal)
    labels = None if form.label is None else label_values(frame[form.label])
    return Table(values, labels, names, tuple(notes))


def listed(names: Sequence[str], limit: int = 8) -> str:
    """Names in quotes, at most ``limit`` of them."""
    text = ", ".join(f"'{name}'" for name in names[:limit])
    return (text or "nothing") + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _read_parquet(path: str) -> tuple[polars.DataFrame, list[str]]:
    import polars

    try:
        return polars.read_parquet(Path(path).expanduser()), []
    except (polars.exceptions.PolarsError, OSError) as error:
        raise ConfigError(f"source.path: '{path}' cannot be read as .parquet ({first_line(error)})") from None


def _read_csv(path: str, form: TableFormat) -> tuple[polars.DataFrame, list[str]]:
    import polars

    suffix = Path(path).suffix.lower()
    try:
        text = csv_text.parse(Path(path).expanduser().read_bytes(), form.decimal)
        # Every field is read as text first, so that a column of numbers can say which of its fields are none.
        frame = polars.read_csv(
            io.BytesIO("\n".join(text.lines).encode()),
            separator=text.separator,
            has_header=False,
            infer_schema=False,
        )
    except (polars.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"source.path: '{path}' cannot be read as {suffix} ({first_line(error)})") from None
    rows = [[field or "" for field in row] for row in frame.head(2).rows()]
    names = [name.strip() for name in rows[0]]
    notes = [*text.notes]
    if text.separator != "," and len(names) > 1:
        notes.append(f"separator {'tab' if text.separator == chr(9) else repr(text.separator)}")
    if not has_header(path, frame, form.header, form.decimal):
        names = [f"column_{j}" for j in range(1, frame.width + 1)]
        return frame.rename(dict(zip(frame.columns, names, strict=True))), [*notes, "no line of column names"]
    return frame.slice(1).rename(dict(zip(frame.columns, _distinct(names), strict=True))), notes


def _distinct(names: list[str]) -> list[str]:
    """Column names; repeated ones get a suffix."""
    counts: dict[str, int] = {}
    result = []
    for name in names:
        repeats = counts.get(name, 0)
        counts[name] = repeats + 1
        result.append(f"{name}_{repeats + 1}" if repeats else name)
    return result


def _index_columns(path: str, frame: polars.DataFrame, label: str | None) -> list[str]:
    """Columns of row numbers: those that pandas records as its index, or distinct whole numbers without a name."""
    import polars

    recorded: set[str] = set()
    if Path(path).suffix.lower() == ".parquet":
        metadata = polars.read_parquet_metadata(Path(path).expanduser()).get("pandas", "{}")
        try:
            index = json.loads(metadata).get("index_columns", [])
            recorded = {name for name in index if isinstance(name, str)}
        except (ValueError, AttributeError, TypeError):
            pass
    names = []
    for name in frame.columns:
        if name == label:
            continue
        if name in recorded or (ROW_NUMBERS.fullmatch(name) and _counts_rows(frame[name])):
            names.append(name)
    return names


def _counts_rows(column: polars.Series) -> bool:
    import polars

    numbers = column.cast(polars.Int64, strict=False)
    return not numbers.null_count() and numbers.n_unique() == len(numbers) and (numbers >= 0).all()


def _numbers(path: str, frame: polars.DataFrame, names: Sequence[str], decimal: str) -> np.ndarray:
    """The columns as float64 ``(n, d)``; NaN where a value is missing."""
    import polars

    arrays, text, commas = [], {}, False
    for name in names:
        column = frame[name]
        if column.dtype == polars.String:
            numbers = as_numbers(column, decimal)
            wrong = column.filter(numbers.is_null() & ~column.str.strip_chars().is_in(MISSING).fill_null(True))
            if len(wrong):
                text[name] = wrong[0]
                commas |= bool(wrong.str.contains(DECIMAL_COMMA).all())
            column = numbers
        elif not (column.dtype.is_numeric() or column.dtype == polars.Boolean):
            text[name] = str(column[0])
        arrays.append(column if name in text else column.cast(polars.Float64).fill_null(float("nan")))
    if text:
        name = next(iter(text))
        remedy = (
            "if commas are decimal marks, set decimal = ','"
            if commas
            else "name the columns to use, or one of them as label"
        )
        raise ConfigError(
            f"source.columns: {listed(list(text))} of '{path}' hold no numbers, such as {text[name][:40]!r}; {remedy}"
        )
    return np.stack([column.to_numpy() for column in arrays], axis=1)
