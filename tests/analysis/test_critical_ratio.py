"""The critical ratio: where it is known, where there is none, and how often the interval covers it."""

import dataclasses
import math

import numpy as np
import pytest

from selfconsume.analysis import critical_ratio as threshold
from selfconsume.analysis.critical_ratio import Point, critical_ratio, estimate_threshold, search
from selfconsume.analysis.twins import Rate
from selfconsume.errors import ConfigError
from selfconsume.families.categorical import Categorical
from selfconsume.families.gaussian import Gaussian
from selfconsume.families.kde import Kde
from selfconsume.loop.run import Run
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.replace import Replace
from selfconsume.regimes.schedules import floor_count
from selfconsume.sources.categorical import Categorical as Categories
from selfconsume.sources.gaussian import Gaussian as Source

RUN = Run(Source(n=1000), Gaussian(temperature=2.0), Mix(1.0))


def studies(layout, count, temperature=2.0, max_ratio=4.0):
    """Thresholds of so many independent studies of 8 seeds."""
    run = dataclasses.replace(RUN, family=Gaussian(temperature=temperature))
    return [search(run, range(8 * i, 8 * i + 8), 24, max_ratio=max_ratio, layout=layout) for i in range(count)]


def test_the_interval_covers_the_truth(layout):
    """At temperature 2 the truth is 1. Of 3 intervals of 90 % or more, fewer than 2 cover in 1 of 36 cases."""
    found = studies(layout, 3, max_ratio=2.0)
    assert all(each.outcome == "found" and each.low < each.ratio < each.high for each in found)
    assert sum(each.low <= 1 <= each.high for each in found) >= 2
    assert max(each.high - each.low for each in found) < 0.15
    assert np.mean([each.ratio for each in found]) == pytest.approx(1, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [2.0, 1.5])
def test_the_interval_covers_the_truth_in_90_of_100_studies(layout, temperature):
    truth = 1 / (temperature - 1)
    found = studies(layout, 100, temperature)
    covered = sum(each.low <= truth <= (each.high or math.inf) for each in found)
    widths = [each.high - each.low for each in found]
    print(f"temperature {temperature}: {covered} of 100 cover {truth:g}; mean width {np.mean(widths):.3g}, ", end="")
    print(f"mean estimate {np.mean([each.ratio for each in found]):.4f}")
    assert covered >= 90


def test_what_is_stable_at_every_ratio_is_said_to_be(layout):
    found = search(dataclasses.replace(RUN, family=Gaussian()), range(8), 24, max_ratio=2.0, layout=layout)
    assert found.outcome == "stable" and found.ratio is None and found.high is None
    assert found.low == found.max_ratio == 2.0 and len(found.points) == threshold.POINTS


def test_what_theory_knows():
    def known(**change):
        return critical_ratio(dataclasses.replace(RUN, **change))

    assert known()[0] == 1.0 and known(family=Gaussian(temperature=1.5))[0] == 2.0
    assert known(regime=Mix(1.0, weight=0.5))[0] == 2.0
    assert known(family=Gaussian(temperature=0.5))[0] == known(family=Gaussian())[0] == math.inf
    assert known(source=Categories(k=3), family=Categorical())[0] == math.inf
    assert known(family=Kde()) is None and known(regime=Replace()) is None and known(extrapolation=0.5) is None


def rate(value, half=0.02, seeds=8, diverged=0):
    return Rate(value, value - half, value + half, 4, 9, seeds, diverged)


def points(f, half=0.02):
    return [Point(x, rate(f(x), half)) for x in np.linspace(0.25, 2.0, 8)]


def test_conclusions_from_known_points():
    found = estimate_threshold(points(lambda x: 0.5 + 0.5 * x), 2.0)
    # Crossings are interpolated in the logarithm.
    assert found.outcome == "found" and found.ratio == pytest.approx(1.0, abs=1e-9)
    assert found.low == pytest.approx(0.96, abs=0.003) and found.high == pytest.approx(1.04, abs=0.003)
    assert estimate_threshold(points(lambda x: 0.5 + 0.1 * x), 2.0)[:4] == ("stable", None, 2.0, None)
    assert estimate_threshold(points(lambda x: 1.1 + x), 2.0)[:4] == ("unstable", None, 0.0, 0.25)
    shallow = estimate_threshold(points(lambda x: 0.98 + 0.005 * x), 2.0)
    assert shallow.outcome == "open" and shallow.ratio is None and shallow.high is None and shallow.low < 0.25 + 1e-9
    lost = Rate(math.nan, math.nan, math.nan, 0, 0, 2, 6)
    gone = estimate_threshold([Point(0.5, rate(0.6)), Point(1.0, lost)], 1.0)
    assert gone.outcome == "found" and 0.5 <= gone.low <= gone.ratio <= gone.high <= 1.0


def test_ratios_are_whole_rows():
    for rows in (3, 7, 10, 1000):
        grid = threshold._grid(0.0, 4.0, 8, rows)
        assert grid == sorted(set(grid)) and [floor_count(x, rows) for x in grid] == [round(x * rows) for x in grid]


@pytest.mark.parametrize(
    ("change", "seeds", "generations", "max_ratio", "said"),
    [
        ({"regime": Replace()}, 8, 12, 4.0, "mix"),
        ({"regime": Mix(1.0, weight=0.0)}, 8, 12, 4.0, "weight"),
        ({}, 3, 12, 4.0, "seeds"),
        ({}, 8, 7, 4.0, "generations"),
        ({}, 8, 12, 0.001, "--most"),
        ({}, 8, 12, math.inf, "--most"),
    ],
)
def test_what_cannot_be_searched_is_refused(change, seeds, generations, max_ratio, said):
    with pytest.raises(ConfigError, match=said):
        search(dataclasses.replace(RUN, **change), range(seeds), generations, max_ratio=max_ratio)
