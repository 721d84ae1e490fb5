"""A table as examples: missing values imputed, numbers standardised, categories as one-hot blocks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.sources.dataset_source import Rows, split_order
from selfconsume.sources.tabular import degenerate, missing
from selfconsume.sources.tabular.standardisation import Scale, Standardisation, standardise
from selfconsume.sources.tabular.table import Origin, Table

RAREST = 1e-4
"""Smallest share of training rows of a category: its indicator's deviation is then 0.01, a hundredth of a number's."""

TableColumns = tuple[tuple[str, tuple[str, ...] | None], ...]
"""Name of each column of a table and its categories, None for numbers."""


@dataclasses.dataclass(frozen=True, eq=False)
class EncodedRows:
    """Rows that are encoded when they are indexed, so that only rows in use take memory.

    Attributes:
        values: The table's values, ``(n, d)``; may be memory-mapped.
        standardisation: Of the columns of numbers.
        categories: The categories of each column, see `Table`.
        replacements: What is imputed in each column; None: nothing is missing.
    """

    values: np.ndarray
    standardisation: Standardisation
    categories: tuple[tuple[str, ...] | None, ...] | None = None
    replacements: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        categories = self.categories or (None,) * self.values.shape[1]
        return len(self.values), sum(1 if levels is None else len(levels) for levels in categories)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        """Examples of some rows, float32."""
        values = np.asarray(self.values[rows], np.float64)
        if self.replacements is not None:
            values = np.where(np.isfinite(values), values, self.replacements)
        if self.categories is None:
            return self.standardisation.encode(values)
        numeric = [j for j, levels in enumerate(self.categories) if levels is None]
        numbers = iter(self.standardisation.encode(values[:, numeric]).T)
        blocks = [
            next(numbers)[:, None] if levels is None else (values[:, [j]] == np.arange(len(levels))).astype(np.float32)
            for j, levels in enumerate(self.categories)
        ]
        return np.ascontiguousarray(np.concatenate(blocks, axis=1))


class Encoded(NamedTuple):
    """A table as examples, and how they are decoded."""

    rows: Rows
    units: tuple[Sequence[float], Sequence[float]] | None
    """See `Source.units`."""
    columns: TableColumns
    """See `Source.table_columns`."""
    one_hot: bool
    """See `Source.one_hot`."""


def encode(origin: Origin, table: Table, scale: Scale | None, split: tuple[int, int]) -> Encoded:
    """Examples of a table of numbers and categories.

    Numbers are standardised and missing values replaced by the training rows. A category becomes an indicator of 0 or 1, not
    standardised: two rows of different categories are then a distance of sqrt(2) deviations apart.

    Args:
        origin: Where the table comes from.
        table: The table.
        scale: What the user asked for, see `standardise`.
        split: Numbers of training and test rows.

    Raises:
        ConfigError: A number exceeds float32, a category is too rare, or there is nothing to impute from.
    """
    n, n_test = split
    values, order = table.values, split_order(len(table.values))
    chosen = order[n_test : n_test + n]
    # A split that `check` refuses has no training rows.
    train = np.asarray(values[chosen if len(chosen) else order], np.float64)
    fill, notes = None, list(table.notes)
    if table.has_missing:
        fill = missing.replacements(origin, table, train)
        train = np.where(np.isfinite(train), train, fill)
    levels = table.categories or (None,) * values.shape[1]
    numeric = [j for j, names in enumerate(levels) if names is None]
    names = missing.names(table)
    degenerate.refuse_coarse(origin, train[:, numeric], [names[j] for j in numeric])
    standardisation = standardise(train[:, numeric], scale, has_names=table.columns is not None)
    rows = EncodedRows(values, standardisation, table.categories, fill)
    _check_range(origin, rows)
    columns = tuple(zip(names, levels, strict=True)) if table.columns is not None else ()
    is_one_hot = len(levels) == 1 and not numeric
    if numeric:
        numeric_names = None if table.columns is None else [names[j] for j in numeric]
        notes += degenerate.describe_scale(standardisation, numeric_names)
    notes += [f"categories of {name}: {_words(words)}" for name, words in columns if words is not None]
    if not is_one_hot:
        notes += degenerate.warnings(rows[chosen], rows[order[:n_test]], _coordinates(columns))
    if table.columns is not None:
        notes.insert(0, f"columns {', '.join(table.columns[:20])}{', ...' * (len(table.columns) > 20)}")
    units = None if standardisation.scale == "none" else _units(standardisation, levels)
    return Encoded(Rows(rows, table.labels, notes=tuple(notes)), units, columns, is_one_hot)


def refuse_rare(origin: Origin, columns: TableColumns, train: np.ndarray) -> None:
    """Refuses categories so rare that distances and networks would ignore them.

    Args:
        origin: Where the table comes from.
        columns: Names and categories of the table's columns.
        train: Encoded training rows.

    Raises:
        ConfigError: A category occurs, but in less than a share `RAREST` of the training rows.
    """
    for share, name in zip(train.mean(axis=0, dtype=np.float64), _coordinates(columns) or (), strict=False):
        if "=" in name and 0 < share < RAREST:
            raise ConfigError(
                f"{origin.field}: {name} holds in {round(share * len(train))} of {len(train)} training rows of {origin}, "
                f"expected a share of at least {RAREST:g}; merge it with another category, or leave the column out"
            )


def _check_range(origin: Origin, rows: EncodedRows) -> None:
    n_broken = sum(int((~np.isfinite(rows[part])).any(axis=1).sum()) for part in missing.chunks(rows.values))
    if n_broken:
        raise ConfigError(
            f"{origin.field}: {n_broken} of the {len(rows)} rows of {origin} are beyond the range of float32; set scale to "
            "'columns' or 'common'"
        )


def _units(
    standardisation: Standardisation, levels: Sequence[tuple[str, ...] | None]
) -> tuple[Sequence[float], Sequence[float]]:
    """Center and factor of each coordinate; 0 and 1 for indicators."""
    numbers = zip(standardisation.center.tolist(), standardisation.factor.tolist(), strict=True)
    pairs = [pair for names in levels for pair in ([next(numbers)] if names is None else [(0.0, 1.0)] * len(names))]
    center, factor = zip(*pairs, strict=True)
    return list(center), list(factor)


def _coordinates(columns: TableColumns) -> list[str] | None:
    """A name for each coordinate of an example: ``age``, ``colour=red``; None without names."""
    if not columns:
        return None
    return [text for name, words in columns for text in ([name] if words is None else [f"{name}={w}" for w in words])]


def _words(words: Sequence[str]) -> str:
    return ", ".join(words[:12]) + (f", ... ({len(words)})" if len(words) > 12 else "")
