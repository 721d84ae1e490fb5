"""Your own data file: an array or a table."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, MinLen

from selfconsume.errors import ConfigError
from selfconsume.sources import degenerate
from selfconsume.sources.dataset_source import DatasetSource, Rows, default_sizes, split_order
from selfconsume.sources.files import numpy_files, tables
from selfconsume.sources.files.tables import Table, TableFormat
from selfconsume.sources.standardisation import Scale, Standardisation, standardise

TABLE_SUFFIXES = (".parquet", ".csv", ".tsv")
SUFFIXES = (".npy", ".npz", *TABLE_SUFFIXES)


@dataclasses.dataclass(frozen=True)
class Arrays(DatasetSource):
    """Your own file, .npy, .npz, .parquet, .csv or .tsv: rows of numbers, or uint8 images.

    A fixed random permutation splits the rows into test set, training set and the reserve for fresh draws. Numbers, (n, d),
    are standardised in float64 by the training rows (`scale`), then become float32; metrics are in these units, exports and
    pictures in the data's own. Images, (n, height, width, 1 or 3), must be uint8 and are not scaled.

    In a .csv file the separator (comma, semicolon, tab, bar), the encoding and the line of column names are detected; blank
    lines and lines that start with # are skipped; empty fields, NA, nan and null are missing values. Columns without a name
    that only number the rows are skipped. What was skipped or detected is reported at the start of a run.

    Attributes:
        path: The file.
        array: Array of an .npz file; optional if there is a single one (besides `label`).
        columns: Columns of a table; None takes all but `label`.
        label: Column, or array of an .npz file, with class labels: integers or text, numbered from 0 in sorted order.
        n: Training examples; None takes all but the test set and leaves no reserve.
        n_test: Held-out examples, the same for every ``n``; None takes a fifth of the rows, at most 1000.
        scale: "columns": mean 0 and standard deviation 1 for each column. "common": mean 0 for each column and one factor
            for all, so that distances keep their ratios. "none": unchanged. None: "columns" for named columns, or if
            deviations differ by more than a factor 100, else "common". Constant columns become 0.
        missing: "refuse" or "drop" rows with missing, NaN or infinite values.
        decimal: Decimal mark of a .csv file.
        header: Whether the first line of a .csv file holds column names; None detects it.
    """

    version: ClassVar[int] = 2

    path: str
    array: str | None = None
    columns: Annotated[tuple[str, ...], MinLen(1)] | None = None
    label: str | None = None
    n: Annotated[int, Ge(1)] | None = None
    n_test: Annotated[int, Ge(2)] | None = None
    scale: Scale | None = None
    missing: Literal["refuse", "drop"] = "refuse"
    decimal: Literal[".", ","] = "."
    header: bool | None = None

    def rows(self) -> Rows:
        return self._standardised()[0]

    def split_sizes(self) -> tuple[int, int]:
        return default_sizes(len(self._table().values), self.n, self.n_test)

    def fingerprint(self) -> str:
        """SHA-256 of the file, independent of its path.

        Raises:
            ConfigError: The file does not exist.
        """
        return _hash(_version(self.path), self.path)

    @property
    def units(self) -> tuple[Sequence[float], Sequence[float]] | None:
        standardisation = self._standardised()[1]
        if standardisation is None or standardisation.scale == "none":
            return None
        return standardisation.center.tolist(), standardisation.factor.tolist()

    @property
    def common_unit(self) -> bool:
        """A stated common scale says that all columns share a unit."""
        return self.scale == "common"

    def check(self) -> None:
        super().check()
        rows, standardisation = self._standardised()
        if standardisation is not None:
            degenerate.refuse(self.path, rows.examples[split_order(len(rows.examples))], *self.split_sizes())

    def _table(self) -> Table:
        form = TableFormat(self.columns, self.label, self.header, self.decimal)
        return _load(_version(self.path), self.path, self.array, form, self.missing)

    def _standardised(self) -> tuple[Rows, Standardisation | None]:
        table = self._table()
        if table.values.ndim == 4:
            if self.scale not in (None, "none"):
                raise ConfigError(f"source.scale: images are not scaled, got {self.scale!r}; leave it out")
            return Rows(table.values, table.labels, notes=table.notes), None
        form = TableFormat(self.columns, self.label, self.header, self.decimal)
        split = self.split_sizes()
        return _standardised(_version(self.path), self.path, self.array, form, self.missing, self.scale, split)


def _version(path: str) -> tuple[int, int]:
    """Modification time and size: the key of caches of the file's content."""
    try:
        file = Path(path).expanduser()
        status = file.stat()
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"source.path: cannot find '{path}' ({reason}); give the path of a file") from None
    if not file.is_file():
        raise ConfigError(f"source.path: '{path}' is not a file; give a file of the kind {', '.join(SUFFIXES)}")
    return status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=8)
