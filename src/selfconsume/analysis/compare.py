"""Paired comparison of every cell with a baseline: `diverged`, `equal`, `worse`, `better` or `undecided`.

All cells of a seed share real data, keys and generation 0, so paired differences between a cell and its baseline have a much
smaller variance than either value. For one cell and one metric, at one generation stated in advance (default: the last),
differences are oriented so that positive is worse. The first match is the word:

1. `diverged`: at least half of the seeds of the cell have non-finite values.
2. `equal`: TOST over pairs, the ``1 - 2 alpha`` t interval lies within the margin; by default the margin of the verdicts.
3. `worse` or `better`: the paired t test rejects mean 0, after Holm's correction over cells.
4. `undecided`, also with fewer than two pairs.

If some seeds diverged, survivors cannot show `equal` or `better`: only `worse` and `undecided` remain.

One *primary* metric carries the answer. Its p values are corrected over cells alone; those of all other (secondary) metrics
are corrected over cells and secondary metrics together. A further secondary metric therefore changes no word of the primary
one. With a single comparison, `worse` and `better` are exactly a ``1 - alpha`` interval that excludes 0.

Assumptions: independent seeds and a roughly normal mean difference. The probability of any false `worse` in a study is at most
alpha for the primary metric; each single `equal` of a cell whose difference reaches the margin is wrong with probability at
most alpha. The margin is estimated from the same seeds. With a fixed data set all pairs share the real data, and the answer is
conditional on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import polars as pl

from selfconsume import registry
from selfconsume.analysis.intervals import half_width
from selfconsume.analysis.pairs.baselines import REAL_ONLY, Baseline, axes_of, baseline_runs, paired
from selfconsume.analysis.pairs.paired_tests import NUMBERS, decide_family, pair_statistics
from selfconsume.analysis.verdicts import directions
from selfconsume.errors import ConfigError
from selfconsume.results import stored_study
from selfconsume.results.format import FLOOR
from selfconsume.results.store import Store
from selfconsume.results.table import table

WORDS = ("diverged", "equal", "worse", "better", "undecided")
"""All words, in the order in which they apply."""
FIXED_DATA = "all seeds share the real data: the answer is about this data set"


class Comparison(NamedTuple):
    """Comparisons of a study with its baseline.

    Attributes:
        table: One row per cell and metric: `run`, the axes, `metric`, `role` ("primary", "secondary"), `word`, means over the
            pairs of the cell (`value`) and of its baseline (`base`), `difference` (cell minus baseline) with its ``1 - alpha``
            t interval `low`, `high`, `margin`, `p` of the paired t test, `p_holm`, `p_equivalence` (TOST), `pairs`, `diverged`,
            `seeds_needed` (null unless undecided and attainable), `text`.
        curves: `run`, the axes, `metric`, `generation`, and `difference`, `low`, `high`, `pairs` with pointwise intervals.
        baseline: Columns that identify the baseline; None for generation 0 of each cell.
        primary: Name of the primary metric.
        generation: Generation of the table.
        note: What the answer is conditional on; "" for nothing.
    """

    table: pl.DataFrame
    curves: pl.DataFrame
    baseline: Mapping[str, Any] | None
    primary: str
    generation: int
    note: str = ""


def compare(
    frame: pl.DataFrame,
    better: Mapping[str, str | None],
    *,
    baseline: Baseline = None,
    primary: str | None = None,
    generation: int | None = None,
    margins: Mapping[str, float] | None = None,
    alpha: float = 0.05,
) -> Comparison:
    """Compares every cell with the baseline by paired t tests and TOST, for all metrics with a better direction.

    Args:
        frame: A tidy table, see `selfconsume.results.table.table`.
        better: Value name -> "lower", "higher" or None, in the order of the study's metrics; None is not compared.
        baseline: Column -> value of the baseline, such as ``{"regime": "real_only"}``; a cell's baseline agrees with it on
            all other axes. "generation 0": that of each run. Default: `real_only` if every cell has one, else generation 0.
        primary: Metric that carries the answer; default: the first one of `better` that is compared.
        generation: Compared generation, to be fixed before looking at results; default: the last.
        margins: Metric -> equivalence margin; default: the margin of the verdicts, from the baseline's noise floor.
        alpha: Level of the tests.

    Raises:
        ConfigError: No metric has a direction, the primary metric or the generation is unknown, or a cell has no baseline.
    """
    axes = axes_of(frame)
    stored = set(frame["metric"].unique())
    metrics = [name for name, direction in better.items() if direction and name in stored]
    if not metrics:
        raise ConfigError("compare: no metric with a better direction; add one, such as sliced_wasserstein")
    primary = metrics[0] if primary is None else primary
    if primary not in metrics:
        raise ConfigError(f"compare.primary: unknown {primary!r}; {registry.suggest(primary, metrics)}")
    baseline_of = baseline_runs(frame, baseline)
    chosen = (REAL_ONLY if baseline is None else baseline) if baseline_of else None
    latest = int(frame["generation"].to_numpy().max())
    last = latest if generation is None else generation
    if not 0 <= last <= latest:
        raise ConfigError(f"compare.generation: expected 0 to {latest}, the last one stored, got {last}")
    pairs = paired(frame.filter(pl.col("metric").is_in(metrics)), baseline_of)
    tests = pair_statistics(pairs.filter(pl.col("generation") == last), frame, better, margins or {}, alpha)
    for role in ("primary", "secondary"):
        family = [test for test in tests if (test["metric"] == primary) == (role == "primary")]
        decide_family(family, role, better, alpha)
    labels = frame.select("run", *axes).unique("run", maintain_order=True)
    tests.sort(key=lambda test: test["metric"] != primary)
    table = pl.DataFrame(tests, schema=_SCHEMA).join(labels, on="run", maintain_order="left")
    curves = _curves(pairs, 1 - alpha).join(labels, on="run", maintain_order="left")
    return Comparison(
        table.select("run", *axes, *list(_SCHEMA)[1:]),
        curves.select("run", *axes, "metric", "generation", "difference", "low", "high", "pairs"),
        chosen if isinstance(chosen, Mapping) else None,
        primary,
        last,
    )


def compare_stored(
    store: Store,
    *,
    baseline: Baseline = None,
    primary: str | None = None,
    margin: float | None = None,
    generation: int | None = None,
    frame: pl.DataFrame | None = None,
) -> Comparison:
    """Compares the cells of a directory of results, see `compare`. What is not given here is that of the study's ``[compare]``.

    Args:
        store: The directory.
        baseline: See `compare`.
        primary: See `compare`.
        margin: Equivalence margin of the primary metric.
        generation: See `compare`.
        frame: The directory's tidy table, if it has been read already.

    Raises:
        ConfigError: The directory holds no study yet, or see `compare`.
    """
    if not store.studies:
        raise ConfigError(f"{store.path}: holds no study yet; run one")
    settings = stored_study.compare_settings(store.study)
    frame, better = table(store) if frame is None else frame, directions(store)
    primary = settings.primary if primary is None else primary
    margin = settings.margin if margin is None else margin
    answer = next((name for name, direction in better.items() if direction and name in frame["metric"]), None)
    comparison = compare(
        frame,
        better,
        baseline=settings.baseline if baseline is None else baseline,
        primary=primary,
        generation=settings.generation if generation is None else generation,
        margins={} if margin is None else {primary or answer or "": margin},
    )
    return comparison._replace(note=FIXED_DATA if stored_study.has_fixed_data(store.study) else "")


def with_baseline(store: Store, frame: pl.DataFrame) -> pl.DataFrame:
    """A tidy table with two more columns: the paired value of the `baseline`, and the `difference` to it.

    The baseline is that of `compare_stored`. Rows without a pair (the baseline's own, generation 0 where it is the baseline,
    and noise floors) hold null.
    """
    baseline_of = baseline_runs(frame, stored_study.compare_settings(store.study).baseline)
    pairs = paired(frame.filter(~pl.col("metric").str.ends_with(FLOOR)), baseline_of)
    keys = ["run", "seed", "generation", "metric"]
    base = pairs.filter(pl.col("base").is_not_null()).select(*keys, pl.col("base").alias("baseline"))
    joined = frame.join(base, on=keys, how="left", maintain_order="left")
    return joined.with_columns((pl.col("value") - pl.col("baseline")).alias("difference"))


_SCHEMA = {
    "run": pl.String,
    "metric": pl.String,
    "role": pl.String,
    "word": pl.String,
    **dict.fromkeys(NUMBERS, pl.Float64),
    "pairs": pl.Int64,
    "diverged": pl.Int64,
    "seeds_needed": pl.Int64,
    "text": pl.String,
}


def _curves(paired: pl.DataFrame, level: float) -> pl.DataFrame:
    """Mean paired difference by generation with pointwise t intervals; pairs with a diverged run are excluded."""
    difference = (pl.col("value") - pl.col("base")).alias("difference")
    groups = (
        paired.with_columns(difference)
        .filter(pl.col("difference").is_finite())
        .group_by("run", "metric", "generation", maintain_order=True)
        .agg(
            pl.col("difference").mean(), pl.col("difference").std().alias("std"), pl.len().cast(pl.Int64).alias("pairs")
        )
        .sort("metric", "run", "generation", maintain_order=True)
    )
    half = pl.Series(half_width(groups["std"].fill_null(math.nan).to_numpy(), groups["pairs"].to_numpy(), level))
    mean = groups["difference"]
    return groups.with_columns((mean - half).alias("low"), (mean + half).alias("high")).drop("std")
