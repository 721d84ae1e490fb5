import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.theory.stability import curvature
from selfconsume.types import Density


class Scaled(Density):
    """A Student-like density in 2-D with a matrix, a vector, an integer and a constant that no fit moves."""

    matrix: jax.Array
    shift: jax.Array
    steps: jax.Array
    temperature: jax.Array

    def sample(self, key, n):
        return self.shift + jax.random.normal(key, (n, 2)) * self.temperature

    def log_prob(self, x):
        return -self.steps * jnp.log1p((((x - self.shift) @ self.matrix) ** 2).sum(axis=1) / self.temperature)


MODEL = Scaled(jnp.array([[1.0, 0.3], [-0.2, 0.8]]), jnp.array([0.1, -0.4]), jnp.asarray(2), jnp.asarray(1.5))
X = np.random.default_rng(0).normal(size=(23, 2))


def not_temperature(generator):
    mask = jax.tree.map(lambda _: True, generator)
    return Scaled(mask.matrix, mask.shift, mask.steps, False)


def test_parameters_are_float64_and_nothing_leaks():
    likelihood = curvature.parametrise(MODEL)
    theta, log_prob = likelihood.theta, likelihood.log_prob
    assert theta.dtype == np.float64 and theta.shape == (7,)
    with jax.enable_x64(True):
        np.testing.assert_allclose(log_prob(theta, X), MODEL.log_prob(X), rtol=1e-5)
    assert jnp.ones(1).dtype == jnp.float32 and not jax.config.jax_enable_x64


@pytest.mark.parametrize("trainable", [not_temperature, not_temperature(MODEL)], ids=["function", "pytree"])
def test_trainable(trainable):
    likelihood = curvature.parametrise(MODEL, trainable)
    theta, log_prob = likelihood.theta, likelihood.log_prob
    np.testing.assert_allclose(theta, [1.0, 0.3, -0.2, 0.8, 0.1, -0.4], rtol=1e-6)
    with jax.enable_x64(True):
        np.testing.assert_allclose(log_prob(theta, X), MODEL.log_prob(X), rtol=1e-5)
    with pytest.raises(ValueError, match="no trainable"):
        curvature.parametrise(MODEL, jax.tree.map(lambda _: False, MODEL))


def test_derivatives_against_whole_ones():
    weight = np.random.default_rng(1).uniform(size=len(X))
    points = curvature.Points.of(curvature.Points(X, weight))
    likelihood = curvature.parametrise(MODEL)
    theta, log_prob = likelihood.theta, likelihood.log_prob
    # 23 points in chunks of 5: the last one is not full.
    side = curvature.Curvature(likelihood, points, chunk=5)

    @jax.jit
    def whole(theta):
        def mean(at):
            return points.weight @ log_prob(at, X)

        each = jax.hessian(log_prob)(theta, X)
        return jax.hessian(mean)(theta), jax.grad(mean)(theta), jax.jacrev(log_prob)(theta, X), each

    with jax.enable_x64(True):
        hessian, gradient, scores, each = (np.asarray(value) for value in whole(theta))
    vector = np.random.default_rng(2).normal(size=7)
    np.testing.assert_allclose(side.dense(), hessian, atol=1e-12)
    np.testing.assert_allclose(side.product(vector), hessian @ vector, atol=1e-12)
    np.testing.assert_allclose(side.gradient(), gradient, atol=1e-12)
    np.testing.assert_allclose(side.score_gram(), (scores * points.weight[:, None]).T @ scores, atol=1e-12)
    np.testing.assert_allclose(side.score_square(), points.weight @ scores**2, atol=1e-12)
    np.testing.assert_allclose(side.along(vector), np.einsum("nij,i,j->n", each, vector, vector), atol=1e-12)


def test_points():
    sample = curvature.Points.of(np.ones((4, 2), np.uint8))
    assert sample.x.dtype == np.float64
    np.testing.assert_allclose(sample.weight, 0.25)
    np.testing.assert_allclose(curvature.Points.of(curvature.Points(X[:2], [1, 3])).weight, [0.25, 0.75])
    for x, weight in [(X, np.ones(3)), (X[:2], [-1, 2]), (X[:2], [0, 0])]:
        with pytest.raises(ValueError, match="weight"):
            curvature.Points.of(curvature.Points(x, weight))
    with pytest.raises(ValueError, match="finite"):
        curvature.Points.of(np.array([[np.nan]]))
