"""Base of sources over a table or an array: encoded once, in float64, by the training rows."""

from __future__ import annotations

import abc
import functools
import math
from collections.abc import Hashable, Sequence

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.sources.dataset_source import DatasetSource, Rows, default_sizes, split_order
from selfconsume.sources.tabular import degenerate, encoding, missing
from selfconsume.sources.tabular.encoding import Encoded, TableColumns
from selfconsume.sources.tabular.missing import Missing
from selfconsume.sources.tabular.standardisation import Scale
from selfconsume.sources.tabular.table import Origin, Table, refuse_rounding


class TableSource(DatasetSource):
    """A source over a `Table`. Subclasses are frozen dataclasses with the fields below."""

    n: int | None
    n_test: int | None
    scale: Scale | None

    @property
    @abc.abstractmethod
    def origin(self) -> Origin:
        """Where the data comes from, for messages."""

    @abc.abstractmethod
    def table(self) -> Table:
        """The data as `prepared` gives it; cached by the implementation."""

    @abc.abstractmethod
    def data_version(self) -> Hashable:
        """What changes when the data behind equal fields does."""

    def rows(self) -> Rows:
        return self._encoded().rows

    def split_sizes(self) -> tuple[int, int]:
        return default_sizes(len(self.table().values), self.n, self.n_test)

    @property
    def units(self) -> tuple[Sequence[float], Sequence[float]] | None:
        return self._encoded().units

    @property
    def table_columns(self) -> TableColumns:
        return self._encoded().columns

    @property
    def one_hot(self) -> bool:
        """A table of a single column of categories."""
        return self._encoded().one_hot

    @property
    def common_unit(self) -> bool:
        """A stated common scale says that all columns share a unit."""
        return self.scale == "common"

    def check(self) -> None:
        super().check()
        if self.table().values.ndim == 2:
            n, n_test = self.split_sizes()
            train = self.rows().examples[split_order(len(self.table().values))[n_test : n_test + n]]
            degenerate.refuse(self.origin, train)
            if not self.one_hot:
                encoding.refuse_rare(self.origin, self.table_columns, train)

    def _encoded(self) -> Encoded:
        return _encode(self, self.data_version())


@functools.lru_cache(maxsize=8)
def _encode(source: TableSource, version: Hashable) -> Encoded:
    table = source.table()
    if table.values.ndim == 4:
        if source.scale not in (None, "none"):
            raise ConfigError(f"source.scale: images are not scaled, got {source.scale!r}; leave it out")
        return Encoded(Rows(table.values, table.labels, notes=table.notes), None, (), False)
    return encoding.encode(source.origin, table, source.scale, source.split_sizes())


def prepared(origin: Origin, table: Table, treatment: Missing, label: str | None) -> Table:
    """A table whose values can be encoded, its labels numbered from 0.

    Raises:
        ConfigError: It holds neither rows of real numbers nor uint8 images, has too few rows, or values are missing.
    """
    _check_array(origin, table.values)
    if table.labels is not None and table.labels.shape != (len(table.values),):
        raise ConfigError(
            f"source.label: labels of {origin} have shape {table.labels.shape}, expected ({len(table.values)},)"
        )
    table = missing.treat(origin, table, treatment, label)
    return table._replace(labels=None if table.labels is None else _numbered(origin, table.labels))


def _check_array(origin: Origin, values: np.ndarray) -> None:
    """Refuses arrays that are neither rows of real numbers nor uint8 images."""
    is_image = values.ndim == 4
    if values.dtype.kind not in "biuf":
        raise ConfigError(f"{origin.field}: {origin} holds {values.dtype} values; save real numbers")
    if values.ndim not in (2, 4):
        raise ConfigError(
            f"{origin.field}: {origin} holds an array of shape {values.shape}; expected (n, d), or images (n, H, W, C)"
            f"{'; a single column is x.reshape(-1, 1)' if values.ndim == 1 else ''}"
        )
    if is_image and (values.dtype != np.uint8 or values.shape[3] not in (1, 3)):
        raise ConfigError(
            f"{origin.field}: {origin} holds {values.dtype} images of shape {values.shape}; "
            "expected uint8 (n, H, W, C) with 1 or 3 channels C last"
        )
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8 and values.size:
        extremes = [(int(values[part].min()), int(values[part].max())) for part in missing.chunks(values)]
        refuse_rounding(
            f"{origin.field}: {origin}", (min(low for low, _ in extremes), max(high for _, high in extremes))
        )
    if len(values) < 2:
        raise ConfigError(
            f"{origin.field}: {origin} holds {len(values)} rows; at least 2 are needed, to train and to test on"
        )
    if math.prod(values.shape) == 0:
        raise ConfigError(f"{origin.field}: {origin} holds an array of shape {values.shape}, which is empty")


def _numbered(origin: Origin, labels: np.ndarray) -> np.ndarray:
    """Labels as int32, numbered from 0 in sorted order."""
    is_text = labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels)
    if labels.dtype.kind not in "biuUT" and not is_text:
        raise ConfigError(f"source.label: labels of {origin} are of type {labels.dtype}; expected integers or text")
    return np.unique(labels, return_inverse=True)[1].astype(np.int32)
