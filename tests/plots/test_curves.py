"""What a figure of a metric is drawn from."""

import numpy as np
import polars as pl
import pytest

from selfconsume.plots import curves


def rows(values, metric="m", run="r"):
    """``values[seed][t]`` as a tidy table."""
    tidy = [(run, seed, t, metric, float(v)) for seed, series in enumerate(values) for t, v in enumerate(series)]
    return pl.DataFrame(tidy, schema=["run", "seed", "generation", "metric", "value"], orient="row")


def only(table, floors=None, name="cell"):
    floors = table.clear() if floors is None else floors
    (curve,) = curves.curves_of(table, floors, ["r"], [name], 0.95)
    return curve


def test_means_follow_the_generations_whatever_the_order_of_rows():
    table = rows([[1, 2, 3], [3, 4, 7]]).sample(fraction=1, shuffle=True, seed=0)
    curve = only(table)
    assert curve.t.tolist() == [0, 1, 2] and curve.mean.tolist() == [2, 3, 5]
    assert (curve.low < curve.mean).all() and curve.floor is None and curve.diverged == [] and curve.label == "cell"


def test_lost_seeds_leave_the_mean_and_are_marked_where_they_were_last_seen():
    nan = np.nan
    curve = only(rows([[1, 2, 3], [3, 5, nan], [nan, nan, nan], [4, np.inf, nan]]))
    assert sorted(curve.diverged, key=lambda point: point[0])[1:] == [(0, 4.0), (1, 5.0)]
    assert curve.diverged[1][0] == -1
    assert curve.mean[0] == pytest.approx(8 / 3) and np.isnan(curve.mean[1]) and curve.mean[2] == 3
    assert curve.label == "cell  × 3/4"


def test_floor_is_summarised_over_seeds():
    table = rows([[1, 2], [1, 2]])
    curve = only(table, rows([[0.2], [0.4]], "m.floor"))
    assert curve.floor[0] == pytest.approx(0.3) and curve.floor[1] < 0.3 < curve.floor[2]
    assert only(table, rows([[np.nan]], "m.floor")).floor is None


def test_equal_floors_compare_equal():
    table = pl.concat([rows([[1]], run="r"), rows([[1]], run="s")])
    floors = pl.concat([rows([[0.1], [0.2], [0.7]], "f", "r"), rows([[0.7], [0.2], [0.1]], "f", "s")])
    first, second = curves.curves_of(table, floors, ["r", "s"], ["a", "b"], 0.95)
    assert first.floor == second.floor


def test_long_curves_are_thinned_with_both_ends():
    curve = only(rows([np.arange(5000.0)]))
    assert len(curve.t) == curves.MAX_POINTS and curve.t[0] == 0 and curve.t[-1] == 4999
    assert np.array_equal(curve.mean, curve.t)


def test_long_names_are_cut_before_the_count():
    label = only(rows([[1.0, np.nan]]), name="x" * 99).label
    assert label.endswith("…  × 1/1") and len(label) < 50