def _hash(version: tuple[int, int], path: str) -> str:
    with open(Path(path).expanduser(), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.lru_cache(maxsize=2)
def _load(version: tuple[int, int], path: str, array: str | None, form: TableFormat, missing: str) -> Table:
    """The file as float64 rows without missing values, or as images; labels numbered from 0."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"source.path: '{path}' ends in '{suffix}', expected one of {', '.join(SUFFIXES)}")
    is_table = suffix in TABLE_SUFFIXES
    for name, is_set, is_possible in (
        ("array", array is not None, suffix == ".npz"),
        ("columns", form.columns is not None, is_table),
        ("label", form.label is not None, suffix != ".npy"),
        ("header", form.header is not None, suffix in (".csv", ".tsv")),
        ("decimal", form.decimal != ".", suffix in (".csv", ".tsv")),
    ):
        if is_set and not is_possible:
            raise ConfigError(f"source.{name}: a {suffix} file has none; leave it out")
    table = tables.read(path, form) if is_table else numpy_files.read(path, array, form.label)
    _check_array(path, table.values)
    if table.labels is not None and table.labels.shape != (len(table.values),):
        raise ConfigError(
            f"source.label: labels of '{path}' have shape {table.labels.shape}, expected ({len(table.values)},)"
        )
    table = _without_missing(path, table, missing, form.label)
    labels = None if table.labels is None else _numbered(path, table.labels)
    return table._replace(labels=labels)


@functools.lru_cache(maxsize=4)
def _standardised(
    version: tuple[int, int],
    path: str,
    array: str | None,
    form: TableFormat,
    missing: str,
    scale: Scale | None,
    split: tuple[int, int],
) -> tuple[Rows, Standardisation]:
    table = _load(version, path, array, form, missing)
    n, n_test = split
    values = table.values
    train = values[split_order(len(values))[n_test : n_test + n]]
    # A split that `check` refuses has no training rows.
    standardisation = standardise(train if len(train) else values, scale, has_names=table.columns is not None)
    examples = standardisation.encode(values)
    if n_broken := int((~np.isfinite(examples)).any(axis=1).sum()):
        raise ConfigError(
            f"source.path: {n_broken} of the {len(values)} rows of '{path}' are beyond the range of float32; set scale to "
            "'columns' or 'common'"
        )
    notes = [*table.notes, *degenerate.describe_scale(standardisation, table.columns)]
    ordered = examples[split_order(len(values))]
    notes += degenerate.warnings(ordered, n, n_test, table.columns)
    if table.columns is not None:
        notes.insert(0, f"columns {', '.join(table.columns[:20])}{', ...' * (len(table.columns) > 20)}")
    return Rows(examples, table.labels, notes=tuple(notes)), standardisation


def _check_array(path: str, values: np.ndarray) -> None:
    """Refuses arrays that are neither rows of real numbers nor uint8 images."""
    is_image = values.ndim == 4
    if values.dtype.kind not in "biuf":
        raise ConfigError(f"source.path: '{path}' holds {values.dtype} values; save real numbers")
    if values.ndim not in (2, 4):
        raise ConfigError(
            f"source.path: '{path}' holds an array of shape {values.shape}; expected (n, d), or images (n, H, W, C)"
        )
    if is_image and (values.dtype != np.uint8 or values.shape[3] not in (1, 3)):
        raise ConfigError(
            f"source.path: '{path}' holds {values.dtype} images of shape {values.shape}; "
            "expected uint8 (n, H, W, C) with 1 or 3 channels C last"
        )
    if len(values) < 2:
        raise ConfigError(
            f"source.path: '{path}' holds {len(values)} rows; at least 2 are needed, to train and to test on"
        )
    if math.prod(values.shape) == 0:
        raise ConfigError(f"source.path: '{path}' holds an array of shape {values.shape}, which is empty")


def _without_missing(path: str, table: Table, missing: str, label: str | None) -> Table:
    """float64 rows and labels of a table without rows of missing values."""
    if table.values.ndim == 4:
        return table
    values = table.values.astype(np.float64)
    is_missing = ~np.isfinite(values)
    is_broken = is_missing.any(axis=1)
    counts = is_missing.sum(axis=0)
    names = table.columns or [f"column {j}" for j in range(values.shape[1])]
    places = [f"{name} {count}" for name, count in zip(names, counts, strict=True) if count]
    if table.labels is not None and table.labels.dtype == object:
        unlabelled = np.array([value is None for value in table.labels])
        if unlabelled.any() and missing == "refuse":
            raise ConfigError(
                f"source.label: {unlabelled.sum()} rows of '{label}' are empty; fill them, or set missing = 'drop'"
            )
        is_broken = is_broken | unlabelled
        places += [f"label {unlabelled.sum()}"] if unlabelled.any() else []
    if not is_broken.any():
        return table._replace(values=values)
    where = ", ".join(places[:8]) + (f" and {len(places) - 8} more" if len(places) > 8 else "")
    fault = f"{is_broken.sum()} of the {len(values)} rows of '{path}' hold missing, NaN or infinite values ({where})"
    if missing == "refuse":
        raise ConfigError(f"source.path: {fault}; set missing = 'drop', or fill them")
    if (~is_broken).sum() < 2:
        raise ConfigError(f"source.path: {fault}; fewer than 2 complete rows are left, choose columns or fill them")
    labels = None if table.labels is None else table.labels[~is_broken]
    if labels is not None and labels.dtype == object and all(isinstance(value, int | float) for value in labels):
        labels = np.array(labels.tolist())
    note = f"dropped {is_broken.sum()} of {len(values)} rows with missing values ({where})"
    return table._replace(values=values[~is_broken], labels=labels, notes=(*table.notes, note))


def _numbered(path: str, labels: np.ndarray) -> np.ndarray:
    """Labels as int32, numbered from 0 in sorted order."""
    is_text = labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels)
    if labels.dtype.kind not in "biuUT" and not is_text:
        raise ConfigError(f"source.label: labels of '{path}' are of type {labels.dtype}; expected integers or text")
    return np.unique(labels, return_inverse=True)[1].astype(np.int32)
