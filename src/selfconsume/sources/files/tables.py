"""Tables in CSV, Parquet and JSON lines files."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.files.memory import check_fits
from selfconsume.files.regular import open_regular, read_bytes
from selfconsume.sources.files import csv_text, json_lines
from selfconsume.sources.files.archives import first_line
from selfconsume.sources.files.headers import has_header
from selfconsume.sources.tabular.table import Origin, Table, TableFormat, from_frame

if TYPE_CHECKING:
    import polars

ROW_NUMBERS = re.compile(r"|Unnamed: \d+|__index_level_\d+__|_duplicated_\d+")
"""Names that writers of tables give to columns without a name."""
MAX_COLUMNS = 100_000
"""Most columns of a text file, each of which is a table column of its own."""


def read(path: str, form: TableFormat) -> Table:
    """Reads a .csv, .tsv, .parquet or .jsonl file; lists of numbers in JSON lines are rows without names.

    Raises:
        ConfigError: The file is unreadable, a column is absent or holds text, or the first line is ambiguous.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".parquet":
        frame, notes = _read_parquet(path)
    elif suffix in json_lines.SUFFIXES:
        frame, notes = json_lines.read(path), []
        if isinstance(frame, np.ndarray):
            if form.columns or form.label or form.categories:
                raise ConfigError(f"source.columns: lines of '{path}' are lists without names; leave columns out")
            return Table(frame)
    else:
        frame, notes = _read_csv(path, form)
    return from_frame(frame, form, Origin("source.path", f"'{path}'"), _index_columns(path, frame, form.label), notes)


def _read_parquet(path: str) -> tuple[polars.DataFrame, list[str]]:
    import polars

    try:
        with open_regular(Path(path).expanduser()) as file:
            content = file.read()
        schema = polars.read_parquet_schema(io.BytesIO(content))
        rows = polars.scan_parquet(io.BytesIO(content)).select(polars.len()).collect().item()
        check_fits(
            3 * 8 * rows * len(schema), f"source.path: {rows} rows of {len(schema)} columns of '{path}'", "split it"
        )
        return polars.read_parquet(io.BytesIO(content)), []
    # Some damage makes the library panic, which is no Exception.
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError, OverflowError) as error:
        raise ConfigError(f"source.path: '{path}' cannot be read as .parquet ({first_line(error)})") from None


def _read_csv(path: str, form: TableFormat) -> tuple[polars.DataFrame, list[str]]:
    import polars

    suffix, text = Path(path).suffix.lower(), None
    try:
        text = csv_text.parse(read_bytes(Path(path).expanduser()), form.decimal)
        if text.lines and (columns := text.lines[0].count(text.separator) + 1) > MAX_COLUMNS:
            raise ConfigError(f"source.path: '{path}' has {columns} columns, expected at most {MAX_COLUMNS}; use .npy")
        # Every field is read as text first, so that a column of numbers can say which of its fields are none.
        frame = polars.read_csv(
            io.BytesIO("\n".join(text.lines).encode()),
            separator=text.separator,
            has_header=False,
            infer_schema=False,
        )
    except (polars.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        reason = _longer_row(text) if isinstance(error, polars.exceptions.ComputeError) and text else None
        raise ConfigError(f"source.path: '{path}' cannot be read as {suffix} ({reason or first_line(error)})") from None
    rows = [[field or "" for field in row] for row in frame.head(2).rows()]
    names = [name.strip() for name in rows[0]]
    notes = [*text.notes]
    if text.separator != "," and len(names) > 1:
        notes.append(f"separator {'tab' if text.separator == chr(9) else repr(text.separator)}")
    if not has_header(path, frame, form.header, form.decimal):
        names = [f"column_{j}" for j in range(1, frame.width + 1)]
        return frame.rename(dict(zip(frame.columns, names, strict=True))), [*notes, "no line of column names"]
    distinct = _distinct(names)
    if renamed := [f"{name!r} again: {new!r}" for name, new in zip(names, distinct, strict=True) if name != new]:
        notes.append(f"repeated column names ({', '.join(renamed[:3])}{', ...' * (len(renamed) > 3)})")
    return frame.slice(1).rename(dict(zip(frame.columns, distinct, strict=True))), notes


def _longer_row(text: csv_text.CsvText) -> str | None:
    """The first row with more fields than the first line; None if there is none."""
    rows = csv.reader(text.lines, delimiter=text.separator)
    expected = len(next(rows, []))
    for number, row in enumerate(rows, 2):
        if len(row) > expected:
            return f"row {number} has {len(row)} fields, the first one {expected}; remove or quote what is too much"
    return None


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
        except (ValueError, AttributeError, TypeError, RecursionError):
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
