"""Measured beside predicted: where a mean over seeds leaves a prediction, and how fast retraining forgets.

Intervals are Student t intervals of the mean over seeds. A curve is judged in all its generations at once: the level of
each generation's interval is raised so that all of them together hold with the level asked for (Bonferroni), whatever the
correlation between generations.
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

SKEWED = 0.15
"""Values whose sample skewness exceeds this times the root of their number are not judged: there the t interval of a mean
covers far less than its level. (Late in a collapse the expected variance is carried by very few runs.)"""
FEWEST = 10
"""Seeds below which nothing is judged: too few to see skewness."""

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


def compare(frame: pl.DataFrame, cell: Cell, predictions: Sequence[Prediction], level: float = 0.95) -> pl.DataFrame:
    """Each predicted value beside the mean of its statistic over seeds.

    Args:
        frame: A tidy table, see `selfconsume.results.table.table`.
        cell: Whose rows they are.
        predictions: Those of the cell's run; what is reached in the end, and metrics not measured, are passed over.
        level: Coverage of all intervals of one prediction together.

    Returns:
        A row for each prediction and measured generation. `low` and `high` bound the mean at the level raised by
        Bonferroni over that prediction's generations; `departs` says whether an exact prediction lies outside, beyond
        what float32 rounds. It is null where that cannot be said: asymptotic predictions, fewer than 10 seeds, a seed that
        diverged, or values too skewed for a t interval (see `SKEWED`). Several predictions are several tests: at level
        0.95 one in twenty correct ones departs somewhere by chance.
    """
    own = frame.filter(pl.col("run") == cell.id)
    parts = [_beside(own, each, level) for each in predictions if np.isfinite(each.generations).all()]
    return pl.concat([pl.DataFrame(schema=_SCHEMA), *parts])


def statistic_of(values: np.ndarray, statistic: Statistic, centre: float = 0.0) -> np.ndarray:
    """The statistic of each value, before its mean is taken; see `selfconsume.theory.predictions.predict.Statistic`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if statistic == "mean_square":
            return (values - centre) ** 2
        if statistic == "mean_sqrt":
            return np.sqrt(values)
        if statistic == "mean_log":
            return np.log(values)
        return values * (1 - values) if statistic == "mean_spread" else values


class Contraction(NamedTuple):
    """A slope from runs with the bounds of its interval, the number of seeds, and what was regressed.

    Of parameters it is the rate of contraction, exactly; of the statistics of samples see `analysis.regression_rate`.
    """

    rate: float
    low: float
    high: float
    seeds: int
    of: Literal["parameters", "samples"]


def contraction(frame: pl.DataFrame, cell: Cell, level: float = 0.95) -> Contraction | None:
    r"""The rate at which retraining pulls the mean (or the frequencies) back to the fit of the real sample.

    With fixed real data and generation 0 the fit to it, :math:`E[\theta_{t+1} - \theta_0 | \theta_t] = \rho (\theta_t -
    \theta_0)` holds exactly for the mean of a Gaussian and for category frequencies, seed by seed. So ρ is the slope of a
    regression through 0 of one generation's displacement on that of the one before, pooled over seeds, generations and
    coordinates; its interval is a t interval over seeds (ratio estimator, linearised).

    Returns:
        The rate, or None where it cannot be fitted honestly: other families and regimes, generation 0 not a fit,
        `parameters` not measured, fewer than three generations, fewer than 10 seeds, a seed that diverged.
    """
    if not _regresses(cell.run):
        return None
    named = pl.col("metric").str.starts_with("mean.") | pl.col("metric").str.contains(r"^p\.\d+$")
    rows = frame.filter((pl.col("run") == cell.id) & named).select("seed", "generation", "metric", "value")
    start = rows.filter(pl.col("generation") == 0).select("seed", "metric", pl.col("value").alias("start"))
    moved = rows.join(start, on=["seed", "metric"]).with_columns(pl.col("value") - pl.col("start"))
    later = moved.select("seed", "metric", pl.col("generation") - 1, pl.col("value").alias("next"))
    pairs = moved.join(later, on=["seed", "metric", "generation"]).filter(pl.col("generation") > 0)
    sums = pairs.group_by("seed").agg(
        (pl.col("value") * pl.col("next")).sum().alias("product"), (pl.col("value") ** 2).sum().alias("square")
    )
    product, square = sums["product"].to_numpy(), sums["square"].to_numpy()
    seeds = len(sums)
    if seeds < FEWEST or not np.isfinite(product).all() or not square.sum() > 0:
        return None
    rate = product.sum() / square.sum()
    residual = (product - rate * square) / square.mean()
    half = intervals.half_width(np.std(residual, ddof=1), np.array(seeds), level)
    return Contraction(float(rate), float(rate - half), float(rate + half), seeds, "parameters")


def _regresses(run: Run) -> bool:
    family = family_facts(run.family)
    if family is None or not family.is_exponential or run.initial != "fit":
        return False
    rates = stability_of(run)
    # The displacement is from generation 0's fit: all of the real set has to be what later fits are pulled to.
    return rates is not None and rates.ratio > 0 and run.plan(1).counts[0] == run.source.size


def _beside(own: pl.DataFrame, prediction: Prediction, level: float) -> pl.DataFrame:
    known = pl.DataFrame({"generation": prediction.generations, "predicted": np.asarray(prediction.values, float)})
    rows = own.filter(pl.col("metric") == prediction.metric).join(
        known.cast({"generation": pl.Int64}), on="generation", how="inner"
    )
    generations = rows["generation"].n_unique()
    if not generations:
        return pl.DataFrame(schema=_SCHEMA)
    raised = 1 - (1 - level) / generations
    found = []
    for (t,), part in rows.group_by("generation", maintain_order=True):
        values = statistic_of(part["value"].to_numpy(), prediction.statistic, prediction.centre)
        predicted = float(part["predicted"][0])
        mean, low, high = (float(each) for each in intervals.interval(values, raised))
        judged = prediction.kind == "exact" and len(values) >= FEWEST and not _skewed(values)
        # What float32 rounds of values around `centre`, and of the prediction itself.
        slack = 1e-5 * abs(predicted) + 1e-12 * (1e-3 + prediction.centre**2)
        departs = bool(predicted < low - slack or predicted > high + slack) if judged else None
        found.append((t, predicted, mean, low, high, len(values), departs))
    names = ["generation", "predicted", "measured", "low", "high", "seeds", "departs"]
    table = pl.DataFrame(found, schema={name: _SCHEMA[name] for name in names}, orient="row").sort("generation")
    said = {"prediction": prediction.label, "metric": prediction.metric, "statistic": prediction.statistic}
    return table.with_columns(pl.lit(v).alias(k) for k, v in (*said.items(), ("kind", prediction.kind))).select(
        *_SCHEMA
    )


def _skewed(values: np.ndarray) -> bool:
    """Whether a t interval of the mean cannot be trusted; also for values that are not finite."""
    if not np.isfinite(values).all():
        return True
    offset = values - values.mean()
    spread = np.sqrt((offset**2).mean())
    # Equal values, up to rounding, have no shape.
    if spread <= 1e-6 * np.abs(values).max(initial=0.0):
        return False
    return abs((offset**3).mean()) / spread**3 > SKEWED * np.sqrt(len(values))
