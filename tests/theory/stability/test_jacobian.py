"""Stability of given models, against quadrature and against the retraining map differentiated by brute force."""

import dataclasses
import doctest
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from selfconsume.models.distributions.exact import Normal
from selfconsume.theory.stability import jacobian
from selfconsume.theory.stability.curvature import Points
from selfconsume.theory.stability.linearisation import linearise
from selfconsume.types import Density


class Student(Density):
    """t(3), location and optionally log scale."""

    location: jax.Array
    log_scale: jax.Array

    def sample(self, key, n):
        return self.location + jnp.exp(self.log_scale) * jax.random.t(key, 3.0, (n, 1))

    def log_prob(self, x):
        z = (x[:, 0] - self.location) * jnp.exp(-self.log_scale)
        return -2 * jnp.log1p(z**2 / 3) - jnp.log(jnp.sqrt(3.0) * jnp.pi / 2) - self.log_scale


class Natural(Density):
    """A Gaussian in natural parameters."""

    eta: jax.Array

    def sample(self, key, n):
        variance = -0.5 / self.eta[1]
        return self.eta[0] * variance + jnp.sqrt(variance) * jax.random.normal(key, (n, 1))

    def log_prob(self, x):
        normaliser = -(self.eta[0] ** 2) / (4 * self.eta[1]) - 0.5 * jnp.log(-2 * self.eta[1])
        return self.eta[0] * x[:, 0] + self.eta[1] * x[:, 0] ** 2 - normaliser - 0.5 * jnp.log(2 * jnp.pi)


class Softmax(Density):
    """A Gaussian mixture in 2-D whose weights are a softmax: one parameter too many. `offset` is not used at all."""

    logits: jax.Array
    means: jax.Array
    log_stds: jax.Array
    offset: jax.Array

    def sample(self, key, n):
        which, noise = jax.random.split(key)
        k = jax.random.categorical(which, self.logits, shape=(n,))
        return self.means[k] + jnp.exp(self.log_stds[k])[:, None] * jax.random.normal(noise, (n, 2))

    def log_prob(self, x):
        z = (x[:, None] - self.means) * jnp.exp(-self.log_stds)[:, None]
        parts = -0.5 * (z**2).sum(-1) - 2 * self.log_stds - jnp.log(2 * jnp.pi)
        return jax.nn.logsumexp(jax.nn.log_softmax(self.logits) + parts, axis=-1)


class Slope(Density):
    """x = (z, y): z standard normal, y normal about slope z."""

    slope: jax.Array

    def sample(self, key, n):
        z, noise = jax.random.normal(key, (2, n))
        return jnp.stack([z, self.slope * z + noise], axis=1)

    def log_prob(self, x):
        return -0.5 * (x[:, 0] ** 2 + (x[:, 1] - self.slope * x[:, 0]) ** 2) - jnp.log(2 * jnp.pi)


NODES = np.sinh(np.linspace(-10, 10, 6001))
WIDTHS = np.cosh(np.linspace(-10, 10, 6001))


def quadrature(density):
    return Points(NODES[:, None], WIDTHS * density(NODES))


def only_location(generator):
    return Student(True, False)


@pytest.fixture(scope="module")
def student():
    """t(3) location family on N(0, 1)."""
    return linearise(
        Student(jnp.zeros(()), jnp.zeros(())),
        quadrature(scipy.stats.norm.pdf),
        quadrature(scipy.stats.t(3).pdf),
        trainable=only_location,
        quadrature=True,
        limit=20_000,
    )


def test_student_location_to_four_digits(student):
    assert student.data.dense().item() == pytest.approx(-0.75972, abs=5e-6)
    assert student.samples.dense().item() == pytest.approx(-2 / 3, abs=5e-7)
    few, many = jacobian.assess(student, 0.2), jacobian.assess(student, 1.0)
    assert few.rho == pytest.approx(0.14930, abs=5e-6) and many.rho == pytest.approx(0.46738, abs=5e-6)
    assert few.lipschitz == pytest.approx(1.1217, abs=5e-5) and few.epsilon == pytest.approx(0.3048, abs=5e-5)
    assert few.ferbach.rate == pytest.approx(0.2613, abs=5e-5) and few.bertrand.rate == pytest.approx(0.4084, abs=5e-5)
    assert few.rho <= few.ferbach.rate <= few.bertrand.rate
    assert many.bertrand.rate is None and many.rho <= many.ferbach.rate
    assert (few.rank, few.dimension, few.method, few.account) == (1, 1, "dense", ())
    assert few.gain < 1e-20 and few.rho_error == 0.0


