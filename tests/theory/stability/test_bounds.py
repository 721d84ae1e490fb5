import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfconsume.theory.stability import bounds

T3 = {"alpha": 0.75972, "lipschitz": 1.1217, "epsilon": 0.3048}
CONSTANT = st.floats(0.0, 10.0)


def test_student_location():
    # One in the last digit: the constants above are rounded themselves.
    assert bounds.ferbach(0.2, **T3).rate == pytest.approx(0.2613, abs=1e-4)
    assert bounds.bertrand(0.2, **T3).rate == pytest.approx(0.4084, abs=1e-4)
    outside = bounds.bertrand(1.0, **T3)
    assert outside.rate is None and not outside.holds
    assert bounds.ferbach(1.0, **T3).holds


@given(st.floats(0.0, 20.0), st.floats(1e-3, 10.0), CONSTANT, CONSTANT)
def test_a_bound_is_a_rate_or_none(ratio, alpha, lipschitz, epsilon):
    bertrand = bounds.bertrand(ratio, alpha, lipschitz, epsilon)
    ferbach = bounds.ferbach(ratio, alpha, lipschitz, epsilon)
    misfit = lipschitz * epsilon
    assert bertrand.holds == (ratio * (1 + misfit / alpha) < 0.5)
    assert ferbach.holds == (misfit / alpha < 1 and (misfit == 0 or ratio < 0.5 * alpha / misfit))
    for bound in (bertrand, ferbach):
        assert bound.rate is None or 0.0 <= bound.rate < 1.0
    if bertrand.holds:
        load = ratio * (alpha + epsilon * lipschitz)
        assert bertrand.rate == pytest.approx(load / (alpha - load), abs=1e-12)
        # The sharper theorem holds wherever the first does, and is sharper.
        if ferbach.holds:
            assert ferbach.rate <= bertrand.rate + 1e-12
    if ferbach.holds:
        formula = ratio * (alpha + misfit) / (alpha + ratio * (alpha - misfit))
        assert ferbach.rate == pytest.approx(formula, abs=1e-12)


@pytest.mark.parametrize("theorem", [bounds.bertrand, bounds.ferbach])
def test_critical_ratio(theorem):
    critical = theorem(0.0, **T3).critical_ratio
    assert theorem(0.999 * critical, **T3).holds and not theorem(1.001 * critical, **T3).holds
    assert not theorem(math.inf, **T3).holds and theorem(math.inf, **T3).critical_ratio == critical


def test_exponential_families():
    for ratio, rate in [(0.1, 0.090909), (1.0, 0.5), (10.0, 0.909091)]:
        assert bounds.natural_rate(ratio) == pytest.approx(rate, abs=5e-7)
        assert bounds.ferbach(ratio, 1.0, 0.0, 0.7).rate == pytest.approx(rate, abs=5e-7)
    assert bounds.natural_rate(math.inf) == 1.0


@pytest.mark.parametrize("alpha", [0.0, -1.0, math.nan])
def test_no_bound_without_curvature(alpha):
    for theorem in (bounds.bertrand, bounds.ferbach):
        bound = theorem(0.1, alpha, 1.0, 1.0)
        assert bound.rate is None and bound.critical_ratio == 0.0 and "alpha" in bound.condition


def test_finite_sample_radius_covers_the_gaussian_mean():
    n, ratio, delta, runs = 100, 0.5, 0.1, 5000
    m = int(ratio * n)
    rng = np.random.default_rng(0)
    a, b = bounds.gaussian_mean_constants(ratio)
    distance = np.full(runs, 0.4)
    for t in range(6):
        radius = bounds.finite_sample_radius(t, n, rate=bounds.natural_rate(ratio), start=0.4, a=a, b=b, delta=delta)
        assert (np.abs(distance) <= radius).mean() >= 1 - delta
        # Not vacuous: within a small factor of the largest distances seen.
        assert radius < 4 * np.quantile(np.abs(distance), 1 - delta)
        distance = m / (n + m) * (distance + rng.standard_normal(runs) / np.sqrt(m))


def test_finite_sample_radius_by_hand():
    radius = bounds.finite_sample_radius(2, 100, rate=0.5, start=1.0, a=3.0, b=2.0, delta=0.05, optimisation=0.1)
    assert radius == pytest.approx((0.1 + 0.3 * math.sqrt(math.log(80))) * 1.75 + 0.25)
    for rate in (None, 1.0, -3.2):
        assert bounds.finite_sample_radius(2, 100, rate=rate, start=1.0, a=1.0, b=2.0) is None
