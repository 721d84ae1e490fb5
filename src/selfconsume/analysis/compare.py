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
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from selfconsume import registry
from selfconsume.analysis import hypothesis_tests
from selfconsume.analysis.intervals import half_width
from selfconsume.analysis.power import seeds_to_decide
from selfconsume.analysis.stability_tests import equivalence_margin
from selfconsume.analysis.verdicts import FIXED, directions
from selfconsume.errors import ConfigError
from selfconsume.results.format import FLOOR
from selfconsume.results.store import Store
from selfconsume.results.table import table

WORDS = ("diverged", "equal", "worse", "better", "undecided")
"""All words, in the order in which they apply."""
REAL_ONLY = {"regime": "real_only"}
"""Default baseline."""
NUMBERS = ("difference", "low", "high", "margin", "p", "p_holm", "p_equivalence")


class Comparison(NamedTuple):
    """Comparisons of a study with its baseline.

    Attributes:
        table: One row per cell and metric: `run`, the axes, `metric`, `role` ("primary", "secondary"), `word`, `difference`
            (mean of cell minus baseline) with its ``1 - alpha`` t interval `low`, `high`, `margin`, `p` of the paired t test,
            `p_holm`, `p_equivalence` (TOST), `pairs`, `diverged`, `seeds_needed` (null unless undecided and attainable),
            `text`.
        curves: `run`, the axes, `metric`, `generation`, and `difference`, `low`, `high`, `pairs` with pointwise intervals.
        baseline: Columns that identify the baseline; None for generation 0 of each cell.
        primary: Name of the primary metric.
        generation: Generation of the table.
    """

    table: pl.DataFrame
    curves: pl.DataFrame
    baseline: Mapping[str, Any] | None
    primary: str
    generation: int


