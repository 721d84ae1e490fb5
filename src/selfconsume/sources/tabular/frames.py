"""Objects that people have data in, as arrays or polars data frames: arrays of any library, data frames, datasets."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.sources.tabular.memory_data import MemoryData
from selfconsume.sources.tabular.table import listed, refuse_rounding
from selfconsume.validity import unmasked

if TYPE_CHECKING:
    import polars


def is_dataset(data: Any) -> bool:
    """Whether an object is a dataset, or a dictionary of datasets, of Hugging Face's library."""
    return type(data).__module__.partition(".")[0] == "datasets"


def is_frame(data: Any) -> bool:
    """Whether an object is a data frame of a library that narwhals knows, such as pandas or polars."""
    import narwhals

    try:
        narwhals.from_native(data, eager_only=True)
    except TypeError:
        return False
    except narwhals.exceptions.DuplicateError:  # refused by name when it is read
        return True
    return True


def from_array(data: Any, label: Any = None) -> MemoryData:
    """An array of any library, or nested lists; its own copy, unless it is mapped read-only.

    Args:
        data: Rows ``(n, d)`` or images ``(n, H, W, C)``.
        label: A label for each row; None: there are none.

    Raises:
        ConfigError: It cannot be read as an array of numbers.
    """
    return MemoryData("the array", _frozen("source", data), None if label is None else _frozen("source.label", label))


def from_frame(data: Any) -> MemoryData:
    """A data frame of any library as float64 numbers, texts and categories; indices are left out.

    Raises:
        ConfigError: A column holds neither.
    """
    import narwhals
    import polars

    _refuse_ambiguous_names(list(getattr(data, "columns", ())))
    frame = narwhals.from_native(data, eager_only=True)
    columns = []
    for name in frame.columns:
        series = frame[name]
        if series.dtype.is_numeric() or series.dtype == narwhals.Boolean:
            if series.dtype.is_integer():
                refuse_rounding(f"source: column '{name}' of the data frame", (series.min() or 0, series.max() or 0))
            columns.append(polars.Series(str(name), series.cast(narwhals.Float64).to_numpy(), polars.Float64))
            continue
        is_missing = series.is_null().to_list()
        values = [None if empty else value for value, empty in zip(series.to_list(), is_missing, strict=True)]
        is_category = series.dtype in (narwhals.Categorical, narwhals.Enum)
        if not is_category and not all(value is None or isinstance(value, str) for value in values):
            raise ConfigError(
                f"source: column '{name}' of the data frame is of type {series.dtype}, expected numbers, texts or categories; "
                "drop or convert it"
            )
        texts = [None if value is None else str(value) for value in values]
        columns.append(_categories(str(name), texts) if is_category else polars.Series(str(name), texts, polars.String))
    return MemoryData("the data frame", polars.DataFrame(columns))


def _refuse_ambiguous_names(names: list[Any]) -> None:
    """Refuses column names that are repeated or, with several levels of them, no single name."""
    if nested := [name for name in names if isinstance(name, tuple)]:
        raise ConfigError(
            f"source: column {nested[0]!r} of the data frame has a name of {len(nested[0])} levels, expected one; join them: "
            "frame.columns = ['_'.join(map(str, name)) for name in frame.columns]"
        )
    texts = [str(name) for name in names]
    if repeated := [name for name, count in collections.Counter(texts).items() if count > 1]:
        raise ConfigError(
            f"source: the data frame has several columns {listed(repeated)}; rename them, or leave them out"
        )


