"""Measurements against theory: tests of predictions by simultaneous t intervals, and the contraction rate of parameters.

Intervals are Student t intervals of the mean over seeds. A curve is tested in all generations simultaneously: the level of each
interval is raised (Bonferroni) so that all intervals of a prediction hold jointly at the nominal level, for any correlation
between generations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from selfconsume.analysis import intervals
from selfconsume.loop.run import Run
from selfconsume.study.cells import Cell
from selfconsume.theory.predictions.prediction import Prediction, Statistic
from selfconsume.theory.run_facts import family_facts
from selfconsume.theory.stability.rates import stability_of

MAX_SKEWNESS = 0.15
"""No test where the sample skewness exceeds this times the square root of the number of values: there the t interval covers
far less than its level. (Late in a collapse very few runs carry the expected variance.)"""
MIN_SEEDS = 10
"""No test below this number of seeds: too few to detect skewness."""

_SCHEMA = {
    "prediction": pl.String,
    "metric": pl.String,
    "statistic": pl.String,
    "kind": pl.String,
    "generation": pl.Int64,
    "predicted": pl.Float64,
    "measured": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "seeds": pl.Int64,
    "departs": pl.Boolean,
}


def compare_predictions(
    frame: pl.DataFrame, cell: Cell, predictions: Sequence[Prediction], level: float = 0.95
) -> pl.DataFrame:
    """Predicted values with the mean over seeds of their statistic and its simultaneous t interval.

    Args:
        frame: A tidy table, see `selfconsume.results.table.table`.
        cell: The cell whose rows are compared.
        predictions: Predictions of the cell's run; limits and unmeasured metrics are skipped.
        level: Joint coverage of all intervals of one prediction.

    Returns:
        One row per prediction and measured generation. `low` and `high` bound the mean at the Bonferroni level of the
        prediction's generations; `departs` is whether an exact prediction lies outside by more than float32 rounding. It is
        null where no test is made: asymptotic predictions, fewer than 10 seeds, a diverged seed, or values too skewed for a
        t interval (see `MAX_SKEWNESS`). Predictions are not corrected for each other: at level 0.95 one in twenty correct
        ones departs by chance.
    """
    rows = frame.filter(pl.col("run") == cell.id)
    parts = [
        _compare_prediction(rows, prediction, level)
        for prediction in predictions
        if np.isfinite(prediction.generations).all()
    ]
    return pl.concat([pl.DataFrame(schema=_SCHEMA), *parts])


def statistic_of(values: np.ndarray, statistic: Statistic, centre: float = 0.0) -> np.ndarray:
    """The statistic of each value, whose mean is predicted; see `selfconsume.theory.predictions.predict.Statistic`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if statistic == "mean_square":
            return (values - centre) ** 2
        if statistic == "mean_sqrt":
            return np.sqrt(values)
        if statistic == "mean_log":
            return np.log(values)
        return values * (1 - values) if statistic == "mean_spread" else values


class Contraction(NamedTuple):
    """Regression slope from stored runs with its t interval, number of seeds and regressed quantity.

    For parameters it is exactly the contraction rate; for sample statistics see `analysis.regression_rate`.
    """

    rate: float
    low: float
    high: float
    seeds: int
    of: Literal["parameters", "samples"]


