import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfconsume.theory.stability import spectrum


def positive(rng, d, rank=None):
    root = rng.normal(size=(d, d if rank is None else rank))
    return root @ root.T / d


def free(p, f, ratio, **options):
    diagonal = np.abs(np.diag(p)) + np.diag(f)
    return spectrum.free_top(lambda v: p @ v, lambda v: f @ v, ratio, diagonal, **options)


def eigenvalues(p, f, ratio):
    return np.linalg.eigvals(np.linalg.solve(p + ratio * f, ratio * f)).real


@given(st.integers(0, 10_000), st.integers(1, 8), st.floats(0.01, 50))
@settings(deadline=None, max_examples=40)
def test_dense_is_the_jacobian_of_the_theory(seed, d, ratio):
    rng = np.random.default_rng(seed)
    p, f = positive(rng, d) + 0.05 * np.eye(d), positive(rng, d)
    inverse = np.linalg.solve(-p, -f)
    jacobian = np.linalg.solve(np.eye(d) + ratio * inverse, ratio * inverse)
    top = spectrum.dense_top(p, f, ratio)
    assert top.rho == pytest.approx(np.abs(np.linalg.eigvals(jacobian)).max(), rel=1e-7)
    assert top.vector @ (p + ratio * f) @ top.vector == pytest.approx(1.0)
    np.testing.assert_allclose(jacobian @ top.vector, top.rho * top.vector, atol=1e-6)
    # Another parametrisation of the same model: the rate does not change, whatever the units.
    scale = np.diag(10.0 ** rng.uniform(-4, 4, d))
    assert spectrum.dense_top(scale @ p @ scale, scale @ f @ scale, ratio).rho == pytest.approx(top.rho, rel=1e-5)


@pytest.mark.parametrize("ratio", [0.3, 5.0])
def test_matrix_free_equals_dense(ratio):
    rng = np.random.default_rng(1)
    p, f = positive(rng, 80) + 0.02 * np.eye(80), positive(rng, 80)
    dense, lanczos = spectrum.dense_top(p, f, ratio), free(p, f, ratio, ridge=0.0, steps=80)
    assert lanczos.rho == pytest.approx(dense.rho, abs=1e-8)
    assert lanczos.vector @ (p + ratio * f) @ lanczos.vector == pytest.approx(1.0, rel=1e-6)
    # Fewer steps give a lower value, never a higher one, and say by how much at most.
    before = 0.0
    for steps in (3, 10, 30):
        short = free(p, f, ratio, ridge=0.0, steps=steps)
        assert before < short.rho <= dense.rho + 1e-10
        assert np.abs(short.rho - eigenvalues(p, f, ratio)).min() <= short.residual + 1e-8
        before = short.rho


def test_directions_without_curvature_do_not_count():
    rng = np.random.default_rng(2)
    p, f = np.zeros((30, 30)), np.zeros((30, 30))
    p[:20, :20], f[:20, :20] = positive(rng, 20) + 0.1 * np.eye(20), positive(rng, 20)
    known = spectrum.dense_top(p[:20, :20], f[:20, :20], 1.0).rho
    assert spectrum.dense_top(p, f, 1.0).rho == pytest.approx(known)
    # The ridge costs of the order of itself.
    assert free(p, f, 1.0, ridge=1e-7).rho == pytest.approx(known, abs=1e-5)


def test_a_direction_that_only_samples_determine_is_not_pulled_back():
    p, f = np.diag([1.0, 0.0]), np.diag([1.0, 2.0])
    assert spectrum.dense_top(p, f, 0.5).rho == pytest.approx(1.0)
    assert free(p, f, 0.5).rho == pytest.approx(1.0, abs=1e-5)


def test_no_maximum_no_map():
    p, f = np.diag([1.0, -1.0]), np.eye(2)
    for top in (spectrum.dense_top(p, f, 0.5), free(p, f, 0.5)):
        assert top.rho is None
    # With more own samples it is a maximum of the objective, but an unstable one: 2 / (2 - 1).
    assert spectrum.dense_top(p, f, 2.0).rho == pytest.approx(2.0)
    assert free(p, f, 2.0, ridge=0.0).rho == pytest.approx(2.0)


def test_ends_of_the_ratio():
    rng = np.random.default_rng(3)
    p, f = positive(rng, 5) + np.eye(5), positive(rng, 5)
    for top in (spectrum.dense_top, free):
        assert top(p, f, 0.0).rho == pytest.approx(0.0)
        assert top(p, f, math.inf).rho == pytest.approx(1.0, abs=1e-4)
    assert spectrum.dense_top(np.zeros((0, 0)), np.zeros((0, 0)), 1.0).rho == 0.0


def test_identifiable_directions():
    rng = np.random.default_rng(4)
    scores = rng.normal(size=(50, 3)) @ np.array([[1e-4, 2e-4, 0, 0, 0], [0, 0, 1e3, 0, 0], [0, 0, 0, 1.0, 0]])
    basis = spectrum.identifiable(scores.T @ scores / 50)
    assert basis.shape == (5, 3)
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-12)
    null = np.array([[2.0, -1.0, 0, 0, 0], [0, 0, 0, 0, 1.0]])
    np.testing.assert_allclose(null @ basis, 0.0, atol=1e-9)
    np.testing.assert_array_equal(spectrum.identifiable(np.diag([1e-9, 1.0, 1e9])), np.eye(3))
    assert spectrum.identifiable(np.zeros((2, 2))).shape == (2, 0)


def test_ritz_values_and_their_weights():
    rng = np.random.default_rng(5)
    q = np.linalg.qr(rng.normal(size=(200, 200)))[0]
    eigenvalues = np.concatenate([np.zeros(50), rng.uniform(1.0, 2.0, 149), [10.0]])
    matrix = (q * eigenvalues) @ q.T
    counts = []
    for seed in range(8):
        values, weight = spectrum.ritz(lambda v: matrix @ v, 200, seed=seed)
        assert values[-1] == pytest.approx(10.0) and values[0] == pytest.approx(0.0, abs=1e-8)
        assert weight.sum() == pytest.approx(1.0)
        counts.append(200 * weight[np.abs(values) > 1e-6].sum())
    # The weight of the null space is Beta(25, 75): its standard deviation is 0.043 of 200.
    assert abs(np.mean(counts) - 150) < 4.5 * 8.6 / 8**0.5
    values, weight = spectrum.ritz(lambda v: 3.0 * v, 4)
    np.testing.assert_allclose((values, weight), ([3.0], [1.0]))


def test_conjugate_gradients():
    rng = np.random.default_rng(6)
    matrix, target = positive(rng, 30) + 0.1 * np.eye(30), rng.normal(size=30)
    found = spectrum.conjugate_gradient(lambda v: matrix @ v, target, np.diag(matrix))
    np.testing.assert_allclose(matrix @ found, target, atol=1e-6)
    assert spectrum.conjugate_gradient(lambda v: -v, target, np.ones(30)) is None
    np.testing.assert_array_equal(spectrum.conjugate_gradient(lambda v: v, np.zeros(30), np.ones(30)), 0.0)