def from_dataset(data: Any, columns: Sequence[str] | None = None, label: str | None = None) -> MemoryData:
    """A dataset of Hugging Face: its pictures, its vectors, or its numbers, texts and classes as a data frame.

    Pictures and vectors take their labels from ``label``, or from the single column of classes.

    Raises:
        ConfigError: It is a dictionary of splits or a stream, columns are absent, or they cannot be examples together.
    """
    if not isinstance(getattr(data, "num_rows", None), int):
        splits = f"one of its splits, {listed(list(data))}" if hasattr(data, "keys") else "one that is no stream"
        raise ConfigError(f"source: expected a single dataset, got a {type(data).__name__}; pass {splits}")
    kinds = {name: type(feature).__name__ for name, feature in data.features.items()}
    for name in (*(columns or ()), *([label] if label else [])):
        if name not in kinds:
            raise ConfigError(f"source.columns: the dataset has no column '{name}'; it has {listed(list(kinds))}")
    names = [name for name in columns or kinds if name != label]
    classes = [name for name in kinds if kinds[name] == "ClassLabel"]
    pictures = [name for name in names if kinds[name] == "Image"]
    vectors = [name for name in names if kinds[name].startswith(("Array", "List", "LargeList", "Sequence"))]
    if not pictures and not vectors:
        return MemoryData("the dataset", _scalars(data, kinds, names, label))
    if len(pictures or vectors) > 1:
        raise ConfigError(f"source.columns: the dataset holds {listed(pictures or vectors)}; name one of them")
    if label is None and len(classes) == 1:
        (label,) = classes
    labels = None if label is None else np.asarray(data.select_columns([label]).to_polars()[label].to_numpy())
    (name,) = pictures or vectors
    if pictures:
        return MemoryData("the dataset", _pictures(data.select_columns([name]), name), labels)
    return MemoryData("the dataset", _frozen(f"source.{name}", data.with_format("numpy")[:][name]), labels)


def _scalars(data: Any, kinds: dict[str, str], names: list[str], label: str | None) -> polars.DataFrame:
    """Columns of numbers and texts; classes by their names, the label by its number."""
    import polars

    chosen = [*names, *([label] if label else [])]
    frame = data.select_columns(chosen).to_polars()
    for name in names:
        if kinds[name] == "ClassLabel":
            words = dict(enumerate(data.features[name].names))
            texts = [words.get(value) for value in frame[name].to_list()]
            frame = frame.with_columns(_categories(name, texts))
    numbers = [name for name in names if frame[name].dtype.is_numeric() or frame[name].dtype == polars.Boolean]
    for name in numbers:
        if frame[name].dtype.is_integer() and frame.height:
            extremes = (int(frame[name].min() or 0), int(frame[name].max() or 0))  # pyright: ignore[reportArgumentType]
            refuse_rounding(f"source: column '{name}' of the dataset", extremes)
    return frame.with_columns(polars.col(numbers).cast(polars.Float64))


def _pictures(data: Any, name: str) -> np.ndarray:
    """The pictures of a column as uint8 ``(n, H, W, C)``."""
    arrays = []
    for i, row in enumerate(data):
        picture = row[name]
        if picture is None or picture.mode not in ("L", "RGB"):
            mode = "missing" if picture is None else f"of the colour mode {picture.mode}"
            raise ConfigError(
                f"source: picture {i} of '{name}' is {mode}, expected 8-bit grey or RGB; convert or drop it"
            )
        array = np.asarray(picture, np.uint8)
        arrays.append(array if array.ndim == 3 else array[..., None])
        if arrays[-1].shape != arrays[0].shape:
            shapes = f"{arrays[-1].shape}, picture 0 of shape {arrays[0].shape}"
            raise ConfigError(f"source: picture {i} of '{name}' is of shape {shapes}; crop and resize all to one size")
    return np.stack(arrays)


def _categories(name: str, texts: list[str | None]) -> polars.Series:
    import polars

    words = sorted({text for text in texts if text is not None})
    return polars.Series(name, texts, polars.Enum(words))


def _frozen(where: str, data: Any) -> np.ndarray:
    """An array that nobody else can change."""
    if isinstance(data, np.memmap) and not data.flags.writeable:
        return data
    try:
        array = np.array(unmasked(data))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{where}: cannot be read as an array ({' '.join(str(error).split())[:200]})") from None
    if array.ndim == 0 or (array.dtype == object and where == "source"):
        raise ConfigError(
            f"{where}: expected an array, a data frame, a dataset, a path or the name of a kind, got {type(data).__name__}"
            f"{'; call its collect() first' if hasattr(data, 'collect') else ''}"
        )
    if array.dtype.kind in "mM":
        raise ConfigError(f"{where}: the array holds {array.dtype} values; save real numbers, such as seconds or days")
    array.flags.writeable = False
    return array
