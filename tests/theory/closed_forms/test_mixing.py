import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfconsume.theory.closed_forms import mixing, moments

CASES = [
    {"n": 10, "m": 10},
    {"n": 10, "m": 4, "estimator": "unbiased", "initial": "truth"},
    {"n": 6, "m": 12, "fresh": True, "weight": 0.618},
    {"n": 6, "m": 6, "fresh": True, "weight": 0.4, "estimator": "unbiased", "temperature": 0.8},
    {"n": 8, "m": 8, "weight": 0.3, "temperature": 1.2, "initial": "truth"},
    {"n": 8, "m": 6, "correction": 0.5},
    {"n": 0, "m": 8, "correction": 1.0, "initial": "truth", "estimator": "unbiased"},
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_against_sampling(retrain, agree, case):
    options = {name: value for name, value in case.items() if name not in ("n", "m")}
    means, variances, centre = retrain(generations=4, **case)
    expected = mixing.mixed_moments(np.arange(5), case["n"], case["m"], **options)
    agree(variances, expected.variance)
    agree(means**2, expected.mean_square)
    if not {"fresh", "initial", "correction"} & set(case):
        agree((means - centre) ** 2, expected.mean_square - 1 / case["n"])


@given(st.integers(2, 60), st.integers(0, 60))
def test_limit_in_closed_form(n, m):
    variance, mean_square = mixing.mixed_limit(n, m)
    total = n + m
    assert variance == pytest.approx((n - 1) / (n + 1 - n / total - m**2 / (total * (n + 2 * m))))
    assert mean_square - 1 / n == pytest.approx(variance * m / (n * (n + 2 * m)), abs=1e-12)
    far = mixing.mixed_moments(20 * (1 + m // n) + 20, n, m)
    np.testing.assert_allclose(far, (variance, mean_square), rtol=1e-6)


def test_the_limit_forgets_generation_0_and_reduces_to_known_cases():
    options = {"fresh": True, "weight": 0.3, "temperature": 0.9, "correction": 0.2, "estimator": "unbiased"}
    for initial in ("fit", "truth"):
        far = mixing.mixed_moments(200, 9, 7, initial=initial, **options)
        np.testing.assert_allclose(far, mixing.mixed_limit(9, 7, **options), rtol=1e-10)
    t = np.arange(6)
    for estimator in ("ml", "unbiased"):
        np.testing.assert_allclose(
            mixing.mixed_moments(t, 0, 7, n_initial=9, estimator=estimator, temperature=0.9),
            moments.replace_moments(t, 7, n_initial=9, estimator=estimator, temperature=0.9),
        )
    # No synthetic rows: refitting to the same data.
    np.testing.assert_allclose(np.transpose(mixing.mixed_moments(t, 5, 0)), [[0.8, 0.2]] * 6)


def test_large_samples_with_temperature():
    n, ratio, tau = 10**7, 2, 0.8
    assert mixing.mixed_limit(n, ratio * n, temperature=tau).variance == pytest.approx(
        1 / (1 + ratio * (1 - tau)), rel=1e-5
    )


def test_growth_without_bound_and_contradictions():
    assert mixing.mixed_limit(10, 10, temperature=3.0) == (np.inf, np.inf)
    with pytest.raises(ValueError, match="replace_moments"):
        mixing.mixed_limit(0, 10)
    with pytest.raises(ValueError, match="contradicts"):
        mixing.mixed_moments(1, 0, 10, weight=0.5)
    with pytest.raises(ValueError, match="contradicts"):
        mixing.mixed_moments(1, 10, 0, weight=0.5)


def test_categories_are_a_case(agree):
    # Diversity 1 - sum p^2 is the trace of the covariance of one-hot rows: the same numbers in units of its true value.
    rng = np.random.default_rng(0)
    truth, n, m, gamma, runs = np.array([0.5, 0.3, 0.15, 0.05]), 10, 6, 0.5, 20_000
    h0 = 1 - truth @ truth
    real = rng.multinomial(n, truth, size=runs)
    p = real / n
    for t in range(1, 5):
        p = (real + rng.multinomial(m, (p + gamma * truth) / (1 + gamma))) / (n + m)
        expected = mixing.mixed_moments(t, n, m, correction=gamma)
        agree((1 - (p**2).sum(axis=1)) / h0, expected.variance)
        agree(((p - truth) ** 2).sum(axis=1) / h0, expected.mean_square)