def test_what_is_certain_and_what_is_not(student):
    kinds = jacobian.assess(student, 0.2).kinds
    assert {name for name, kind in kinds.items() if kind == "estimate"} == {"lipschitz", "ferbach", "bertrand"}
    given = dataclasses.replace(student, constants={"lipschitz": 1.13, "epsilon": 0.305})
    known = jacobian.assess(given, 0.2)
    assert set(known.kinds.values()) == {"certificate"}
    assert known.lipschitz == 1.13 and known.epsilon == 0.305


def test_ends_of_the_ratio(student):
    assert jacobian.assess(student, 0.0).rho == 0.0
    synthetic = jacobian.assess(student, math.inf)
    assert synthetic.rho == pytest.approx(1.0) and not synthetic.ferbach.holds and not synthetic.bertrand.holds
    with pytest.raises(ValueError, match="negative"):
        jacobian.assess(student, -0.1)


def test_two_parameters_against_the_retraining_map_itself():
    # Location and scale of t(3) on a skewed density: no symmetry makes anything diagonal.
    def skewed(x):
        return 0.7 * scipy.stats.norm.pdf(x) + 0.3 * scipy.stats.norm.pdf(x, 2.0, 0.5)

    def student_pdf(theta):
        return scipy.stats.t(3, theta[0], math.exp(theta[1])).pdf(NODES)

    real = WIDTHS * skewed(NODES)
    real = real / real.sum()
    ratio = 1.5

    def score(theta, mass):
        z = (NODES - theta[0]) * math.exp(-theta[1])
        pull = 4 * z / (3 + z**2)
        return np.array([mass @ pull * math.exp(-theta[1]), mass @ (z * pull - 1)])

    def retrained(theta):
        own = WIDTHS * student_pdf(theta)
        mass = (real + ratio * own / own.sum()) / (1 + ratio)
        return scipy.optimize.root(score, theta, args=(mass,), tol=1e-13).x

    best = scipy.optimize.root(score, np.array([0.6, -0.1]), args=(real,), tol=1e-13).x
    np.testing.assert_allclose(retrained(best), best, atol=1e-9)
    step = 1e-4
    columns = [(retrained(best + step * e) - retrained(best - step * e)) / (2 * step) for e in np.eye(2)]
    numeric = np.abs(np.linalg.eigvals(np.stack(columns, axis=1))).max()
    # In float64 throughout: a generator in float32 would sit 1e-8 off the best fit, with no more effect than that.
    model = Student(np.float64(best[0]), np.float64(best[1]))
    found = jacobian.stability(
        model, quadrature(skewed), ratio, samples=Points(NODES[:, None], WIDTHS * student_pdf(best)), quadrature=True
    )
    assert found.rho == pytest.approx(numeric, rel=1e-5)
    assert found.dimension == found.rank == 2 and found.gain < 1e-12


def test_natural_parameters_whatever_the_data():
    data = np.random.default_rng(0).exponential(size=(300, 1))
    mean, variance = data.mean(), data.var()
    model = Natural(jnp.array([mean / variance, -0.5 / variance]))
    dense = linearise(model, data)
    free = dataclasses.replace(dense, matrix_free=True, ridge=1e-6, constants={"lipschitz": dense.lipschitz})
    for linear, ratio in [(dense, 0.1), (dense, 1.0), (dense, 10.0), (free, 1.0)]:
        found = jacobian.assess(linear, ratio)
        assert found.rho == pytest.approx(ratio / (1 + ratio), rel=1e-5)
        assert found.ferbach.rate == pytest.approx(ratio / (1 + ratio), rel=1e-5)
        assert found.lipschitz == pytest.approx(0.0, abs=1e-9)
        assert found.rank == 2 and found.gain < 1e-10
        assert found.rho_error == pytest.approx(0.0, abs=1e-9)
    assert set(jacobian.assess(dense, 1.0).kinds.values()) == {"estimate"}
    damped = jacobian.assess(dataclasses.replace(dense, ridge=0.5, constants={"lipschitz": 0.0}), 1.0)
    assert damped.rho < 0.5 and any("ridge" in line for line in damped.account)


MIXTURE = Softmax(
    jnp.array([0.0, 0.5, -0.3]),
    jnp.array([[0.0, 0.0], [2.5, 0.5], [-1.0, 2.0]]),
    jnp.array([0.0, -0.3, 0.2]),
    jnp.ones(3),
)


