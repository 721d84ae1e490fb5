import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfconsume.theory.closed_forms import mean_error, mixing, moments

N = 10**6  # so large that the estimated variance is the known one: relative differences are of order 1/N
T = np.arange(8)


def test_factors_are_the_large_sample_limit_of_the_exact_moments():
    exact = {
        "replace": moments.replace_moments(T, N).mean_square,
        "accumulate": moments.accumulate_moments(T, N, N).mean_square,
        "accumulate half": moments.accumulate_moments(T, N, N // 2).mean_square,
        "subsample": moments.accumulate_moments(T, N, N, budget=N).mean_square,
        "mixed": mixing.mixed_moments(T, N, 3 * N).mean_square,
        "pooled": mixing.mixed_moments(T, N, 2 * N, fresh=True).mean_square,
        "weighted": mixing.mixed_moments(T, N, 2 * N, fresh=True, weight=0.7).mean_square,
    }
    factors = {
        "replace": mean_error.replace_factor(T),
        "accumulate": mean_error.accumulate_factor(T),
        "accumulate half": mean_error.accumulate_factor(T, ratio=0.5),
        "subsample": mean_error.subsample_factor(T),
        "mixed": mean_error.mixed_factor(T, ratio=3.0),
        "pooled": mean_error.fresh_factor(T, k=0.5),
        "weighted": mean_error.fresh_factor(T, k=0.5, weight=0.7),
    }
    for name, factor in factors.items():
        np.testing.assert_allclose(exact[name] * N, factor, rtol=1e-4, err_msg=name)
        assert factor[0] == 1.0


def test_limits():
    inf = math.inf
    assert mean_error.accumulate_factor(inf) == pytest.approx(math.pi**2 / 6)
    np.testing.assert_allclose(mean_error.accumulate_factor(T), np.cumsum(1 / (T + 1.0) ** 2))
    assert mean_error.subsample_factor(inf) == pytest.approx(math.pi**2 / 2 - 2)
    assert mean_error.subsample_factor(200_000) == pytest.approx(math.pi**2 / 2 - 2, abs=2e-5)
    assert mean_error.mixed_factor(inf, ratio=0.7) == pytest.approx((1 + 2.1) / (1 + 1.4))
    assert mean_error.fresh_factor(inf, k=3 / 5) == pytest.approx((3 + 5) / (3 + 10))
    assert mean_error.replace_factor(inf) == inf
    assert mean_error.accumulate_factor(5, ratio=0.0) == mean_error.mixed_factor(5, ratio=0.0) == 1.0


@given(st.floats(0.01, 100))
def test_the_golden_weight_is_best_and_its_own_value(k):
    golden = mean_error.golden_weight(k)
    assert mean_error.fresh_factor(math.inf, k=k, weight=golden) == pytest.approx(golden)
    others = [mean_error.fresh_factor(math.inf, k=k, weight=w) for w in np.linspace(0.01, 1.0, 50)]
    assert min(others) >= golden - 1e-12


def test_partial_steps_against_sampling(agree):
    rng = np.random.default_rng(0)
    n, step, runs = 4, 0.3, 20_000
    mean = rng.standard_normal((runs, n)).mean(axis=1)
    for t in range(4):
        agree(n * mean**2, mean_error.replace_factor(t, step=step))
        estimate = (mean[:, None] + rng.standard_normal((runs, n))).mean(axis=1)
        mean = mean + step * (estimate - mean)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="not negative"):
        mean_error.replace_factor(-1)
    with pytest.raises(ValueError, match="weight"):
        mean_error.fresh_factor(1, k=1.0, weight=0.0)
