"""Two studies side by side: where they differ, and the values of cells that they share."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from selfconsume.analysis.intervals import half_width
from selfconsume.answers.results import Results, plot
from selfconsume.answers.text_table import TextTable
from selfconsume.errors import ConfigError
from selfconsume.results import provenance
from selfconsume.results.format import FLOOR

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS = ("source", "family", "regime", "curation", "study")


@dataclasses.dataclass(frozen=True)
class SideBySide:
    """Two studies, compared in the last generation that both have.

    Attributes:
        table: A row for each shared cell and metric: the shared axes, `metric`, means `a` and `b` over the paired seeds, mean
            `difference` (b minus a) with its 95 % t interval `low`, `high`, and `pairs`. Seeds are paired, because equal seeds
            share random keys; pairs with a diverged run are left out.
        generation: The generation.
        settings: Field, its value in a, its value in b, for every field in which the studies differ; axes are listed whole.
        warnings: Why values may not be comparable.
    """

    table: pl.DataFrame
    generation: int
    settings: tuple[tuple[str, str, str], ...]
    warnings: tuple[str, ...]
    results: tuple[Results, Results]

    def text(self) -> TextTable:
        """The table as texts."""
        axes = self.table.columns[: self.table.columns.index("metric")]
        rows = []
        for row in self.table.iter_rows(named=True):
            interval = f"{row['difference']:+.3g} [{row['low']:.3g}, {row['high']:.3g}]"
            labels = (str(row[axis]) for axis in axes)
            rows.append((*labels, row["metric"], f"{row['a']:.4g}", f"{row['b']:.4g}", interval, str(row["pairs"])))
        heads = (*axes, "metric", "a", "b", "b - a", "pairs")
        title = f"generation {self.generation}, means over paired seeds with a 95 % interval"
        return TextTable(heads, tuple(rows), title, n_labels=len(axes) + 1)

    def plot(
        self,
        metric: str | None = None,
        path: str | Path | None = None,
        *,
        style: str | Path | Mapping[str, Any] = "default",
    ) -> Figure:
        """The curves of both studies in one figure; arguments as for `Results.plot`."""
        first, second = self.results
        axes = [axis for axis in first.store.study["axes"] if axis in second.store.study["axes"]]
        frames = [
            result.table().with_columns(pl.lit(name).alias("study"), (pl.lit(f"{name} ") + pl.col("run")).alias("run"))
            for name, result in zip("ab", self.results, strict=True)
        ]
        return plot(first.store, pl.concat(frames, how="diagonal_relaxed"), metric, path, style, ["study", *axes])

    def _repr_html_(self) -> str:
        settings = TextTable(("field", "a", "b"), self.settings).html() if self.settings else "<p>equal settings</p>"
        careful = "".join(f"<p>careful: {line}</p>" for line in self.warnings)
        return settings + careful + self.text().html()


def compare(a: str | Path | Results, b: str | Path | Results) -> SideBySide:
    """Two studies side by side: the fields in which they differ, and paired differences of the cells that both have.

    Cells are the same if they agree on all axes that both studies have. To compare the cells of one study with real data
    alone, see `Results.compare`.

    Args:
        a: The results of a study, or their directory.
        b: Those of another one.

    Raises:
        ConfigError: They share no metric, generation, seed or cell; or several cells of one study agree on the shared axes.
    """
    first, second = (value if isinstance(value, Results) else Results(value) for value in (a, b))
    axes = [axis for axis in first.store.study["axes"] if axis in second.store.study["axes"]]
    keys = [*axes, "seed", "metric"]
    frames = [result.table().filter(~pl.col("metric").str.ends_with(FLOOR)) for result in (first, second)]
    shared = set(frames[0]["generation"].unique()) & set(frames[1]["generation"].unique())
    if not shared:
        raise ConfigError("compare: the studies share no measured generation; run them with a common metric")
    t = max(shared)
    last = [frame.filter(pl.col("generation") == t) for frame in frames]
    for name, frame in zip("ab", last, strict=True):
        if frame.select(keys).is_duplicated().any():
            further = [axis for axis in frame.columns[2 : frame.columns.index("generation")] if axis not in axes]
            raise ConfigError(
                f"compare: several cells of {name} are alike on the shared axes; only {name} has {', '.join(further)}: "
                "run it with one value there"
            )
    texts = [frame.with_columns(pl.col(axes).cast(pl.String)) if axes else frame for frame in last]
    values = [frame.select(*keys, pl.col("value").alias(name)) for name, frame in zip("ab", texts, strict=True)]
    pairs = values[0].join(values[1], on=keys, how="inner", maintain_order="left")
    if pairs.is_empty():
        raise ConfigError("compare: the studies share no metric, seed and cell; give them common ones")
    return SideBySide(_differences(pairs, axes), t, _settings(first, second), _warnings(first, second), (first, second))


def _differences(pairs: pl.DataFrame, axes: list[str]) -> pl.DataFrame:
    finite = pairs.filter(pl.col("a").is_finite() & pl.col("b").is_finite())
    means = (
        finite.with_columns((pl.col("b") - pl.col("a")).alias("difference"))
        .group_by(*axes, "metric", maintain_order=True)
        .agg(
            pl.col("a").mean(),
            pl.col("b").mean(),
            pl.col("difference").mean(),
            pl.col("difference").std().alias("std"),
            pl.len().cast(pl.Int64).alias("pairs"),
        )
    )
    std = means["std"].fill_null(math.nan).to_numpy()
    half = pl.Series(half_width(std, np.asarray(means["pairs"]), 0.95))
    bounds = ((means["difference"] - half).alias("low"), (means["difference"] + half).alias("high"))
    return means.with_columns(*bounds).select(*axes, "metric", "a", "b", "difference", "low", "high", "pairs")


def _settings(first: Results, second: Results) -> tuple[tuple[str, str, str], ...]:
    old, new = (json.loads(json.dumps(result.store.study["tables"])) for result in (first, second))
    rows = []
    for part in PARTS:
        fields = [tables.get(part) or {} for tables in (old, new)]
        for field in dict.fromkeys([*fields[0], *fields[1]]):
            pair = [table.get(field) for table in fields]
            if pair[0] != pair[1]:
                rows.append((f"{part}.{field}", *map(_short, pair)))
    for axis in dict.fromkeys([*old.get("axes", {}), *new.get("axes", {})]):
        pair = [tables.get("axes", {}).get(axis) for tables in (old, new)]
        if pair[0] != pair[1]:
            rows.append((f"axes.{axis}", *map(_short, pair)))
    return tuple(rows)


def _warnings(first: Results, second: Results) -> tuple[str, ...]:
    measured = [
        {row.metric: (row.n, row.n_reference, row.split, row.sha256) for row in provenance.gather(result.store)}
        for result in (first, second)
    ]
    unlike = [name for name, facts in measured[0].items() if name in measured[1] and measured[1][name] != facts]
    differ = "differ between the studies in samples, real examples or extractor: their values have other biases"
    return (f"{', '.join(unlike)} {differ}",) if unlike else ()


def _short(value: Any) -> str:
    text = "" if value is None else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
