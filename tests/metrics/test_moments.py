import numpy as np
import pytest

import selfconsume as sc
from selfconsume.errors import ConfigError
from selfconsume.metrics.moments import MAX_DIMENSION, Moments

random = np.random.default_rng(0)
REAL = random.normal(size=(80, 3)) @ np.array([[2, 0, 0], [1, 1, 0], [0, 0.5, 0.3]]) + 5
FAKE = random.normal(size=(80, 3)) + np.array([4, 5, 7])


@pytest.mark.parametrize(("estimator", "ddof"), [("unbiased", 1), ("ml", 0)])
def test_moments_are_those_of_numpy(measure, estimator, ddof):
    values = measure(Moments(estimator=estimator), REAL, FAKE)
    real, fake = np.cov(REAL.T, ddof=ddof), np.cov(FAKE.T, ddof=ddof)
    assert values["moments.mean_error"] == pytest.approx(np.linalg.norm(FAKE.mean(0) - REAL.mean(0)), rel=1e-5)
    assert values["moments.covariance_error"] == pytest.approx(np.linalg.norm(fake - real), rel=1e-4)
    assert values["moments.variance"] == pytest.approx(np.trace(fake) / 3, rel=1e-5)
    assert values["moments.variance_ratio"] == pytest.approx(np.trace(fake) / np.trace(real), rel=1e-5)


def test_real_data_against_itself_has_no_error(measure):
    values = measure(Moments(), REAL, REAL)
    assert values["moments.mean_error"] == pytest.approx(0, abs=1e-5)
    assert values["moments.covariance_error"] == pytest.approx(0, abs=1e-5)
    assert values["moments.variance_ratio"] == pytest.approx(1, rel=1e-6)


def test_variance_survives_a_large_offset(measure):
    """In float32, 1000^2 has a spacing of 0.06: moments must be taken about the mean."""
    x = random.normal(size=(80, 3))
    values = measure(Moments(), x + 1000, x + 1000)
    assert values["moments.variance"] == pytest.approx(np.trace(np.cov(x.T)) / 3, rel=1e-3)


def test_a_point_mass_has_no_variance(measure):
    values = measure(Moments(), REAL, np.full((80, 3), 7.1))
    assert values["moments.variance"] == 0
    assert values["moments.variance_ratio"] == 0
    assert values["moments.covariance_error"] == pytest.approx(np.linalg.norm(np.cov(REAL.T)), rel=1e-4)


@pytest.mark.parametrize("estimator", ["unbiased", "ml"])
def test_one_valid_sample_is_a_point_mass(measure, estimator):
    valid = np.arange(80) == 3
    assert measure(Moments(estimator=estimator), REAL, np.full((80, 3), 7.1), valid)["moments.variance"] == 0


def test_a_point_mass_of_real_data(measure):
    point = np.full((80, 3), 0.1)
    assert measure(Moments(), point, point + 0.2)["moments.variance_ratio"] == 1
    assert measure(Moments(), point, FAKE)["moments.variance_ratio"] == np.inf


def test_examples_too_large_are_refused(given):
    with pytest.raises(ConfigError, match=r"metrics\.moments: expected .* got 4097"):
        Moments().check(given(np.zeros((2, MAX_DIMENSION + 1))), sc.family("gaussian"))
    Moments().check(given(np.zeros((2, MAX_DIMENSION))), sc.family("gaussian"))