def compare(
    frame: pl.DataFrame,
    better: Mapping[str, str | None],
    *,
    baseline: Mapping[str, Any] | None = None,
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
            all other axes. Default: `real_only` if every cell has one, otherwise generation 0.
        primary: Metric that carries the answer; default: the first one of `better` that is compared.
        generation: Compared generation, to be fixed before looking at results; default: the last.
        margins: Metric -> equivalence margin; default: the margin of the verdicts, from the baseline's noise floor.
        alpha: Level of the tests.

    Raises:
        ConfigError: No metric has a direction, the primary metric is unknown, or a cell has no baseline.
    """
    axes = [name for name in frame.columns if name not in FIXED]
    stored = set(frame["metric"].unique())
    metrics = [name for name, direction in better.items() if direction and name in stored]
    if not metrics:
        raise ConfigError("compare: no metric with a better direction; add one, such as sliced_wasserstein")
    primary = metrics[0] if primary is None else primary
    if primary not in metrics:
        raise ConfigError(f"compare.primary: unknown {primary!r}; {registry.suggest(primary, metrics)}")
    baseline_of = _baselines(frame, axes, baseline)
    chosen = baseline if baseline is not None else REAL_ONLY if baseline_of else None
    last = int(frame["generation"].to_numpy().max()) if generation is None else generation
    rows = frame.filter(pl.col("metric").is_in(metrics))
    paired = _paired(rows, baseline_of)
    tests = _tests(paired.filter(pl.col("generation") == last), frame, better, margins or {}, alpha)
    for role in ("primary", "secondary"):
        family = [test for test in tests if (test["metric"] == primary) == (role == "primary")]
        _decide_family(family, role, better, alpha)
    labels = frame.select("run", *axes).unique("run", maintain_order=True)
    tests.sort(key=lambda test: test["metric"] != primary)
    table = pl.DataFrame(tests, schema=_SCHEMA).join(labels, on="run", maintain_order="left")
    curves = _curves(paired, 1 - alpha).join(labels, on="run", maintain_order="left")
    return Comparison(
        table.select("run", *axes, *list(_SCHEMA)[1:]),
        curves.select("run", *axes, "metric", "generation", "difference", "low", "high", "pairs"),
        chosen,
        primary,
        last,
    )


def compare_stored(store: Store, *, primary: str | None = None, generation: int | None = None) -> Comparison:
    """Compares the cells of a directory of results, see `compare`.

    Raises:
        ConfigError: The directory holds no study yet, or see `compare`.
    """
    if not store.studies:
        raise ConfigError(f"{store.path}: holds no study yet; run one")
    return compare(table(store), directions(store), primary=primary, generation=generation)


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


def _baselines(frame: pl.DataFrame, axes: Sequence[str], baseline: Mapping[str, Any] | None) -> dict[str, str]:
    """Run -> run of its baseline; empty for generation 0."""
    columns = REAL_ONLY if baseline is None else baseline
    unknown = [name for name in columns if name not in axes]
    if unknown and baseline is None:
        return {}
    if unknown:
        raise ConfigError(
            f"compare.baseline: {unknown[0]!r} is no axis of the study; {registry.suggest(unknown[0], axes)}"
        )
    cells = frame.select("run", *axes).unique("run", maintain_order=True).to_dicts()
    shared = [axis for axis in axes if axis not in columns]
    is_baseline = [all(cell[name] == value for name, value in columns.items()) for cell in cells]
    run_at = {
        tuple(cell[axis] for axis in shared): cell["run"]
        for cell, matches in zip(cells, is_baseline, strict=True)
        if matches
    }
    runs = {cell["run"]: run_at.get(tuple(cell[axis] for axis in shared)) for cell in cells}
    missing = [cell for cell in cells if runs[cell["run"]] is None]
    if missing and baseline is not None:
        labels = {axis: missing[0][axis] for axis in axes}
        raise ConfigError(
            f"compare.baseline: no cell {dict(columns)} to compare {labels} with; choose another baseline"
        )
    return {} if missing else {run: str(base) for run, base in runs.items() if base != run}


def _paired(rows: pl.DataFrame, baseline_of: Mapping[str, str]) -> pl.DataFrame:
    """Values of cells and of their baselines for the same seed: `value`, `base`."""
    rows = rows.select("run", "seed", "generation", "metric", "value")
    if not baseline_of:
        start = rows.filter(pl.col("generation") == 0).select("run", "seed", "metric", pl.col("value").alias("base"))
        pairs = rows.filter(pl.col("generation") > 0).join(start, on=["run", "seed", "metric"], maintain_order="left")
        return pairs.with_columns(pl.col("run").alias("base_run"))
    runs = pl.DataFrame({"run": list(baseline_of), "base_run": list(baseline_of.values())})
    base = rows.rename({"run": "base_run", "value": "base"})
    keys = ["base_run", "seed", "generation", "metric"]
    return rows.join(runs, on="run", maintain_order="left").join(base, on=keys, maintain_order="left")


def _tests(
    paired: pl.DataFrame,
    frame: pl.DataFrame,
    better: Mapping[str, str | None],
    margins: Mapping[str, float],
    alpha: float,
) -> list[dict[str, Any]]:
    """Uncorrected test statistics of every cell and metric."""
    tests = []
    for (run, metric, base), part in paired.group_by("run", "metric", "base_run", maintain_order=True):
        values, base_values = part["value"].to_numpy(), part["base"].to_numpy()
        differences = values - base_values
        differences = differences[np.isfinite(differences)]
        margin = margins.get(str(metric), math.nan)
        if math.isnan(margin):
            margin = _margin(frame, str(base), str(metric), better[str(metric)])
        test = dict.fromkeys(NUMBERS, math.nan) | {"run": run, "metric": metric, "margin": margin}
        test |= {"pairs": len(differences), "diverged": int((~np.isfinite(values)).sum()), "seeds": len(values)}
        test |= {"std": float(differences.std(ddof=1)) if len(differences) > 1 else math.nan}
        if len(differences) > 1:
            mean = hypothesis_tests.mean_of(differences)
            low, high = hypothesis_tests.t_interval(mean, 1 - alpha)
            test |= {"difference": mean.mean, "low": low, "high": high, "p": hypothesis_tests.t_test(mean)}
            test |= {"p_equivalence": hypothesis_tests.tost(mean, margin)}
        tests.append(test)
    return tests


def _margin(frame: pl.DataFrame, run: str, metric: str, better: str | None) -> float:
    """The verdicts' margin from the noise floor and generation 0 of the baseline."""
    rows = frame.filter(pl.col("run") == run)
    floor = rows.filter(pl.col("metric") == metric + FLOOR)["value"].to_numpy()
    start = rows.filter((pl.col("metric") == metric) & (pl.col("generation") == 0))["value"].to_numpy()
    return equivalence_margin(floor[np.isfinite(floor)], start[np.isfinite(start)], better)[1]


def _decide_family(family: Sequence[dict[str, Any]], role: str, better: Mapping[str, str | None], alpha: float) -> None:
    """Adds `role`, `p_holm`, `word`, `seeds_needed` and `text` to the tests of one family."""
    adjusted = hypothesis_tests.holm(np.array([test["p"] for test in family]))
    for test, p_holm in zip(family, adjusted, strict=True):
        sign = 1 if better[test["metric"]] == "lower" else -1
        test |= {"role": role, "p_holm": float(p_holm), "seeds_needed": None}
        test["word"] = _word(test, sign, alpha)
        std, seeds = test.pop("std"), test.pop("seeds")
        if test["word"] == "undecided" and test["pairs"] > 1:
            test["seeds_needed"] = seeds_to_decide(test["difference"], std, test["margin"], alpha, len(family))
        test["text"] = _text(test, sign, seeds)


def _word(test: Mapping[str, Any], sign: int, alpha: float) -> str:
    """First match of the list at the top of this module."""
    if test["diverged"] and 2 * test["diverged"] >= test["seeds"]:
        return "diverged"
    if test["pairs"] < 2:
        return "undecided"
    if test["p_equivalence"] <= alpha and not test["diverged"]:
        return "equal"
    if test["p_holm"] <= alpha:
        if sign * test["difference"] > 0:
            return "worse"
        return "undecided" if test["diverged"] else "better"
    return "undecided"


def _text(test: Mapping[str, Any], sign: int, seeds: int) -> str:
    """The word with the size of the difference, its interval and direction, or the reason for no decision."""
    if test["word"] == "diverged" or test["pairs"] < 2:
        reason = (
            f"{test['diverged']} of {seeds} seeds diverged" if test["diverged"] else "fewer than two pairs of seeds"
        )
        return reason if test["word"] == "diverged" else f"undecided: {reason}"
    oriented = 1 if test["difference"] >= 0 else -1
    low, high = sorted((oriented * test["low"], oriented * test["high"]))
    size = f"{abs(test['difference']):.2g} [{low:.2g}, {high:.2g}]"
    direction = "worse" if sign * oriented > 0 else "better"
    if test["word"] == "equal":
        return f"equal, {size} {direction}" if low > 0 else f"equal, within {test['margin']:.2g}"
    if test["word"] == "undecided":
        needed = test["seeds_needed"]
        return f"undecided, {size} {direction}" + (f"; about {needed} seeds would decide" if needed else "")
    return f"{test['word']} by {size}"


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
