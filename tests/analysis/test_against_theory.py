"""Departures from predictions, and the rate fitted from runs, on tables whose law is known."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from selfconsume.analysis.against_theory import MIN_SEEDS, compare_predictions, estimate_contraction
from selfconsume.families.gaussian import Gaussian
from selfconsume.families.mixture import Mixture
from selfconsume.loop.run import Run
from selfconsume.metrics.metric_key import metric_key
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.replace import Replace
from selfconsume.regimes.window import Window
from selfconsume.sources.gaussian import Gaussian as Normal
from selfconsume.study.cells import Cell
from selfconsume.theory.predictions.predict import Prediction, predict

CELL = Cell(Run(Normal(n=20), Gaussian(), Mix(1.0)), {})


def tidy(metrics, cell=CELL):
    """A tidy table of ``{metric: (generations, seeds)}``."""
    parts = []
    for metric, values in metrics.items():
        t, seed = (grid.ravel() for grid in np.meshgrid(*map(np.arange, values.shape), indexing="ij"))
        parts.append(
            pl.DataFrame({"run": cell.id, "seed": seed, "generation": t, "metric": metric, "value": values.ravel()})
        )
    return pl.concat(parts).with_columns(status=pl.lit("ok"))


def curve(values, statistic="mean", kind="exact", **more):
    values = np.asarray(values, float)
    return Prediction("a curve", "m", statistic, np.arange(len(values)), values, kind, "", "", **more)


def test_a_mean_that_leaves_its_prediction_is_found_and_no_other():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 200))
    values[3] += 1.0
    table = compare_predictions(tidy({"m": values}), CELL, [curve(np.zeros(6))])
    assert table["generation"].to_list() == list(range(6)) and table["departs"].to_list() == [t == 3 for t in range(6)]
    row = table.row(3, named=True)
    assert row["measured"] == pytest.approx(values[3].mean()) and row["low"] > 0 and row["seeds"] == 200
    # Bonferroni: an interval of level 1 - 0.05 / 6, half as wide as Student says.
    import scipy.stats

    half = scipy.stats.t.ppf(1 - 0.05 / 12, 199) * values[3].std(ddof=1) / np.sqrt(200)
    assert row["high"] - row["measured"] == pytest.approx(half)


def test_false_departures_are_as_rare_as_said():
    rng = np.random.default_rng(1)
    gone = [
        compare_predictions(tidy({"m": rng.normal(size=(10, 30))}), CELL, [curve(np.zeros(10))])["departs"].any()
        for _ in range(300)
    ]
    # Bonferroni gives 0.049; three standard errors of 300 trials.
    assert np.mean(gone) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def test_each_statistic():
    rng = np.random.default_rng(2)
    x = rng.uniform(0.2, 0.8, size=(2, 5000))
    expected = {
        "mean": 0.5,
        "mean_square": 0.03,
        "mean_sqrt": (0.8**1.5 - 0.2**1.5) / 0.9,
        "mean_log": (0.8 * np.log(0.8) - 0.2 * np.log(0.2)) / 0.6 - 1,
        "mean_spread": 0.22,
    }
    for statistic, value in expected.items():
        for off in (0.0, 0.02):
            prediction = curve(np.full(2, value + off), statistic, centre=0.5 if statistic == "mean_square" else 0.0)
            assert compare_predictions(tidy({"m": x}), CELL, [prediction])["departs"].to_list() == [off > 0] * 2


def test_what_is_not_judged():
    rng = np.random.default_rng(3)
    normal = rng.normal(5.0, size=(2, 100))
    lost = normal.copy()
    lost[1, 0] = np.nan
    heavy = np.exp(3 * rng.normal(size=(2, 100)))
    for values, kind in ((normal, "asymptotic"), (normal[:, : MIN_SEEDS - 1], "exact"), (heavy, "exact")):
        assert (
            compare_predictions(tidy({"m": values}), CELL, [curve(np.zeros(2), kind=kind)])["departs"].null_count() == 2
        )
    assert compare_predictions(tidy({"m": lost}), CELL, [curve(np.zeros(2))])["departs"].to_list() == [True, None]
    limit = Prediction("end", "m", "mean", np.array([np.inf]), np.zeros(1), "limit", "", "")
    other = curve(np.zeros(2))._replace(metric="unmeasured")
    assert compare_predictions(tidy({"m": normal}), CELL, [limit, other]).is_empty()
    # Generation 0 of runs that start from the truth: all seeds alike, up to rounding.
    assert compare_predictions(tidy({"m": np.ones((1, 50))}), CELL, [curve([1.0 + 1e-7])])["departs"].to_list() == [
        False
    ]
    assert compare_predictions(tidy({"m": np.ones((1, 50))}), CELL, [curve([1.1])])["departs"].to_list() == [True]


def autoregression(rate, seeds, generations=8):
    rng = np.random.default_rng(4)
    start, x = rng.normal(size=seeds), np.zeros(seeds)
    path = [start]
    for _ in range(generations - 1):
        x = rate * x + 0.1 * rng.normal(size=seeds)
        path.append(start + x)
    return np.stack(path)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_rate_is_found(rate):
    found = estimate_contraction(
        tidy({"mean.0": autoregression(rate, 400), "moments.mean_error": np.ones((8, 400))}), CELL
    )
    assert found.low < rate < found.high and found.high - found.low < 0.08 and found.seeds == 400


def test_no_rate_where_it_would_not_be_honest():
    values = tidy({"mean.0": autoregression(0.5, 50)})
    assert estimate_contraction(values, CELL) is not None
    few = values.filter(pl.col("seed") < MIN_SEEDS - 1), values.filter(pl.col("generation") < 2)
    assert [estimate_contraction(each, CELL) for each in few] == [None, None]
    lost = values.with_columns(pl.when(pl.col("seed") == 3).then(np.nan).otherwise("value").alias("value"))
    assert estimate_contraction(lost, CELL) is None
    for change in (
        {"regime": Replace()},
        {"regime": Replace(real=0.5)},
        {"regime": Window(size=3)},
        {"regime": Mix(0.0)},
        {"initial": "truth"},
        {"family": Mixture(k=1)},
    ):
        cell = Cell(dataclasses.replace(CELL.run, **change), {})
        assert estimate_contraction(values.with_columns(run=pl.lit(cell.id)), cell) is None


def test_a_run_of_another_ratio_departs():
    """The prediction of a ratio on runs of another one."""
    from selfconsume.lanes.lane_batch import LaneBatch
    from selfconsume.lanes.layout import DeviceLayout
    from selfconsume.metrics.parameters import Parameters

    run, lanes = CELL.run, 400
    records = [
        r.values[metric_key(Parameters())]
        for r in LaneBatch([run] * lanes, range(lanes), DeviceLayout.default()).generations([Parameters()], 5)
    ]
    table = tidy({name: np.stack([record[name] for record in records]) for name in records[0]})
    right, wrong = (
        compare_predictions(table, CELL, predict(each, 6)) for each in (run, dataclasses.replace(run, regime=Replace()))
    )
    assert not right["departs"].any() and wrong.filter(pl.col("metric") == "covariance.0.0")["departs"].any()
    found = estimate_contraction(table, CELL)
    assert found.low < 0.5 < found.high
