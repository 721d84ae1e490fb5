"""JSON lines: one example a line, as a list of numbers or as an object of named numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.files.regular import read_bytes
from selfconsume.sources.files.archives import first_line
from selfconsume.sources.tabular.table import Table, listed

SUFFIXES = (".jsonl", ".ndjson")


def read(path: str, columns: Sequence[str] | None = None) -> Table:
    """Reads a file of JSON lines; blank lines are skipped, null is a missing value.

    Args:
        path: The file.
        columns: Names to read from objects, in this order; None: those of the first object.

    Raises:
        ConfigError: The file cannot be read, or a line is not like the first one.
    """
    try:
        lines = read_bytes(Path(path).expanduser()).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"source.path: '{path}' cannot be read as JSON lines ({first_line(error)})") from None
    examples = [_parsed(path, i, line) for i, line in enumerate(lines, 1) if line.strip()]
    if not examples:
        raise ConfigError(f"source.path: '{path}' holds no lines; write one example a line")
    if isinstance(examples[0][1], dict):
        columns = tuple(examples[0][1]) if columns is None else tuple(columns)
        rows = [(i, [_field(path, i, example, name) for name in columns]) for i, example in examples]
    else:
        columns, rows = None, examples
    width = len(rows[0][1]) if isinstance(rows[0][1], list) else -1
    values = np.empty((len(rows), max(width, 0)))
    for row, (i, numbers) in enumerate(rows):
        if not isinstance(numbers, list) or len(numbers) != width or not all(map(_is_number, numbers)):
            raise ConfigError(
                f"source.path: line {i} of '{path}' is {json.dumps(numbers)[:60]}; expected {max(width, 1)} numbers, as a list "
                "or an object"
            )
        values[row] = [np.nan if number is None else number for number in numbers]
    return Table(values, columns=columns)


def _parsed(path: str, i: int, line: str) -> tuple[int, Any]:
    try:
        return i, json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"source.path: line {i} of '{path}' is not JSON ({first_line(error)})") from None


def _field(path: str, i: int, example: Any, name: str) -> Any:
    if not isinstance(example, dict) or name not in example:
        names = listed(list(example)) if isinstance(example, dict) else "no names"
        raise ConfigError(f"source.path: line {i} of '{path}' has no '{name}'; it has {names}")
    return example[name]


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
