"""Collapse profile: what each of the literature's definitions of model collapse says of each cell.

The eight definitions are those that Schaeffer et al. 2025 (arXiv:2503.03150, section 2) find in the literature; they
conflict, so that one run can be a collapse by some and none by others. Every definition becomes one number per seed and a
margin:

- *Risk* R is the primary metric where lower is better, 1 minus it for shares that should be high. Its statistic is the mean of
  log R over the last quarter of the generations minus its reference: log R in generation 0, or the same mean in the cell with
  real data only, seed by seed. Means of logarithms, not logarithms of means: the latter differ in expectation between
  a mean of many generations and a single one even if nothing has changed (Jensen).
- *Still rising*: mean of log R over the second half of generations 1 to T minus that over the first half. No finite study
  shows that a risk diverges; closed forms do where they exist (`selfconsume theory`).
- *Variance*: the same as risk, of the trace of the covariance or of heterozygosity, downwards. Logarithms again: for an
  unbiased Gaussian the mean over seeds stays 1 while almost every chain collapses.
- *Scaling law*: slope over seeds of log R on log n, in the last quarter minus generation 0; only with an axis of n.
- *Modes*: share of the real modes that are lost since generation 0.
- *Tail*: share of samples in the real tail, minus 0.75 times that in generation 0: a contrast that is linear, and so unbiased.
- *Hallucinated data*: share of samples far from all real data, minus that in generation 0.

`yes`: a one-sided t test over seeds rejects that the mean is on the harmless side of the margin; `no`: one rejects that it is
on the harmful side; `undecided`: neither; `not asked`: the study has no such metric, axis or baseline. Each single yes and
each single no is wrong with probability alpha at most; they are not corrected for their number. Diverged seeds allow no `no`,
and count as an increase of risk where they are half of all. Measured error rates: docs/verdicts.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from selfconsume.analysis import hypothesis_tests
from selfconsume.analysis.pairs.baselines import axes_of, baseline_runs
from selfconsume.analysis.profile_statistics import Chains, Statistic, chains_of, statistics
from selfconsume.analysis.verdicts import directions
from selfconsume.errors import ConfigError
from selfconsume.results import stored_study
from selfconsume.results.store import Store
from selfconsume.results.table import table

ANSWERS = ("yes", "no", "undecided", "not asked")
"""All answers."""
SCHEMA = {
    "definition": pl.String,
    "reference": pl.String,
    "answer": pl.String,
    "metric": pl.String,
    "statistic": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "margin": pl.Float64,
    "p_yes": pl.Float64,
    "p_no": pl.Float64,
    "seeds": pl.Int64,
    "reason": pl.String,
}
"""Columns of a profile beside `run` and the axes."""


def profile(
    frame: pl.DataFrame, better: Mapping[str, str | None], *, primary: str | None = None, alpha: float = 0.05
) -> pl.DataFrame:
    """The collapse profile of every cell.

    Args:
        frame: A tidy table, see `selfconsume.results.table.table`.
        better: Value name -> "lower", "higher" or None, in the order of the study's metrics.
        primary: The metric that is the risk; default: the first with a direction.
        alpha: Level of each test.

    Returns:
        One row per cell, definition and reference: `run`, the axes, `definition`, `reference` ("generation 0", "real only" or
        ""), `answer`, `metric`, `statistic` (on the scale of the margin: factors for risk, variance and tail, differences for
        the others) with its ``1 - 2 alpha`` interval `low`, `high`, `margin`, p values of the tests for yes and for no,
        `seeds`, and the `reason` for an answer that has no statistic.

    Raises:
        ConfigError: The primary metric is unknown or has no direction.
    """
    if primary is not None and not better.get(primary):
        raise ConfigError(f"profile: expected a metric with a better direction, got {primary!r}")
    axes = axes_of(frame)
    cells = frame.select("run", *axes).unique("run", maintain_order=True).to_dicts()
    chains = chains_of(frame, better, primary)
    baselines = {**{run: run for run in chains}, **baseline_runs(frame, None)}
    has_real_only = bool(baseline_runs(frame, None))
    rows = []
    for cell in cells:
        base = chains[baselines[cell["run"]]] if has_real_only else None
        for statistic in statistics(chains[cell["run"]], base, _scaling(cells, axes, chains, cell)):
            rows.append(cell | _row(statistic, alpha))
    schema = {"run": pl.String, **{axis: frame.schema[axis] for axis in axes}, **SCHEMA}
    return pl.DataFrame(rows, schema=schema)


def profile_stored(store: Store, *, primary: str | None = None) -> pl.DataFrame:
    """The collapse profile of a directory of results, see `profile`. The risk is the primary metric of its ``[compare]``.

    Raises:
        ConfigError: The directory holds no study yet, or see `profile`.
    """
    if not store.studies:
        raise ConfigError(f"{store.path}: holds no study yet; run one")
    primary = stored_study.compare_settings(store.study).primary if primary is None else primary
    return profile(table(store), directions(store), primary=primary)


def answer_of(statistic: Statistic, alpha: float) -> tuple[str, float, float]:
    """The answer of one statistic, and the p values of yes and no."""
    values = statistic.values[np.isfinite(statistic.values)]
    if 2 * statistic.diverged >= statistic.seeds and statistic.diverged:
        return ("yes" if statistic.is_risk else "undecided"), math.nan, math.nan
    if len(values) < 2:
        return "undecided", math.nan, math.nan
    sign = 1.0 if statistic.is_above else -1.0
    mean = hypothesis_tests.mean_of(sign * values)
    p_yes = hypothesis_tests.t_test_greater(mean, sign * statistic.bound)
    opposite = hypothesis_tests.Mean(-mean.mean, mean.error, mean.count)
    p_no = hypothesis_tests.t_test_greater(opposite, -sign * statistic.bound)
    # Without any spread, a value on the margin itself is no increase.
    if p_yes <= alpha:
        return "yes", p_yes, p_no
    is_no = (p_no <= alpha or (mean.error == 0 and mean.mean == sign * statistic.bound)) and not statistic.diverged
    return ("no" if is_no else "undecided"), p_yes, p_no


def _row(statistic: Statistic, alpha: float) -> dict[str, Any]:
    row = {"definition": statistic.definition, "reference": statistic.reference, "metric": statistic.metric}
    row |= {"margin": statistic.margin, "reason": statistic.reason, "seeds": statistic.seeds}
    if statistic.reason:
        return row | {"answer": "not asked"}
    answer, p_yes, p_no = answer_of(statistic, alpha)
    row |= {"answer": answer, "p_yes": p_yes, "p_no": p_no}
    if statistic.diverged:
        row["reason"] = f"{statistic.diverged} of {statistic.seeds} seeds diverged"
    values = statistic.values[np.isfinite(statistic.values)]
    if len(values) < 2:
        return row | {"reason": row["reason"] or "a single seed"}
    mean = hypothesis_tests.mean_of(values)
    bounds = hypothesis_tests.t_interval(mean, 1 - 2 * alpha)
    shown = [statistic.show(value) for value in (mean.mean, *bounds)]
    return row | dict(zip(("statistic", "low", "high"), shown, strict=True))


def _scaling(
    cells: Sequence[Mapping[str, Any]], axes: Sequence[str], chains: Mapping[str, Chains], cell: Mapping[str, Any]
) -> dict[float, Chains]:
    """Number of real examples -> chains of the cells that differ from this one in it alone; empty without such an axis."""
    if "source.n" not in axes:
        return {}
    shared = [axis for axis in axes if axis != "source.n"]
    return {
        float(cell_of_n["source.n"]): chains[cell_of_n["run"]]
        for cell_of_n in cells
        if all(cell_of_n[axis] == cell[axis] for axis in shared) and isinstance(cell_of_n["source.n"], int | float)
    }