def estimate_contraction(frame: pl.DataFrame, cell: Cell, level: float = 0.95) -> Contraction | None:
    r"""Contraction rate of the mean (or the frequencies) towards the fit to the real sample.

    With fixed real data and generation 0 the fit to it, :math:`E[\theta_{t+1} - \theta_0 | \theta_t] = \rho (\theta_t -
    \theta_0)` holds exactly for the mean of a Gaussian and for category frequencies, seed by seed. So ρ is the slope of a
    regression through 0 of each generation's displacement on the previous one, pooled over seeds, generations and
    coordinates, with a t interval over seeds (linearised ratio estimator).

    Returns:
        The rate, or None where it is not defined or not estimable: other families and regimes, generation 0 not a fit,
        `parameters` not measured, fewer than three generations, fewer than 10 seeds, a diverged seed.
    """
    if not _regresses(cell.run):
        return None
    is_parameter = pl.col("metric").str.starts_with("mean.") | pl.col("metric").str.contains(r"^p\.\d+$")
    rows = frame.filter((pl.col("run") == cell.id) & is_parameter).select("seed", "generation", "metric", "value")
    start = rows.filter(pl.col("generation") == 0).select("seed", "metric", pl.col("value").alias("start"))
    displaced = rows.join(start, on=["seed", "metric"]).with_columns(pl.col("value") - pl.col("start"))
    later = displaced.select("seed", "metric", pl.col("generation") - 1, pl.col("value").alias("next"))
    pairs = displaced.join(later, on=["seed", "metric", "generation"]).filter(pl.col("generation") > 0)
    sums = pairs.group_by("seed").agg(
        (pl.col("value") * pl.col("next")).sum().alias("product"), (pl.col("value") ** 2).sum().alias("square")
    )
    product, square = sums["product"].to_numpy(), sums["square"].to_numpy()
    seeds = len(sums)
    if seeds < MIN_SEEDS or not np.isfinite(product).all() or not square.sum() > 0:
        return None
    rate = product.sum() / square.sum()
    residual = (product - rate * square) / square.mean()
    half = intervals.half_width(float(np.std(residual, ddof=1)), seeds, level)
    return Contraction(float(rate), float(rate - half), float(rate + half), seeds, "parameters")


def _regresses(run: Run) -> bool:
    family = family_facts(run.family)
    if family is None or not family.is_exponential or run.initial != "fit":
        return False
    rates = stability_of(run)
    # Displacements are relative to the fit of generation 0, so later fits must use the whole real set.
    return rates is not None and rates.ratio > 0 and run.plan(1).counts[0] == run.source.size


def _compare_prediction(cell_rows: pl.DataFrame, prediction: Prediction, level: float) -> pl.DataFrame:
    predictions = pl.DataFrame(
        {"generation": prediction.generations, "predicted": np.asarray(prediction.values, float)}
    )
    rows = cell_rows.filter(pl.col("metric") == prediction.metric).join(
        predictions.cast({"generation": pl.Int64}), on="generation", how="inner"
    )
    generations = rows["generation"].n_unique()
    if not generations:
        return pl.DataFrame(schema=_SCHEMA)
    raised = 1 - (1 - level) / generations
    comparisons = []
    for (t,), part in rows.group_by("generation", maintain_order=True):
        values = statistic_of(part["value"].to_numpy(), prediction.statistic, prediction.centre)
        predicted = float(part["predicted"][0])
        mean, low, high = (float(bound) for bound in intervals.interval(values, raised))
        is_tested = prediction.kind == "exact" and len(values) >= MIN_SEEDS and not is_skewed(values)
        # float32 rounding of values around `centre` and of the prediction.
        slack = 1e-5 * abs(predicted) + 1e-12 * (1e-3 + prediction.centre**2)
        departs = bool(predicted < low - slack or predicted > high + slack) if is_tested else None
        comparisons.append((t, predicted, mean, low, high, len(values), departs))
    names = ["generation", "predicted", "measured", "low", "high", "seeds", "departs"]
    table = pl.DataFrame(comparisons, schema={name: _SCHEMA[name] for name in names}, orient="row").sort("generation")
    labels = {
        "prediction": prediction.label,
        "metric": prediction.metric,
        "statistic": prediction.statistic,
        "kind": prediction.kind,
    }
    return table.with_columns(pl.lit(text).alias(name) for name, text in labels.items()).select(*_SCHEMA)


def is_skewed(values: np.ndarray) -> bool:
    """Whether values are too skewed (or not finite) for a t interval of their mean."""
    if not np.isfinite(values).all():
        return True
    offset = values - values.mean()
    spread = np.sqrt((offset**2).mean())
    # Values equal up to rounding have no skewness.
    if spread <= 1e-6 * np.abs(values).max(initial=0.0):
        return False
    return abs((offset**3).mean()) / spread**3 > MAX_SKEWNESS * np.sqrt(len(values))