@pytest.fixture(scope="module")
def mixture():
    data = MIXTURE.sample(jax.random.key(5), 3000)
    dense = linearise(MIXTURE, data, limit=192)
    return dense, dataclasses.replace(dense, matrix_free=True, ridge=1e-6, constants={"lipschitz": 1.0})


def test_too_many_parameters(mixture):
    dense = jacobian.assess(mixture[0], 1.0)
    # 3 + 6 + 3 + 3 parameters, of which the offset and one logit do nothing.
    assert (dense.dimension, dense.rank) == (15, 11)
    assert any("over-parametrised" in line and "4 directions" in line for line in dense.account)
    assert dense.alpha > 0
    # Well specified, so the true rate is 1/2; the largest of 11 estimates lies above, by a few standard errors.
    assert -4.5 * dense.rho_error < dense.rho - 0.5 < 8 * dense.rho_error
    assert dense.gain == pytest.approx(11 / 2 / 3000, rel=4.5 * (2 / 11) ** 0.5)


def test_matrix_free_equals_dense(mixture):
    for ratio in (0.3, 3.0):
        dense, free = (jacobian.assess(linear, ratio) for linear in mixture)
        assert free.method == "matrix-free"
        assert free.rho == pytest.approx(dense.rho, abs=2e-4)
        assert free.rho_error == pytest.approx(dense.rho_error, rel=0.05)
        assert free.gain == pytest.approx(dense.gain, rel=0.01)
        # 15 is small for a spectral density from 4 random starts.
        assert abs(free.rank - 11) <= 3
        assert free.alpha == 0.0 and not free.ferbach.holds
        assert any("singular" in line for line in free.account)


def test_standard_error_of_the_rate():
    rng = np.random.default_rng(0)
    n, ratio, runs = 400, 2.0, 4000

    def curvature(x):
        return 4 * (3 - x**2) / (3 + x**2) ** 2

    p = curvature(rng.standard_normal((runs, n))).mean(axis=1)
    f = curvature(rng.standard_t(3, (runs, n))).mean(axis=1)
    spread = (ratio * f / (p + ratio * f)).std()
    found = jacobian.stability(
        Student(jnp.zeros(()), jnp.zeros(())),
        rng.standard_normal((n, 1)),
        ratio,
        samples=rng.standard_t(3, (n, 1)),
        trainable=only_location,
        lipschitz=1.13,
    )
    # A standard deviation from 400 values of bounded kurtosis is good to a tenth.
    assert found.rho_error == pytest.approx(spread, rel=0.2)


def test_data_that_leave_a_direction_open():
    rng = np.random.default_rng(0)
    data = np.stack([np.zeros(50), rng.normal(size=50)], axis=1)
    found = jacobian.stability(Slope(jnp.asarray(0.5)), data, 0.3)
    assert found.rank == 0 and found.dimension == 1 and found.alpha == 0.0
    assert found.rho == pytest.approx(1.0)
    assert not found.ferbach.holds and not found.bertrand.holds
    assert any("open" in line for line in found.account)


def test_a_model_that_is_no_best_fit():
    data = np.random.default_rng(0).normal(size=(200, 1))
    far = Student(jnp.asarray(6.0), jnp.zeros(()))
    linear = linearise(far, data, trainable=only_location, lipschitz=1.13)
    few = jacobian.assess(linear, 0.01)
    assert few.alpha < 0 and few.rho is None and few.rho_error is None and few.gain is None
    assert not few.ferbach.holds and not few.bertrand.holds
    assert len(few.account) == 2 and "no maximum" in few.account[0]
    # Enough own samples make it a maximum of the objective, from which retraining runs away.
    assert jacobian.assess(linear, 10.0).rho > 1.0


def test_a_fitted_normal_of_the_package():
    # Exponential family, so A = B at the fit whatever the data are; samples with the data's moments leave no noise.
    rng = np.random.default_rng(0)
    x = rng.exponential(size=(200, 2)) @ np.array([[1.0, 0.5], [0.0, 2.0]])
    normal = Normal.from_covariance(jnp.float32(x.mean(axis=0)), jnp.float32(x.var(axis=0)))
    found = jacobian.stability(normal, x, 1.0, samples=x, lipschitz=1.0)
    # Two means and two deviations; the temperature is no part of the density.
    assert (found.dimension, found.rank) == (5, 4)
    assert found.rho == pytest.approx(0.5, abs=1e-9)


def test_no_doubles_outside():
    assert jnp.ones(1).dtype == jnp.float32 and not jax.config.jax_enable_x64


def test_example_in_the_documentation():
    assert doctest.testmod(jacobian).failed == 0
