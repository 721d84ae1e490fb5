"""Data given to this process as objects, found again by the checksum of its content."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.sources.tabular.missing import chunks

if TYPE_CHECKING:
    import polars

SHORT = 12
"""Digits of a checksum in messages."""
_DATA: dict[str, MemoryData] = {}


class MemoryData(NamedTuple):
    """An array with labels, or a data frame; neither is changed any more."""

    name: str
    """What it is, for messages: "the array"."""
    values: np.ndarray | polars.DataFrame
    labels: np.ndarray | None = None


def keep(data: MemoryData) -> str:
    """Keeps data until the process ends; the checksum (sha256) by which `fetch` finds it."""
    content = checksum(data)
    _DATA.setdefault(content, data)
    return content


def fetch(content: str) -> MemoryData:
    """The data with this checksum.

    Raises:
        ConfigError: This process was not given it.
    """
    if content not in _DATA:
        raise ConfigError(
            f"source.content: the data with sha256 {content[:SHORT]} came from memory and is not in this process; pass it to "
            "source() again to add generations, seeds or metrics; stored values and samples can be read without it"
        )
    return _DATA[content]


def forget() -> None:
    """Keeps no data, as a new process."""
    _DATA.clear()


def checksum(data: MemoryData) -> str:
    """SHA-256 of values, labels, and names of columns."""
    digest = hashlib.sha256()
    if isinstance(data.values, np.ndarray):
        _add(digest, data.values)
    else:
        for column in data.values.iter_columns():
            is_number = column.dtype.is_numeric()
            digest.update(json.dumps([column.name, "number" if is_number else str(column.dtype)]).encode())
            if is_number:
                _add(digest, column.to_numpy())
            else:
                digest.update(json.dumps(column.cast(str).to_list()).encode())
    if data.labels is not None:
        _add(digest, data.labels)
    return digest.hexdigest()


def _add(digest: hashlib._Hash, array: np.ndarray) -> None:
    digest.update(repr((array.dtype.str, array.shape)).encode())
    if array.dtype == object:
        digest.update(json.dumps(array.tolist()).encode())
        return
    for part in chunks(array):
        digest.update(np.ascontiguousarray(array[part]).data)
