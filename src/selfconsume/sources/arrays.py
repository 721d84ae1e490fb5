"""Your own data file: an array or a table."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, MinLen

from selfconsume.errors import ConfigError
from selfconsume.files.regular import open_regular
from selfconsume.sources.files import numpy_files, tables
from selfconsume.sources.tabular.missing import Missing
from selfconsume.sources.tabular.standardisation import Scale
from selfconsume.sources.tabular.table import Origin, Table, TableFormat
from selfconsume.sources.tabular.table_source import TableSource, prepared

TABLE_SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson")
SUFFIXES = (".npy", ".npz", *TABLE_SUFFIXES)


@dataclasses.dataclass(frozen=True)
class Arrays(TableSource):
    """Your own file, .npy, .npz, .parquet, .csv, .tsv or .jsonl: rows of numbers, or uint8 images.

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
        missing: "refuse" or "drop" rows with missing, NaN or infinite values, or "impute" these: by the mean of the training
            rows, categories by the most frequent one.
        decimal: Decimal mark of a .csv file.
        header: Whether the first line of a .csv file holds column names; None detects it.
        categories: Columns of a table that hold categories. Each becomes a block of indicators, one for each category,
            which `scale` leaves alone; exported tables name the category whose value is largest.
    """

    version: ClassVar[int] = 2

    path: str
    array: str | None = None
    columns: Annotated[tuple[str, ...], MinLen(1)] | None = None
    label: str | None = None
    n: Annotated[int, Ge(1)] | None = None
    n_test: Annotated[int, Ge(2)] | None = None
    scale: Scale | None = None
    missing: Missing = "refuse"
    decimal: Literal[".", ","] = "."
    header: bool | None = None
    categories: tuple[str, ...] = ()

    @property
    def origin(self) -> Origin:
        return Origin("source.path", f"'{self.path}'")

    def table(self) -> Table:
        form = TableFormat(self.columns, self.label, self.header, self.decimal, self.categories)
        return _load(self.data_version(), self.path, self.array, form, self.missing)

    def data_version(self) -> tuple[int, int]:
        return _version(self.path)

    def fingerprint(self) -> str:
        """SHA-256 of the file, independent of its path.

        Raises:
            ConfigError: The file does not exist.
        """
        return _hash(_version(self.path), self.path)


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
    with open_regular(Path(path).expanduser()) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.lru_cache(maxsize=2)
def _load(version: tuple[int, int], path: str, array: str | None, form: TableFormat, missing: Missing) -> Table:
    """The file as `prepared` gives it."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"source.path: '{path}' ends in '{suffix}', expected one of {', '.join(SUFFIXES)}")
    is_table = suffix in TABLE_SUFFIXES
    for name, is_set, is_possible in (
        ("array", array is not None, suffix == ".npz"),
        ("columns", form.columns is not None, is_table),
        ("label", form.label is not None, suffix != ".npy"),
        ("categories", bool(form.categories), is_table),
        ("header", form.header is not None, suffix in (".csv", ".tsv")),
        ("decimal", form.decimal != ".", suffix in (".csv", ".tsv")),
    ):
        if is_set and not is_possible:
            raise ConfigError(f"source.{name}: a {suffix} file has none; leave it out")
    table = tables.read(path, form) if is_table else numpy_files.read(path, array, form.label)
    return prepared(Origin("source.path", f"'{path}'"), table, missing, form.label)
