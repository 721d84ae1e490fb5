"""Samples of another pipeline in a file or folder, as examples of the shape and units of the real data."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.files.regular import open_regular
from selfconsume.sources.dataset_source import split_order
from selfconsume.sources.files import json_lines, numpy_files, pictures, sample_texts, tables
from selfconsume.sources.files.archives import open_entries
from selfconsume.sources.tabular.table import TableFormat, listed
from selfconsume.types import Source

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
TABLES = (".csv", ".tsv", ".parquet", *json_lines.SUFFIXES)
SUFFIXES = (".npy", ".npz", *TABLES, *ARCHIVES)


def count(path: str, source: Source) -> int:
    """Number of examples in a file or folder, without decoding pictures.

    Raises:
        ConfigError: See `read`.
    """
    if _is_pictures(path):
        with _about_samples(), open_entries(path) as entries:
            number = sum(Path(name).suffix.lower() in pictures.SUFFIXES for name in entries.names)
        return number or len(_values(path, source))
    if path.lower().endswith(".npy"):
        # `read` says what is wrong with it.
        with contextlib.suppress(TypeError, *numpy_files.UNREADABLE):
            open_regular(Path(path).expanduser()).close()
            return len(np.load(Path(path).expanduser(), mmap_mode="r", allow_pickle=False))
    return len(_values(path, source))


def read(path: str, source: Source, n: int) -> tuple[np.ndarray, np.ndarray]:
    """``n`` examples of a file or folder, as the source's examples are, and which of them are finite; the others are zero.

    All of them in their order; of a larger file a fixed random subset. Numbers are standardised as the real data was.
    Pictures are cropped and reduced as those of a `folder` source were.

    Args:
        path: An array, a table, JSON lines, or a folder or archive of pictures.
        source: The real data.
        n: Number of examples.

    Raises:
        ConfigError: The file cannot be read, has fewer than ``n`` examples, or examples of another shape or type.
    """
    values = _values(path, source)
    like = jax.eval_shape(lambda: source.train(jax.random.key(0)))
    if values.ndim == 1 and source.shape == (1,):
        values = values[:, None]
    if values.shape[1:] != source.shape:
        raise ConfigError(
            f"samples: '{path}' holds examples of shape {values.shape[1:]}, the real data has {source.shape}; give both the "
            "same shape"
        )
    if like.dtype == np.uint8 and values.dtype != np.uint8:
        raise ConfigError(
            f"samples: '{path}' holds {values.dtype}, the real images are uint8; save grey levels from 0 to 255 as uint8"
        )
    if values.dtype.kind not in "biuf":
        raise ConfigError(f"samples: '{path}' holds {values.dtype} values; save real numbers")
    if len(values) < n:
        raise ConfigError(f"samples: '{path}' holds {len(values)} examples, {n} are compared; add some, or lower --n")
    if len(values) > n:
        values = values[np.sort(split_order(len(values))[:n])]
    if like.dtype == np.uint8:
        return values, np.ones(n, bool)
    with np.errstate(over="ignore", invalid="ignore"):  # Beyond float32 is inf, which is not valid.
        examples = _standardised(values, source).astype(like.dtype)
    valid = np.asarray(np.isfinite(examples).reshape(n, -1).all(axis=1))
    examples[~valid] = 0
    return examples, valid


def _standardised(values: np.ndarray, source: Source) -> np.ndarray:
    if source.units is None:
        return values
    center, factor = (np.asarray(part, np.float64) for part in source.units)
    return (values.astype(np.float64) - center) / factor


def _values(path: str, source: Source) -> np.ndarray:
    """The examples in the file's own units."""
    suffix = Path(path).suffix.lower()
    with _about_samples():
        if _is_pictures(path):
            if len(source.shape) != 3:
                raise ConfigError(f"'{path}' holds pictures, the real data has examples of shape {source.shape}")
            options: Any = {
                name: getattr(source, name, default) for name, default in (("side", None), ("resample", "lanczos"))
            }
            channels: Any = source.shape[2]
            return np.asarray(pictures.read(path, options["side"], channels, options["resample"], "nothing").examples)
        vocabulary = getattr(source, "vocabulary", None)
        if vocabulary is not None and suffix in sample_texts.SUFFIXES:
            return sample_texts.read(path, vocabulary, source.shape[0])
        if suffix in (".npy", ".npz"):
            return numpy_files.read(path, getattr(source, "array", None) if suffix == ".npz" else None, None).values
        if suffix in TABLES:
            return _coordinates(path, source)
        raise ConfigError(f"'{path}' ends in '{suffix}', expected a folder of pictures or one of {', '.join(SUFFIXES)}")


def _coordinates(path: str, source: Source) -> np.ndarray:
    """The examples of a table: numbers, and categories as indicators of those of the real data; columns are found by name."""
    columns = source.table_columns
    form = TableFormat(
        tuple(name for name, _ in columns) or None,
        header=getattr(source, "header", None),
        decimal=getattr(source, "decimal", "."),
        categories=tuple(name for name, words in columns if words is not None),
    )
    table = tables.read(path, form)
    if table.columns is None and columns:
        if table.values.shape[1] != len(columns):
            raise ConfigError(f"'{path}' has {table.values.shape[1]} columns, the real data has {len(columns)}")
        return table.values
    if not form.categories:
        return table.values
    blocks = []
    for j, (name, words) in enumerate(columns):
        values, levels = table.values[:, [j]], (table.categories or (None,) * len(columns))[j]
        if words is None or levels is None:
            blocks.append(values)
            continue
        if unknown := [level for level in levels if level not in words]:
            raise ConfigError(
                f"'{path}' has the category {unknown[0]!r} in '{name}', the real data has {listed(words)}; it cannot be encoded"
            )
        places = np.array([list(words).index(level) for level in levels])
        block = (
            np.arange(len(words)) == np.where(np.isfinite(values), places[np.nan_to_num(values).astype(int)], -1)
        ) * 1.0
        blocks.append(np.where(np.isfinite(values), block, np.nan))
    return np.concatenate(blocks, axis=1)


def _is_pictures(path: str) -> bool:
    return Path(path).expanduser().is_dir() or path.lower().endswith(ARCHIVES)


@contextlib.contextmanager
def _about_samples() -> Iterator[None]:
    """Errors of readers, which name fields of a source, are about samples here."""
    try:
        yield
    except ConfigError as error:
        reason = str(error)
        raise ConfigError(f"samples: {reason.partition(': ')[2] if reason.startswith('source.') else reason}") from None
