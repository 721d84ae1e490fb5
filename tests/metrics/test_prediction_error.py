import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.families.gaussian import Gaussian
from selfconsume.families.kde import Kde
from selfconsume.families.mixture import Mixture
from selfconsume.metrics.regression.prediction_error import Accuracy, PredictionError
from selfconsume.models.distributions.exact import Normal
from selfconsume.models.distributions.linear_model import LinearModel, NoisyHalfSpace
from selfconsume.sources.gaussian import Gaussian as Normals
from selfconsume.sources.linear import HalfSpace, Linear
from selfconsume.types import Generation

SOURCE = Linear(dim=2, n=30, n_test=50, sigma=0.5)


def error(generator):
    key = jax.random.key(0)
    generation = Generation(jnp.asarray(1), generator, generator, jnp.zeros((1, 3)), jnp.ones(1, bool))
    return float(PredictionError()(key, generation, PredictionError().prepare(key, SOURCE))["prediction_error"])


def test_the_error_of_a_regression_is_that_of_its_plane():
    test = np.asarray(SOURCE.test(jax.random.key(0)))
    w = np.array([0.3, -1.0], np.float32)
    expected = np.mean((test[:, 2] - test[:, :2] @ w) ** 2)
    assert error(LinearModel(jnp.asarray(w), jnp.ones(()), jnp.zeros((0, 2)))) == pytest.approx(expected, rel=1e-4)


def test_a_gaussian_predicts_by_its_conditional_mean():
    """The same as least squares with an intercept on the rows that it was fitted to."""
    x, test = (
        np.asarray(each, np.float64) for each in (SOURCE.train(jax.random.key(1)), SOURCE.test(jax.random.key(0)))
    )
    w = np.linalg.lstsq(np.column_stack([x[:, :2], np.ones(len(x))]), x[:, 2])[0]
    expected = np.mean((test[:, 2] - test[:, :2] @ w[:2] - w[2]) ** 2)
    fitted = Normal.from_covariance(jnp.asarray(x.mean(axis=0), jnp.float32), jnp.asarray(np.cov(x.T), jnp.float32))
    assert error(fitted) == pytest.approx(expected, rel=1e-3)


def test_what_gives_no_linear_prediction_is_refused():
    PredictionError().check(SOURCE, Gaussian())
    for family in (Kde(), Mixture(k=2)):
        with pytest.raises(ConfigError, match="expected a linear regression, a linear classifier or a Gaussian"):
            PredictionError().check(SOURCE, family)
    with pytest.raises(ConfigError, match="at least 2 numbers"):
        PredictionError().check(Normals(dim=1), Gaussian())


def accuracy(generator, source):
    key = jax.random.key(0)
    generation = Generation(jnp.asarray(1), generator, generator, jnp.zeros((1, 3)), jnp.ones(1, bool))
    return float(Accuracy()(key, generation, Accuracy().prepare(key, source))["accuracy"])


def test_accuracy_is_the_share_of_right_signs():
    """A half-space at 45 degrees to the true one is right on three quarters of the circle; errors of labels do not count."""
    n = 20_000
    source = HalfSpace(dim=2, n=10, n_test=n)
    for w, expected in (((1.0, 1.0), 1.0), ((1.0, 0.0), 0.75), ((-2.0, -2.0), 0.0)):
        found = accuracy(NoisyHalfSpace(jnp.array(w), jnp.asarray(0.4)), source)
        assert abs(found - expected) <= 4.5 * np.sqrt(expected * (1 - expected) / n)
    noisy = HalfSpace(dim=2, n=10, n_test=n, flip=0.2)
    found = accuracy(LinearModel(jnp.array([1.0, 1.0]), jnp.ones(()), jnp.zeros((0, 2))), noisy)
    assert abs(found - 0.8) < 4.5 * np.sqrt(0.16 / n)
    assert np.isnan(accuracy(NoisyHalfSpace(jnp.array([jnp.nan, 1.0]), jnp.asarray(0.0)), source))
