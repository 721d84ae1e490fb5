"""Your own data in memory: an array, a data frame, a dataset of Hugging Face."""

from __future__ import annotations

import dataclasses
import functools
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, MinLen

from selfconsume.errors import ConfigError
from selfconsume.sources.tabular import frames, memory_data, table
from selfconsume.sources.tabular.missing import Missing
from selfconsume.sources.tabular.standardisation import Scale
from selfconsume.sources.tabular.table import Origin, Table, TableFormat
from selfconsume.sources.tabular.table_source import TableSource, prepared


@dataclasses.dataclass(frozen=True)
class Memory(TableSource):
    """Your own data in memory: made by ``selfconsume.source(data)`` from an array, a data frame or a dataset.

    Rows are split, standardised and encoded as those of `Arrays`. The recipe names the data by the checksum of its content:
    results of equal data are the same runs in every process. A directory of results does not hold the data; without it, stored
    values, verdicts and samples can be read, but nothing can be added until the process is given the same data again.

    Attributes:
        content: Checksum (sha256) of the data.
        columns: Columns of a data frame; None takes all but `label`.
        label: Column of a data frame with class labels: whole numbers or text, numbered from 0 in sorted order.
        categories: Columns that hold categories, beside those whose type says so: see `Arrays`.
        n: Training examples; None takes all but the test set and leaves no reserve.
        n_test: Held-out examples, the same for every ``n``; None takes a fifth of the rows, at most 1000.
        scale: "columns", "common" or "none": see `Arrays`.
        missing: "refuse", "drop" or "impute": see `Arrays`.
    """

    content: str
    columns: Annotated[tuple[str, ...], MinLen(1)] | None = None
    label: str | None = None
    categories: tuple[str, ...] = ()
    n: Annotated[int, Ge(1)] | None = None
    n_test: Annotated[int, Ge(2)] | None = None
    scale: Scale | None = None
    missing: Missing = "refuse"

    @classmethod
    def tiny(cls) -> Memory:
        rows = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
        return cls(memory_data.keep(frames.from_array(rows)), n=20, n_test=20)

    @property
    def origin(self) -> Origin:
        return Origin("source", memory_data.fetch(self.content).name)

    def table(self) -> Table:
        memory_data.fetch(self.content)
        return _load(self.content, TableFormat(self.columns, self.label, categories=self.categories), self.missing)

    def data_version(self) -> str:
        memory_data.fetch(self.content)
        return self.content

    def fingerprint(self) -> str:
        """SHA-256 of the data's content."""
        return self.content


def recipe_table(data: Any, label: Any = None, **fields: Any) -> dict[str, Any]:
    """The table of a `Memory` recipe over an array, a data frame or a dataset.

    Args:
        data: The data; a data frame of pandas, polars or another library that narwhals knows.
        label: The column of class labels; for an array, the labels.
        fields: Further fields of the recipe.

    Raises:
        ConfigError: The data is none of these.
    """
    if frames.is_dataset(data):
        content = frames.from_dataset(data, fields.get("columns"), label)
        if isinstance(content.values, np.ndarray):
            fields.pop("columns", None)
            label = None
    elif frames.is_frame(data):
        content = frames.from_frame(data)
    else:
        content = frames.from_array(data, None if isinstance(label, str) else label)
        label = label if isinstance(label, str) else None
    labels = {} if label is None else {"label": label}
    return {"kind": "memory", "content": memory_data.keep(content), **labels, **fields}


@functools.lru_cache(maxsize=4)
def _load(content: str, form: TableFormat, missing: Missing) -> Table:
    data = memory_data.fetch(content)
    origin = Origin("source", data.name)
    if not isinstance(data.values, np.ndarray):
        return prepared(origin, table.from_frame(data.values, form, origin), missing, form.label)
    for name, value in (("columns", form.columns), ("label", form.label), ("categories", form.categories)):
        if value:
            hint = "; pass the labels themselves: source(x, label=y)" if name == "label" else "; leave it out"
            raise ConfigError(f"source.{name}: {data.name} has no named columns{hint}")
    return prepared(origin, Table(data.values, data.labels), missing, None)
