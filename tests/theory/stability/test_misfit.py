import jax.numpy as jnp
import numpy as np
import ot
import pytest
import scipy.stats

from selfconsume.theory.stability import misfit
from selfconsume.theory.stability.curvature import Likelihood, Points


def test_one_dimension_with_weights():
    x = np.linspace(-12, 12, 4001)[:, None]
    first = Points.of(Points(x, scipy.stats.norm.pdf(x[:, 0])))
    # Shifted and wider: W1 of N(0, 1) and N(0, s) is (s - 1) sqrt(2 / pi).
    second = Points.of(Points(x, scipy.stats.norm.pdf(x[:, 0], scale=1.5)))
    assert misfit.wasserstein1(first, second) == pytest.approx(0.5 * np.sqrt(2 / np.pi), abs=1e-5)
    moved = Points.of(Points(x + 0.7, first.weight))
    assert misfit.wasserstein1(first, moved) == pytest.approx(0.7)


def test_assignment_against_optimal_transport():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 2, 2)), rng.normal(size=(60, 2, 2)) + 0.5
    flat = x.reshape(60, 4), y.reshape(60, 4)
    exact = ot.emd2([], [], ot.dist(*flat, metric="euclidean"))
    assert misfit.wasserstein1(Points.of(x), Points.of(y)) == pytest.approx(exact)
    assert misfit.wasserstein1(Points.of(x), Points.of(x)) == 0.0


def test_weights_are_honoured_in_several_dimensions():
    # Four corners, of which only two have weight: 3/4 of the mass has to move by 1.
    corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    x = Points.of(Points(np.repeat(corners, 50, axis=0), np.repeat([1.0, 0.0, 3.0, 0.0], 50)))
    y = Points.of(np.zeros((400, 2)))
    # Systematic sampling is off by one row of 200 at most.
    assert misfit.wasserstein1(x, y) == pytest.approx(0.75, abs=1 / 200)
    assert misfit.wasserstein1(x, y, limit=40) == pytest.approx(0.75, abs=1 / 40)


def test_lipschitz_constant_of_a_linear_family():
    # H(x) = sum_k x_k T_k: the constant is the largest norm of sum_k u_k T_k over unit u.
    rng = np.random.default_rng(0)
    t = rng.normal(size=(2, 3, 3))
    t = t + t.transpose(0, 2, 1)
    angles = np.linspace(0, np.pi, 2001)
    u = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    exact = np.abs(np.linalg.eigvalsh(np.einsum("ak,kij->aij", u, t))).max()

    def log_prob(theta, x):
        return jnp.einsum("nk,kij,i,j->n", x, t, theta, theta) / 2

    found = misfit.lipschitz(Likelihood(np.zeros(3), log_prob), rng.normal(size=(40, 2)))
    assert exact * 0.999 < found < exact * (1 + 1e-5)


def test_lipschitz_constant_sees_jumps_and_no_more():
    x = np.linspace(-1, 1, 11)[:, None]

    def found(log_prob, points):
        return misfit.lipschitz(Likelihood(np.ones(1), log_prob), points)

    # Two sides of the jump are between 0.2 and 2 apart.
    assert 1.0 <= found(lambda theta, x: jnp.sign(x[:, 0]) * theta[0] ** 2 / 2, x) <= 10.0
    # Linear in x, but not in both.
    assert found(lambda theta, x: x[:, 0] * theta[0] - theta[0] ** 2, x) == pytest.approx(0.0, abs=1e-12)
    assert found(lambda theta, x: x[:, 0] * theta[0], np.zeros((3, 1))) == 0.0
