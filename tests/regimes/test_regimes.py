import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfconsume.errors import ConfigError
from selfconsume.regimes import fresh as fresh_module
from selfconsume.regimes import schedules
from selfconsume.regimes.accumulate import Accumulate
from selfconsume.regimes.fresh import Fresh
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.real_only import RealOnly
from selfconsume.regimes.replace import Replace
from selfconsume.regimes.subsample import Subsample
from selfconsume.regimes.window import Window
from selfconsume.sources.digits import Digits
from selfconsume.sources.gaussian import Gaussian
from selfconsume.types import Plan


@given(st.decimals(0, 20, places=4), st.integers(1, 10**6))
def test_a_count_is_the_floor_of_the_decimal_that_was_written(ratio, n):
    assert schedules.floor_count(float(ratio), n) == int(ratio * n)


def test_floats_that_lie_just_below_their_decimal_do_not_lose_an_example():
    assert 0.29 * 100 < 29
    assert schedules.floor_count(0.29, 100) == 29
    assert schedules.floor_count(1e-3, 1000) == 1
    assert schedules.floor_count(0.1 + 0.2, 10) == 3  # 0.30000000000000004


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(1, 12))
def test_the_last_entry_of_a_schedule_holds_from_then_on(schedule, t):
    padded = schedule + schedule[-1:] * 12
    assert schedules.value_at(tuple(schedule), t) == padded[t - 1]
    assert schedules.value_at(schedule[0], t) == schedule[0]
    assert schedules.maximum(tuple(schedule)) == max(schedule)


@given(st.integers(1, 6), st.integers(1, 50), st.integers(1, 50))
def test_plans_of_the_literature(t, n, m):
    assert RealOnly().plan(t, n, m) == Plan((n, 0), (1.0, 0.0))
    assert Mix().plan(t, n, m) == Plan((n, n), (1.0, 1.0))
    assert Mix(ratio=2.5, weight=0.5).plan(t, n, m) == Plan((n, n * 5 // 2), (1.0, 0.5))
    assert Replace().plan(t, n, m) == Plan((0, m), (0.0, 1.0))
    assert Replace(real=0.1).plan(t, 10 * n, m) == Plan((n, m), (1.0, 1.0))
    assert Accumulate().plan(t, n, m) == Plan((n, *[m] * t), (1.0,) * (t + 1))
    assert Accumulate(real=False).plan(t, n, m) == Plan((0, *[m] * t), (0.0, *[1.0] * t))
    assert Window(size=3).plan(t, n, m) == Plan((n, *[m] * min(t, 3)), (1.0,) * (1 + min(t, 3)))
    assert Window(size=3, real=False).plan(t, n, m).counts == (0, *[m] * min(t, 3))
    assert Subsample().plan(t, n, m) == Plan((n, *[m] * t), (1.0,) * (t + 1), budget=n)
    assert Subsample(budget=7).plan(t, n, m).budget == 7
    assert Fresh().plan(t, n, m) == Plan((n, m), (1.0, 1.0), fresh=True)
    assert Fresh(n_real=3, n_synthetic=0).plan(t, n, m) == Plan((3, 0), (1.0, 1.0), fresh=True)


def test_a_window_of_one_is_mixing_in_all_samples_and_a_long_one_is_accumulating():
    for t in range(1, 6):
        assert Window(size=1).plan(t, 10, 10) == Mix(1.0).plan(t, 10, 10)
        assert Window(size=5).plan(t, 10, 10) == Accumulate().plan(t, 10, 10)


def test_schedules():
    mix = Mix(ratio=(0.0, 0.29, 3.0))
    assert [mix.plan(t, 100, 100).counts[1] for t in (1, 2, 3, 4, 9)] == [0, 29, 300, 300, 300]
    assert mix.block(100, 100) == 300
    assert Mix(0.5).block(100, 100) == 100  # metrics see n_synthetic samples, also where fewer are used
    fresh = Fresh(n_real=(5, 20), n_synthetic=(40, 10))
    assert [fresh.plan(t, 10, 10).counts for t in (1, 2, 3)] == [(5, 40), (20, 10), (20, 10)]
    assert (fresh.real(10), fresh.block(10, 10)) == (20, 40)
    assert (Fresh().real(10), Fresh().block(10, 30)) == (10, 30)


@given(st.floats(1e-3, 1e3))
def test_the_golden_weight_is_a_fixed_point_of_the_limit_variance(k):
    """He et al. 2025: w minimises (w^2 + (1-w)^2 k) / (1 - (1-w)^2), and the minimum is w itself."""
    w = fresh_module.golden_weight(k)
    assert (w**2 + (1 - w) ** 2 * k) / (1 - (1 - w) ** 2) == pytest.approx(w, rel=1e-6)
    assert 0 < w < 1


def test_the_golden_weight_of_equal_numbers_is_the_golden_ratio():
    assert fresh_module.golden_weight(1.0) == pytest.approx((math.sqrt(5) - 1) / 2) == pytest.approx(0.6180, abs=1e-4)


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1) | st.just("golden"))
def test_the_weight_of_fresh_data_is_the_share_of_the_real_examples_together(n, m, weight):
    plan = Fresh(n_real=n, n_synthetic=m, weight=weight).plan(1, 10, 10)
    real, synthetic = (Fraction(use) * Fraction(each) for use, each in zip(plan.counts, plan.weight, strict=True))
    share = fresh_module.golden_weight(n / m) if weight == "golden" else weight
    assert float(real / (real + synthetic)) == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize(
    ("regime", "source", "message"),
    [
        (
            Mix(0.01),
            Gaussian(n=10),
            "regime.ratio: 0.01 of 10 real examples is less than one synthetic example; use 0 or at least 0.1",
        ),
        (Mix((0.5, 0.01)), Gaussian(n=10), "regime.ratio: 0.01 of"),
        (Replace(real=0.05), Gaussian(n=10), "regime.real: 0.05 of 10 real examples is less than one real example"),
        (
            Subsample(budget=21),
            Gaussian(n=10),
            "regime.budget: expected at most the 20 examples of generation 1, got 21; lower budget",
        ),
        (Fresh(), Digits(), "'fresh' needs 2000 new real examples for 3 generations; the source has 297 beyond"),
        (Fresh(n_real=149), Digits(), "needs 298 new real examples"),
    ],
)
def test_impossible_regimes_are_refused(regime, source, message):
    with pytest.raises(ConfigError, match=message):
        regime.check(source, 10, 3)


@pytest.mark.parametrize(
    ("regime", "source"),
    [
        (Mix(0.0), Gaussian(n=10)),
        (Mix(0.1), Gaussian(n=10)),
        (Replace(real=0.0), Gaussian(n=10)),
        (Replace(real=0.1), Gaussian(n=10)),
        (Subsample(budget=20), Gaussian(n=10)),
        (Fresh(), Gaussian(n=10)),
        (Fresh(n_real=148), Digits()),
    ],
)
def test_possible_regimes_are_not(regime, source):
    regime.check(source, 10, 3)


def test_decimals_are_exact_where_floats_are_not():
    """Every ratio with two decimals, of every n: what `floor(ratio * n)` in floats gets wrong."""
    wrong = sum(math.floor(i / 100 * n) != int(Decimal(i) * n / 100) for i in range(200) for n in (10, 50, 100, 300))
    assert wrong > 0
    for i in range(200):
        for n in (10, 50, 100, 300):
            assert schedules.floor_count(i / 100, n) == i * n // 100
