"""JSON lines: one example a line, as a list of numbers or as an object of named numbers and texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.files.regular import read_bytes
from selfconsume.sources.files.archives import first_line

if TYPE_CHECKING:
    import polars

SUFFIXES = (".jsonl", ".ndjson")


def read(path: str) -> np.ndarray | polars.DataFrame:
    """Reads a file of JSON lines; blank lines are skipped, null is a missing value.

    Lists become float64 rows ``(n, d)``, objects a data frame with the columns of the first one; further names are ignored.

    Raises:
        ConfigError: The file cannot be read, or a line is not like the first one.
    """
    records = parsed(path)
    if isinstance(records[0][1], dict):
        return _frame(path, records)
    width = len(records[0][1]) if isinstance(records[0][1], list) else -1
    values = np.empty((len(records), max(width, 0)))
    for row, (i, numbers) in enumerate(records):
        if not isinstance(numbers, list) or len(numbers) != width or not all(map(_is_number, numbers)):
            raise ConfigError(
                f"source.path: line {i} of '{path}' is {json.dumps(numbers)[:60]}; expected {max(width, 1)} numbers, as a list "
                "or an object"
            )
        values[row] = [np.nan if number is None else number for number in numbers]
    return values


def parsed(path: str) -> list[tuple[int, Any]]:
    """The number and the content of each line that is not blank.

    Raises:
        ConfigError: The file cannot be read or holds no lines, or a line is not JSON.
    """
    try:
        # Not splitlines: texts may hold other line separators.
        lines = read_bytes(Path(path).expanduser()).decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"source.path: '{path}' cannot be read as JSON lines ({first_line(error)})") from None
    records = []
    for i, line in enumerate(lines, 1):
        try:
            records += [(i, json.loads(line))] if line.strip() else []
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"source.path: line {i} of '{path}' is not JSON ({first_line(error)})") from None
    if not records:
        raise ConfigError(f"source.path: '{path}' holds no lines; write one example a line")
    return records


def _frame(path: str, records: list[tuple[int, Any]]) -> polars.DataFrame:
    """Objects as columns: of texts where some value is one, else of numbers."""
    import polars

    columns: dict[str, list[Any]] = {name: [] for name in records[0][1]}
    for i, record in records:
        for name, values in columns.items():
            if not isinstance(record, dict) or name not in record:
                raise ConfigError(f"source.path: line {i} of '{path}' has no '{name}', as its first one does")
            if not (_is_number(record[name]) or isinstance(record[name], str | bool)):
                raise ConfigError(
                    f"source.path: line {i} of '{path}' has {json.dumps(record[name])[:60]} as '{name}'; expected a number or "
                    "a text"
                )
            values.append(record[name])
    series = []
    for name, values in columns.items():
        if any(isinstance(value, str) for value in values):
            texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
            series.append(polars.Series(name, texts, polars.String))
        else:
            numbers = [None if value is None else float(value) for value in values]
            series.append(polars.Series(name, numbers, polars.Float64))
    return polars.DataFrame(series)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
