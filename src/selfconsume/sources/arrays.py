"""Your own data file: an array or a table."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, MinLen

from selfconsume.errors import ConfigError
from selfconsume.sources.dataset_source import DatasetSource, Rows, default_sizes

SUFFIXES = (".npy", ".npz", ".parquet", ".csv")


@dataclasses.dataclass(frozen=True)
class Arrays(DatasetSource):
    """Rows of your own file: .npy, .npz, .parquet or .csv, numbers or uint8 images.

    Numbers, (n, d), become float32; images, (n, height, width, 1 or 3), must be uint8 and stay so. Rows are split in one
    fixed random order into test rows, training rows and the reserve, from which fresh data is drawn. Nothing is scaled:
    families assume data of about unit size.

    Attributes:
        path: The file. A .csv has one line of column names.
        array: The array of an .npz file; may be left out where there is only one (besides `label`).
        columns: Columns of a table; None takes all of them (but `label`).
        label: The column, or the array of an .npz file, that holds class labels: integers or text. They are numbered
            from 0 in sorted order.
        n: Training examples; None takes all that are not test examples, and leaves no reserve.
        n_test: Held-out examples, the same ones for every ``n``; None takes a fifth of the rows, at most 1000.
    """

    path: str
    array: str | None = None
    columns: Annotated[tuple[str, ...], MinLen(1)] | None = None
    label: str | None = None
    n: Annotated[int, Ge(1)] | None = None
    n_test: Annotated[int, Ge(2)] | None = None

    def rows(self) -> Rows:
        return _load(_version(self.path), self.path, self.array, self.columns, self.label)

    def split_sizes(self) -> tuple[int, int]:
        return default_sizes(len(self.rows().examples), self.n, self.n_test)

    def fingerprint(self) -> str:
        """SHA-256 of the file: what the data is, wherever it lies.

        Raises:
            ConfigError: There is no such file.
        """
        return _hash(_version(self.path), self.path)


def _version(path: str) -> tuple[int, int]:
    """What changes when a file is written again: the key under which its content is cached."""
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


@functools.lru_cache(maxsize=4)
def _load(
    version: tuple[int, int], path: str, array: str | None, columns: tuple[str, ...] | None, label: str | None
) -> Rows:
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"source.path: '{path}' ends in '{suffix}', expected one of {', '.join(SUFFIXES)}")
    table = suffix in (".csv", ".parquet")
    for name, value, fits in (
        ("array", array, suffix == ".npz"),
        ("columns", columns, table),
        ("label", label, suffix != ".npy"),
    ):
        if value is not None and not fits:
            raise ConfigError(f"source.{name}: a {suffix} file has none; leave it out")
    values, labels = _read_table(path, suffix, columns, label) if table else _read_numpy(path, suffix, array, label)
    examples = _examples(path, values)
    if labels is not None:
        labels = _numbered(path, labels, len(examples))
    return Rows(examples, labels)


def _read_numpy(path: str, suffix: str, array: str | None, label: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    # A header may claim any size, which shows as MemoryError before anything is read.
    unreadable = (ValueError, EOFError, OSError, MemoryError, SyntaxError, zipfile.BadZipFile)
    try:
        # Opened here, because NumPy leaves a file open where it finds a broken archive.
        with open(Path(path).expanduser(), "rb") as file:
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray) != (suffix == ".npy"):
                kind = "a single .npy array" if suffix == ".npz" else "an .npz archive"
                raise ConfigError(f"source.path: '{path}' is {kind}, though its name says {suffix}; rename it")
            if suffix == ".npy":
                return content, None
            rest = [name for name in content.files if name != label]
            if array is None and len(rest) != 1:
                raise ConfigError(f"source.array: '{path}' holds {len(rest)} arrays; name one of {_listed(rest)}")
            for field, name in (("array", array), ("label", label)):
                if name is not None and name not in content.files:
                    raise ConfigError(f"source.{field}: '{path}' has no '{name}'; it has {_listed(content.files)}")
            return content[rest[0] if array is None else array], None if label is None else content[label]
    except ConfigError:
        raise
    except unreadable as error:
        if "pickle" in str(error):
            raise ConfigError(
                f"source.path: '{path}' is no NumPy file, or holds Python objects, which are not read because that may "
                "run code; save a plain numeric array"
            ) from None
        raise ConfigError(f"source.path: '{path}' cannot be read as {suffix} ({_first_line(error)})") from None


def _read_table(
    path: str, suffix: str, columns: tuple[str, ...] | None, label: str | None
) -> tuple[np.ndarray, np.ndarray | None]:
    import polars

    file = Path(path).expanduser()
    try:
        # Types are inferred from all rows: a column may start with whole numbers and go on with fractions.
        table = polars.read_csv(file, infer_schema_length=None) if suffix == ".csv" else polars.read_parquet(file)
    except (polars.exceptions.PolarsError, OSError) as error:
        raise ConfigError(f"source.path: '{path}' cannot be read as {suffix} ({_first_line(error)})") from None
    if suffix == ".csv" and _headless(table.columns):
        raise ConfigError(
            f"source.path: the first line of '{path}' holds numbers; put a line of column names before it"
        )
    for field, name in [("columns", name) for name in columns or ()] + [("label", label)]:
        if name is not None and name not in table.columns:
            raise ConfigError(f"source.{field}: '{path}' has no column '{name}'; it has {_listed(table.columns)}")
    for name in columns or ():
        if columns and columns.count(name) > 1:
            raise ConfigError(f"source.columns: '{name}' is named twice")
    names = columns or [name for name in table.columns if name != label]
    if columns is None and "" in names:
        raise ConfigError(
            f"source.columns: '{path}' has a column without a name (row numbers?); name the columns to use"
        )
    text = [name for name in names if not (table[name].dtype.is_numeric() or table[name].dtype == polars.Boolean)]
    if text:
        raise ConfigError(
            f"source.columns: {_listed(text)} of '{path}' hold no numbers; name the columns to use, "
            "or one of them as label"
        )
    if not names:
        raise ConfigError(f"source.columns: '{path}' has no column but the label")
    numbers = np.stack([table[name].cast(polars.Float64).fill_null(float("nan")).to_numpy() for name in names], axis=1)
    if label is None:
        return numbers, None
    if table[label].null_count():
        raise ConfigError(f"source.label: {table[label].null_count()} rows of '{label}' are empty; fill or remove them")
    return numbers, table[label].to_numpy()


def _examples(path: str, values: np.ndarray) -> np.ndarray:
    """The array as examples, or a `ConfigError` that says why it cannot be."""
    image = values.ndim == 4
    if values.dtype.kind not in "biuf":
        raise ConfigError(f"source.path: '{path}' holds {values.dtype} values; save real numbers")
    if values.ndim not in (2, 4):
        raise ConfigError(
            f"source.path: '{path}' holds an array of shape {values.shape}; expected (n, d), or images (n, H, W, C)"
        )
    if image and (values.dtype != np.uint8 or values.shape[3] not in (1, 3)):
        raise ConfigError(
            f"source.path: '{path}' holds {values.dtype} images of shape {values.shape}; "
            "expected uint8 (n, H, W, C) with 1 or 3 channels C last"
        )
    if len(values) < 2:
        raise ConfigError(
            f"source.path: '{path}' holds {len(values)} rows; at least 2 are needed, to train and to test on"
        )
    if 0 in values.shape:
        raise ConfigError(f"source.path: '{path}' holds an array of shape {values.shape}, which is empty")
    if image:
        return values
    with np.errstate(over="ignore"):
        examples = values.astype(np.float32)
    broken = int((~np.isfinite(examples)).any(axis=1).sum())
    if broken:
        raise ConfigError(
            f"source.path: {broken} of the {len(examples)} rows of '{path}' hold missing, NaN or infinite values; "
            "remove or fill them"
        )
    return np.ascontiguousarray(examples)


def _numbered(path: str, labels: np.ndarray, rows: int) -> np.ndarray:
    if labels.shape != (rows,):
        raise ConfigError(f"source.label: labels of '{path}' have shape {labels.shape}, expected ({rows},)")
    text = labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels)
    if labels.dtype.kind not in "biuUT" and not text:
        raise ConfigError(f"source.label: labels of '{path}' are of type {labels.dtype}; expected integers or text")
    return np.unique(labels, return_inverse=True)[1].astype(np.int32)


def _headless(names: list[str]) -> bool:
    """Whether a table's first line seems to be data: all numbers, and not just 0, 1, 2, ... as pandas writes them."""
    # polars marks the second column of a name so.
    names = [name.split("_duplicated_")[0] for name in names]
    try:
        return [float(name) for name in names] != list(range(len(names)))
    except ValueError:
        return False


def _listed(names: Sequence[str], most: int = 8) -> str:
    quoted = ", ".join(f"'{name}'" for name in names[:most])
    return (quoted or "nothing") + (f" and {len(names) - most} more" if len(names) > most else "")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
