"""Power of t tests and equivalence tests against simulation."""

import numpy as np
import pytest
import scipy.stats

from selfconsume.analysis import hypothesis_tests
from selfconsume.analysis.power import seeds_to_decide, t_test_power, tost_power


@pytest.mark.parametrize(("effect", "n"), [(0.0, 5), (0.8, 8), (1.5, 6)])
def test_power_of_the_t_test_is_that_of_simulated_tests(effect, n):
    x = effect + np.random.default_rng(0).standard_normal((20_000, n))
    rejected = (scipy.stats.ttest_1samp(x, 0.0, axis=1).pvalue <= 0.05).mean()
    assert t_test_power(effect, n) == pytest.approx(rejected, abs=0.012)


@pytest.mark.parametrize("effect", [2.0, 5.0, 20.0])
def test_power_of_a_large_effect_is_one(effect):
    assert t_test_power(effect, 10) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("effect", "margin", "n"), [(0.0, 1.5, 10), (0.4, 1.2, 12)])
def test_power_of_tost_is_that_of_simulated_tests(effect, margin, n):
    x = effect + np.random.default_rng(0).standard_normal((2000, n))
    rejected = np.mean([hypothesis_tests.tost(hypothesis_tests.mean_of(row), margin) <= 0.05 for row in x])
    assert tost_power(effect, margin, n) == pytest.approx(rejected, abs=0.04)


def test_seeds_to_decide_is_the_first_number_with_the_power():
    n = seeds_to_decide(0.5, 1.0, 0.0)
    assert t_test_power(0.5, n) >= 0.8 > t_test_power(0.5, n - 1)
    n = seeds_to_decide(0.0, 1.0, 0.5)
    assert tost_power(0.0, 0.5, n) >= 0.8 > tost_power(0.0, 0.5, n - 1)
    assert seeds_to_decide(0.5, 1.0, 0.0, comparisons=5) > seeds_to_decide(0.5, 1.0, 0.0)


def test_what_no_affordable_number_of_seeds_decides():
    assert seeds_to_decide(0.0, 1.0, 0.0) is None and seeds_to_decide(1e-4, 1.0, 1e-4) is None
    assert seeds_to_decide(0.0, 0.0, 1.0) == 2
