"""Intervals against SciPy, coverage by simulation, and grouping against a loop."""

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from selfconsume.analysis import intervals

numbers = st.floats(-1e3, 1e3, width=32).map(float)


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float64, st.tuples(st.integers(2, 8), st.integers(1, 3)), elements=numbers), st.floats(0.5, 0.99))
def test_interval_is_scipys(values, level):
    found = intervals.interval(values, level)
    assert np.allclose(found.mean, values.mean(axis=0))
    spread = reference.sem(values, axis=0)
    for column in range(values.shape[1]):
        half = found.high[column] - found.mean[column]
        wanted = reference.t.ppf((1 + level) / 2, len(values) - 1) * spread[column]
        assert math.isclose(half, wanted, rel_tol=1e-6, abs_tol=1e-9)
        assert math.isclose(found.mean[column] - found.low[column], half, rel_tol=1e-6, abs_tol=1e-9)


def test_interval_covers():
    rng = np.random.default_rng(0)
    draws = 4000
    found = intervals.interval(rng.normal(3.0, 2.0, (4, draws)), 0.9)
    covered = np.mean((found.low <= 3.0) & (found.high >= 3.0))
    assert abs(covered - 0.9) < 4 * math.sqrt(0.9 * 0.1 / draws)


def test_diverged_seeds_are_left_out():
    values = np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, np.nan], [4.0, np.nan]])
    found = intervals.interval(values)
    kept = intervals.interval(np.array([1.0, 2.0, 4.0]))
    assert np.allclose([side[0] for side in found], kept)
    assert all(np.isnan(side[1]) for side in found)


@pytest.mark.parametrize("values", [[2.5], [2.5, np.nan]])
def test_one_seed_has_no_interval(values):
    mean, low, high = intervals.interval(np.array(values))
    assert mean == 2.5 and np.isnan(low) and np.isnan(high)


def test_an_infinite_value_makes_the_mean_infinite():
    mean, low, high = intervals.interval(np.array([1.0, np.inf, 2.0]))
    assert mean == np.inf and np.isnan(low) and np.isnan(high)


def tidy(cells=3, seeds=5, generations=4, lost=0.2):
    rng = np.random.default_rng(1)
    rows = [
        (f"run{cell}", seed, 0.5 * cell, t, metric, float("nan") if rng.random() < lost else float(rng.normal()))
        for cell in range(cells)
        for seed in range(seeds)
        for t in range(generations)
        for metric in ("a", "b")
    ]
    frame = pl.DataFrame(rows, schema=["run", "seed", "ratio", "generation", "metric", "value"], orient="row")
    return frame.with_columns(status=pl.when(pl.col("value").is_nan()).then(pl.lit("diverged")).otherwise(pl.lit("ok")))


def test_summarise_is_interval_of_each_group():
    frame = tidy()
    summary = intervals.summarise(frame)
    assert summary.columns == ["run", "ratio", "generation", "metric", "mean", "low", "high", "seeds", "diverged"]
    assert len(summary) == 3 * 4 * 2
    for row in summary.iter_rows(named=True):
        same = (pl.col(name) == row[name] for name in ("run", "generation", "metric"))
        values = frame.filter(*same)["value"].to_numpy()
        wanted = intervals.interval(values)
        assert np.allclose([row["mean"], row["low"], row["high"]], wanted, equal_nan=True)
        assert row["seeds"] == 5 and row["diverged"] == np.isnan(values).sum()


def test_summarise_by_chosen_columns_and_of_nothing():
    frame = tidy(lost=0.0)
    assert intervals.summarise(frame, ["metric"])["seeds"].to_list() == [60, 60]
    everything_lost = frame.with_columns(value=pl.lit(float("nan")))
    summary = intervals.summarise(everything_lost, ["metric"])
    assert summary["mean"].is_nan().all() and summary["diverged"].to_list() == [60, 60]
    assert intervals.summarise(frame.clear()).is_empty()


def paired(first, second):
    rows = [
        (cell, seed, 3, "m", float(value))
        for cell, values in (("x", first), ("y", second))
        for seed, value in enumerate(values)
    ]
    return pl.DataFrame(rows, schema=["regime", "seed", "generation", "metric", "value"], orient="row")


def test_paired_difference_is_scipys_paired_interval():
    rng = np.random.default_rng(2)
    shared = rng.normal(size=8) * 100
    first, second = shared + rng.normal(size=8), shared + 1
    found = intervals.paired_difference(
        paired(first, second), {"regime": "x"}, {"regime": "y"}, metric="m", generation=3, level=0.9
    )
    wanted = reference.ttest_rel(first, second).confidence_interval(0.9)
    assert np.allclose([found.low, found.high], [wanted.low, wanted.high])
    assert math.isclose(found.mean, np.mean(first - second)) and found.pairs == 8 and found.dropped == 0


def test_paired_difference_drops_diverged_pairs():
    frame = paired([1.0, np.nan, 3.0], [0.0, 1.0, 1.0])
    found = intervals.paired_difference(frame, {"regime": "x"}, {"regime": "y"}, metric="m", generation=3)
    assert found.mean == 1.5 and found.pairs == 2 and found.dropped == 1


@pytest.mark.parametrize(
    ("first", "generation", "says"),
    [({}, 3, "several for a seed"), ({"regime": "z"}, 3, "none"), ({"regime": "x"}, 9, "none")],
)
def test_paired_difference_refuses_what_is_no_pair(first, generation, says):
    with pytest.raises(ValueError, match=says):
        intervals.paired_difference(
            paired([1.0, 2.0], [1.0, 2.0]), first, {"regime": "y"}, metric="m", generation=generation
        )


def test_paired_difference_refuses_disjoint_seeds():
    frame = paired([1.0, 2.0], [1.0, 2.0]).with_columns(
        seed=pl.when(pl.col("regime") == "x").then(pl.col("seed") + 10).otherwise(pl.col("seed"))
    )
    with pytest.raises(ValueError, match="share no seed"):
        intervals.paired_difference(frame, {"regime": "x"}, {"regime": "y"}, metric="m", generation=3)
