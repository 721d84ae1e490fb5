"""A dataset of Hugging Face's library `datasets`."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, MinLen

from selfconsume.errors import ConfigError
from selfconsume.sources.files.archives import file_version, first_line
from selfconsume.sources.tabular import frames, memory_data, table
from selfconsume.sources.tabular.memory_data import MemoryData
from selfconsume.sources.tabular.missing import Missing
from selfconsume.sources.tabular.standardisation import Scale
from selfconsume.sources.tabular.table import Origin, Table, TableFormat
from selfconsume.sources.tabular.table_source import TableSource, prepared


@dataclasses.dataclass(frozen=True)
class HuggingFace(TableSource):
    """A dataset of Hugging Face: a folder of `Dataset.save_to_disk`, or a name on the hub (extra `datasets`).

    Its pictures (8-bit grey or RGB, of one size), its vectors, or its numbers, texts and classes as a table; several columns of
    pictures or vectors must be narrowed by `columns`. Rows are split, standardised and encoded as those of `Arrays`.

    Attributes:
        path: The folder; with `fetch` the dataset's name on the hub.
        split: The split to use.
        subset: The configuration of a dataset on the hub that has several.
        revision: Its commit or tag; None: the latest.
        fetch: Whether the network may be used. Downloads are kept in the library's cache.
        columns: Columns to use; None takes all but `label`.
        label: Column with class labels; None: for pictures and vectors the single column of classes.
        categories: Columns that hold categories, beside classes: see `Arrays`.
        n: Training examples; None takes all but the test set and leaves no reserve.
        n_test: Held-out examples, the same for every ``n``; None takes a fifth of the rows, at most 1000.
        scale: "columns", "common" or "none": see `Arrays`.
        missing: "refuse", "drop" or "impute": see `Arrays`.
    """

    path: str
    split: str = "train"
    subset: str | None = None
    revision: str | None = None
    fetch: bool = False
    columns: Annotated[tuple[str, ...], MinLen(1)] | None = None
    label: str | None = None
    categories: tuple[str, ...] = ()
    n: Annotated[int, Ge(1)] | None = None
    n_test: Annotated[int, Ge(2)] | None = None
    scale: Scale | None = None
    missing: Missing = "refuse"

    @property
    def origin(self) -> Origin:
        return Origin("source.path", f"'{self.path}'")

    def table(self) -> Table:
        data = self._data()
        if isinstance(data.values, np.ndarray):
            return prepared(self.origin, Table(data.values, data.labels), self.missing, self.label)
        form = TableFormat(self.columns, self.label, categories=self.categories)
        return prepared(self.origin, table.from_frame(data.values, form, self.origin), self.missing, self.label)

    def data_version(self) -> str:
        return self.fingerprint()

    def fingerprint(self) -> str:
        """SHA-256 of the values, independent of path and packaging.

        Raises:
            ConfigError: The dataset cannot be read.
        """
        return memory_data.checksum(self._data())

    def _data(self) -> MemoryData:
        version = None if self.fetch else file_version(self.path)
        place = (self.path, self.split, self.subset, self.revision, self.fetch)
        return _load(version, place, self.columns, self.label)


@functools.lru_cache(maxsize=2)
def _load(
    version: tuple[int, int] | None,
    place: tuple[str, str, str | None, str | None, bool],
    columns: tuple[str, ...] | None,
    label: str | None,
) -> MemoryData:
    path, split, subset, revision, fetch = place
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ConfigError(
            "source: kind 'huggingface' needs the library datasets; install selfconsume[datasets]"
        ) from None
    try:
        if fetch:
            dataset: Any = datasets.load_dataset(path, subset, split=split, revision=revision)
        else:
            dataset = datasets.load_from_disk(str(Path(path).expanduser()))
    except Exception as error:  # The library raises errors of many kinds, also those of the network.
        hint = "check name and network" if fetch else "give a folder of save_to_disk, or set fetch = true"
        raise ConfigError(f"source.path: '{path}' cannot be read as a dataset ({first_line(error)}); {hint}") from None
    if isinstance(dataset, datasets.DatasetDict):
        if split not in dataset:
            raise ConfigError(
                f"source.split: '{path}' has no split '{split}'; it has {table.listed(list(map(str, dataset)))}"
            )
        dataset = dataset[split]
    return frames.from_dataset(dataset, columns, label)
