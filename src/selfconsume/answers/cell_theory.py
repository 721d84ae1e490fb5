"""Theory and measurements of one cell of a study, as an object and as plain values."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import polars as pl

from selfconsume.analysis import against_theory, twins
from selfconsume.study.cells import Cell
from selfconsume.theory.predictions.predict import Prediction
from selfconsume.theory.stability.rates import StabilityRates

REGRESSED = {
    "parameters": "regression of parameters, exact",
    "samples": "regression of the samples' means and products, a rate only where the fit matches these",
}
"""What was regressed for the rate from stored runs."""


class CellTheory(NamedTuple):
    """Theory and measurements of one cell; None where one does not apply or was not measured."""

    cell: Cell
    rates: StabilityRates | None
    """Rates of stability near the best fit."""
    predictions: list[Prediction]
    comparison: pl.DataFrame | None
    """The predictions beside the results."""
    paths: twins.Paths | None
    """Distances between twin lanes."""
    regression: against_theory.Contraction | None
    """The contraction rate estimated from stored runs."""


def facts(cell: CellTheory) -> dict[str, Any]:
    """One cell as plain values; null where one does not apply or was not measured."""
    rates, regression = cell.rates, cell.regression
    return {
        "run": cell.cell.id,
        "labels": cell.cell.labels,
        **{name: getattr(rates, name, None) for name in ("ratio", "rho", "ferbach", "bertrand", "rho_error")},
        **_rate(cell),
        "runs": None if regression is None else list(regression[:3]),
        "runs_note": None if regression is None else REGRESSED[regression.of],
        "kinds": {} if rates is None else dict(rates.kinds),
        "conditions": {} if rates is None else dict(rates.conditions),
        "account": [] if rates is None else list(rates.account),
        "predictions": [_prediction(prediction, cell.comparison) for prediction in cell.predictions],
    }


def _prediction(prediction: Prediction, comparison: pl.DataFrame | None) -> dict[str, Any]:
    return {
        **{name: getattr(prediction, name) for name in ("label", "metric", "statistic", "centre", "kind")},
        "generations": None if is_limit(prediction) else prediction.generations.tolist(),
        "values": prediction.values.tolist(),
        "assumptions": prediction.assumptions,
        "citation": prediction.citation,
        "departs": None if comparison is None else departures(comparison, prediction),
    }


def _rate(cell: CellTheory) -> dict[str, Any]:
    """The measured rate: of twins where they were trained, else of the runs in the results."""
    paths, regression = cell.paths, cell.regression
    if paths is not None:
        rates = {name: _plain(paths.rate(of=name)) for name in ("parameters", "distribution")}
        rate, *interval = rates[paths.space] or (None, None)
        note = (
            f"twin lanes, in {paths.space}" if rate is not None else "twin lanes: at least half of the seeds diverged"
        )
        return {
            "measured": rate,
            "measured_interval": None if rate is None else interval,
            "measured_note": note,
            "twins": rates,
        }
    if regression is not None:
        return {
            "measured": regression.rate,
            "measured_interval": [regression.low, regression.high],
            "measured_note": REGRESSED[regression.of],
            "twins": None,
        }
    note = "not measured; --measure trains twin lanes, --results DIR reads stored runs"
    return {"measured": None, "measured_interval": None, "measured_note": note, "twins": None}


def _plain(rate: twins.Rate) -> list[float] | None:
    return [rate.rate, rate.low, rate.high] if np.isfinite(rate.high) else None


def departures(comparison: pl.DataFrame, prediction: Prediction) -> list[int] | None:
    """Generations in which the measured mean leaves a prediction; None where no generation was judged."""
    if is_limit(prediction):
        return None
    rows = comparison.filter(
        pl.col("prediction") == prediction.label,
        pl.col("metric") == prediction.metric,
        pl.col("statistic") == prediction.statistic,
        pl.col("kind") == prediction.kind,
        pl.col("departs").is_not_null(),
    )
    return rows.filter("departs")["generation"].to_list() if len(rows) else None


def is_limit(prediction: Prediction) -> bool:
    """Whether a prediction is of the limit of many generations alone."""
    return bool(np.isinf(prediction.generations).all())
