"""The numbers of the literature, each from the function that the package offers for it."""

import math

import numpy as np
import pytest

from selfconsume.theory.closed_forms import catalogue as cf


def test_every_name_is_offered_once():
    assert sorted(set(cf.__all__)) == cf.__all__
    assert all(callable(getattr(cf, name)) for name in cf.__all__)


def test_fully_synthetic_unbiased():
    assert cf.std_factor(10) == pytest.approx(0.972659, abs=5e-7)
    np.testing.assert_allclose(cf.mean_std([1, 5, 20], 10), [0.97266, 0.87057, 0.57440], atol=5e-6)
    np.testing.assert_allclose(cf.mean_log_std([1, 7], 10), [-0.0576032, -7 * 0.0576032], atol=5e-7)
    moments = cf.replace_moments([0, 3, 20], 10, estimator="unbiased", initial="truth")
    np.testing.assert_allclose(moments.mean_square, [0, 0.3, 2.0])
    np.testing.assert_array_equal(moments.variance, 1.0)


def test_fully_synthetic_ml():
    variance, mean_square = cf.replace_moments([0, 5, 10], 10, initial="truth")
    np.testing.assert_allclose(variance, [1, 0.59049, 0.34868], atol=5e-6)
    np.testing.assert_allclose(variance + mean_square, 1.0)


def test_accumulate():
    variance = cf.accumulate_moments([0, 1, 4, 30_000], 10, 10).variance
    np.testing.assert_allclose(variance[:3], [0.9, 0.8775, 0.85888], atol=5e-6)
    assert cf.accumulate_limit(10, 10) == pytest.approx(0.843436, abs=5e-7)
    assert cf.accumulate_limit(10, 10) == pytest.approx(math.sin(math.pi / 10**0.5) / (math.pi / 10**0.5), rel=1e-12)
    assert variance[3] == pytest.approx(cf.accumulate_limit(10, 10), rel=1e-5)


def test_fixed_real_and_ratio():
    variance, mean_square = cf.mixed_limit(10, 10)
    assert variance == pytest.approx(0.870968, abs=5e-7)
    assert mean_square - 1 / 10 == pytest.approx(0.029032, abs=5e-7)


def test_temperature():
    variance = cf.replace_moments(np.arange(6), 10, estimator="unbiased", initial="truth", temperature=0.8).variance
    np.testing.assert_allclose(variance, 0.8 ** np.arange(6))


def test_golden_weight():
    assert cf.golden_weight(1.0) == pytest.approx((math.sqrt(5) - 1) / 2)
    assert cf.fresh_factor(math.inf, k=1.0, weight=cf.golden_weight(1.0)) == pytest.approx(0.6180, abs=5e-5)
    assert cf.fresh_factor(math.inf, k=1.0, weight=0.5) == pytest.approx(0.6667, abs=5e-5)


def test_linear_regression():
    base = cf.least_squares_error(10, 50)
    assert base == pytest.approx(0.25641, abs=5e-6)
    np.testing.assert_allclose(cf.replace_error(np.arange(5), 10, 50), base * np.arange(1, 6))
    same = cf.accumulate_error(np.arange(5), 10, 50)
    np.testing.assert_allclose(same / base, [1, 1.25, 1.3611, 1.4236, 1.4636], atol=5e-5)


def test_categories():
    assert cf.category_variance(100, 0.2, 100) == pytest.approx(0.05857, abs=5e-6)
    assert cf.diversity(3, [0.5, 0.3, 0.2], 10) == pytest.approx(0.9**3 * 0.62)


def test_curation():
    new = cf.bradley_terry([0.5, 0.3, 0.2], [0.0, 1.0, 2.0], 2)
    np.testing.assert_allclose(new, [0.35452, 0.34159, 0.30389], atol=5e-6)


def test_kernel_density():
    assert cf.kernel_second_moment(1, 0.6, 0.9, initial="truth") == pytest.approx(1.36)
    assert cf.kernel_second_moment(40, 0.6, 0.9, initial="truth") == pytest.approx(1.4000, abs=5e-5)


def test_frechet_floor():
    assert cf.frechet_floor(100, 2) == pytest.approx(0.035)
