"""Tables of numbers and categories with named columns, from a data frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.sources.files.csv_fields import MISSING, as_numbers, label_values

if TYPE_CHECKING:
    import polars

DECIMAL_COMMA = r"^\s*[+-]?\d+,\d+\s*$"
MAX_WHOLE = 2**53
"""Largest whole number up to which float64 holds all of them."""
WHOLE = r"^[+-]?\d{16,}$"
"""Texts of whole numbers that may be beyond `MAX_WHOLE`."""
MAX_CATEGORIES = 500
"""Most categories of a column: each is a coordinate of every example."""


class Origin(NamedTuple):
    """Where data comes from, for messages: the recipe's field, and a name such as ``'x.csv'``."""

    field: str
    name: str

    def __str__(self) -> str:
        return self.name


class Table(NamedTuple):
    """Data in memory or memory-mapped: rows of real numbers ``(n, d)`` or uint8 images ``(n, H, W, C)``.

    NaN is a missing value. A column of categories holds their numbers.
    """

    values: np.ndarray
    labels: np.ndarray | None = None
    columns: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    """What was skipped or interpreted, for `Source.description`."""
    categories: tuple[tuple[str, ...] | None, ...] | None = None
    """The categories of each column, None for numbers; None: all columns are numbers."""
    has_missing: bool = False
    """Whether values are missing, and to be imputed."""


class TableFormat(NamedTuple):
    """The fields of a recipe that say how a table is read."""

    columns: tuple[str, ...] | None = None
    label: str | None = None
    header: bool | None = None
    decimal: Literal[".", ","] = "."
    categories: tuple[str, ...] = ()


def from_frame(
    frame: polars.DataFrame, form: TableFormat, origin: Origin, index: Sequence[str] = (), notes: Sequence[str] = ()
) -> Table:
    """The chosen columns of a data frame as float64 numbers and numbered categories.

    Columns of polars' types Enum and Categorical are categories, and those that the format names. Texts are numbers if all
    of them can be read as such.

    Args:
        frame: The data frame.
        form: Which columns, and how they are read.
        origin: Where it comes from.
        index: Columns of row numbers, left out unless the format names them.
        notes: What was skipped or interpreted when it was read.

    Raises:
        ConfigError: A column is absent, or holds neither numbers nor categories.
    """
    named = [("columns", form.columns or ()), ("label", (form.label,)), ("categories", form.categories)]
    for field, names in named:
        for name in names:
            if name is not None and name not in frame.columns:
                raise ConfigError(f"source.{field}: {origin} has no column '{name}'; it has {listed(frame.columns)}")
            if names.count(name) > 1:
                raise ConfigError(f"source.{field}: '{name}' is named twice; name it once")
    names = form.columns
    if names is None:
        skipped = [name for name in index if name not in (form.label, *form.categories)]
        names = tuple(name for name in frame.columns if name != form.label and name not in skipped)
        if skipped:
            notes = [*notes, f"skipped {listed(skipped)} (row index; name it in columns to use it)"]
        if "" in names:
            raise ConfigError(f"source.columns: {origin} has a column without a name; name the columns to use")
    if not names:
        raise ConfigError(f"source.columns: {origin} has no column but the label")
    for name in form.categories:
        if name not in names:
            raise ConfigError(f"source.categories: '{name}' is not among the columns to use; name it in columns too")
    labels = None if form.label is None else label_values(frame[form.label])
    values, categories = _columns(frame, names, form, origin)
    return Table(values, labels, names, tuple(notes), categories)


def refuse_rounding(where: str, extremes: tuple[int, int]) -> None:
    """Refuses whole numbers that float64 rounds.

    Args:
        where: What holds them, for the message.
        extremes: The smallest and the largest.

    Raises:
        ConfigError: One of them is beyond 2^53.
    """
    if largest := max((abs(int(value)) for value in extremes if abs(int(value)) > MAX_WHOLE), default=None):
        raise ConfigError(
            f"{where} holds whole numbers such as {largest}, expected at most 2^53 = {MAX_WHOLE}, beyond which float64 rounds "
            "them; leave them out if they are identifiers, or subtract an offset"
        )


def listed(names: Sequence[str], limit: int = 8) -> str:
    """Names in quotes, at most ``limit`` of them."""
    text = ", ".join(f"'{name}'" for name in names[:limit])
    return (text or "nothing") + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _columns(
    frame: polars.DataFrame, names: Sequence[str], form: TableFormat, origin: Origin
) -> tuple[np.ndarray, tuple[tuple[str, ...] | None, ...] | None]:
    """The columns as float64 ``(n, d)``, NaN where a value is missing; and the categories of each."""
    import polars

    arrays, categories, text, commas = [], [], {}, False
    for name in names:
        column, levels = frame[name], None
        if name in form.categories or column.dtype in (polars.Enum, polars.Categorical):
            column, levels = _numbered(column, origin)
        elif column.dtype == polars.String:
            numbers = as_numbers(column, form.decimal)
            wrong = column.filter(numbers.is_null() & ~column.str.strip_chars().is_in(MISSING).fill_null(True))
            if len(wrong):
                text[name] = wrong[0]
                commas |= bool(wrong.str.contains(DECIMAL_COMMA).all())
            else:
                refuse_rounding(f"source.columns: '{name}' of {origin}", _whole_extremes(column))
            column = numbers
        elif column.dtype.is_integer() and len(column):
            refuse_rounding(f"source.columns: '{name}' of {origin}", (column.min() or 0, column.max() or 0))  # pyright: ignore
        elif not (column.dtype.is_numeric() or column.dtype == polars.Boolean):
            text[name] = " ".join(str(column[0]).split())
        arrays.append(column if name in text else column.cast(polars.Float64).fill_null(float("nan")))
        categories.append(levels)
    if text:
        name = next(iter(text))
        remedy = (
            "if commas are decimal marks, set decimal = ','"
            if commas
            else f"name the columns to use, or list texts such as '{name}' in categories, or take one as label"
        )
        raise ConfigError(
            f"source.columns: {listed(list(text))} of {origin} hold no numbers, such as {text[name][:40]!r}; {remedy}"
        )
    values = np.stack([column.to_numpy() for column in arrays], axis=1)
    return values, tuple(categories) if any(levels is not None for levels in categories) else None


def _whole_extremes(column: polars.Series) -> tuple[int, int]:
    """The smallest and the largest of the long whole numbers in a column of texts; 0 where there is none."""
    texts = column.drop_nulls().str.strip_chars()
    values = [int(text) for text in texts.filter(texts.str.contains(WHOLE))]
    return (min(values), max(values)) if values else (0, 0)


def _numbered(column: polars.Series, origin: Origin) -> tuple[polars.Series, tuple[str, ...]]:
    """A column of categories as their numbers, null where one is missing; and the categories, sorted, numbers by size."""
    import polars

    texts = column.cast(polars.String).str.strip_chars()
    texts = texts.set(texts.is_in(MISSING).fill_null(False), None)
    levels = texts.drop_nulls().unique().sort()
    numbers = levels.cast(polars.Float64, strict=False)
    if not numbers.null_count():
        levels = levels.gather(numbers.arg_sort())
    if not 1 <= len(levels) <= MAX_CATEGORIES:
        raise ConfigError(
            f"source.categories: '{column.name}' of {origin} has {len(levels)} categories, expected 1 to {MAX_CATEGORIES}; "
            "leave the column out, or merge categories"
        )
    words = levels.to_list()
    return texts.replace_strict(words, list(range(len(words))), return_dtype=polars.Float64), tuple(words)
