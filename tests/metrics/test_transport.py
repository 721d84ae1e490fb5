import jax
import jax.numpy as jnp
import numpy as np
import ot
import pytest
from scipy.special import logsumexp

from selfconsume.metrics.transport import SlicedWasserstein, Wasserstein, assignment_distance, sort_rows, wasserstein_1d

random = np.random.default_rng(4)
line = jax.jit(wasserstein_1d)


@pytest.mark.parametrize(("n", "m"), [(30, 30), (37, 53), (1, 20)])
def test_one_dimension_is_exact_for_all_sizes(n, m):
    """Against POT's linear program on the line."""
    x, y = random.normal(size=(3, n)).astype(np.float32), 2 * random.normal(size=(3, m)).astype(np.float32) + 1
    values = line(jnp.asarray(x), jnp.ones(n, bool), jnp.sort(jnp.asarray(y), axis=1))
    expected = [ot.emd2_1d(a, b, metric="sqeuclidean") for a, b in zip(x.astype(float), y.astype(float), strict=True)]
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_rows_are_sorted_as_floats():
    x = np.concatenate(
        [random.normal(size=(2, 50)), [[0.0, -0.0, np.inf, -np.inf, 1e-40], [3e38, -1e-40, 2, 2, -3e38]]], axis=1
    )
    x = x.astype(np.float32)
    np.testing.assert_array_equal(jax.jit(sort_rows)(jnp.asarray(x)), np.sort(x, axis=1))


def test_one_dimension_leaves_invalid_columns_out():
    x, y = random.normal(size=(3, 37)).astype(np.float32), random.normal(size=(3, 53)).astype(np.float32)
    valid = random.random(37) < 0.6
    values = line(jnp.where(valid, x, 0.0), jnp.asarray(valid), jnp.sort(jnp.asarray(y), axis=1))
    expected = [
        ot.emd2_1d(a[valid].astype(float), b.astype(float), metric="sqeuclidean") for a, b in zip(x, y, strict=True)
    ]
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_many_points_lose_no_digits():
    """20,000 against 19,999 breakpoints, closer than float32 resolves near 1."""
    x, y = random.normal(size=(1, 20000)).astype(np.float32), random.normal(size=(1, 19999)).astype(np.float32) + 0.5
    value = line(jnp.asarray(x), jnp.ones(20000, bool), jnp.sort(jnp.asarray(y), axis=1))
    expected = ot.emd2_1d(x[0].astype(float), y[0].astype(float), metric="sqeuclidean")
    np.testing.assert_allclose(value[0], expected, rtol=1e-5)


@pytest.mark.parametrize("d", [1, 20])
def test_sliced_distance_is_that_of_pot(measure, given, d):
    x, y = random.normal(size=(55, d)) * 2, random.normal(size=(55, d)) + 3
    metric = SlicedWasserstein(n_projections=16)
    directions = np.asarray(jax.jit(lambda key: metric.prepare(key, given(y)))(jax.random.key(0))["directions"], float)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=1e-6)
    expected = ot.sliced_wasserstein_distance(x, y, projections=directions.T, p=2)
    assert measure(metric, y, x)["sliced_wasserstein"] == pytest.approx(expected, rel=1e-5)
    assert measure(metric, x, y)["sliced_wasserstein"] == pytest.approx(expected, rel=1e-5)


def test_sliced_directions_cover_the_sphere(given):
    """E (theta_i theta_j) = delta_ij / d: the mean over 4,000 directions within 5 standard errors."""
    directions = SlicedWasserstein(n_projections=4000).prepare(jax.random.key(5), given(np.zeros((3, 3))))["directions"]
    second = np.asarray(directions).T @ np.asarray(directions) / 4000
    np.testing.assert_allclose(second, np.eye(3) / 3, atol=5 * np.sqrt(4 / 45 / 4000))


def test_sliced_distance_of_shifts_and_point_masses(measure):
    """A shift by s has distance |s . theta| on each direction; over all directions |s| / sqrt(d)."""
    y, z = random.normal(size=(30, 2)), np.full((30, 2), 0.7)
    metric = SlicedWasserstein(n_projections=4000)
    shift = np.array([3.0, 4.0])
    # The mean of cos^2 over 4,000 angles has standard error 0.35 / 63 around 1/2; 5 of them, on the root.
    expected = pytest.approx(5 / np.sqrt(2), rel=0.03)
    assert measure(metric, y, y[::-1] + shift)["sliced_wasserstein"] == expected
    assert measure(metric, z, z + shift)["sliced_wasserstein"] == expected
    assert measure(metric, y, y[::-1])["sliced_wasserstein"] == pytest.approx(0, abs=1e-6)
    assert measure(metric, z, z)["sliced_wasserstein"] == 0


def test_sliced_distance_to_repeated_data_is_zero(measure):
    """Eleven examples five times each, against the eleven alone."""
    y = random.normal(size=(55, 20))
    y[11:] = np.tile(y[:11], (4, 1))
    assert measure(SlicedWasserstein(n_projections=16), y, y, np.arange(55) < 11)["sliced_wasserstein"] < 1e-3


@pytest.mark.parametrize("d", [1, 2, 30])
def test_exact_distance_is_that_of_pot(measure, d):
    x, y = random.normal(size=(60, d)) * 2, random.normal(size=(60, d)).astype(np.float32) + 3
    expected = np.sqrt(ot.emd2([], [], ot.dist(x, y.astype(float))))
    assert measure(Wasserstein(), y, x)["wasserstein"] == pytest.approx(expected, rel=1e-6)


def test_exact_distance_of_point_masses_and_duplicates(measure):
    y = random.normal(size=(40, 2)).astype(np.float32)
    x = np.tile([[1.0, 2.0]], (40, 1))
    expected = np.sqrt(((y - x) ** 2).sum(axis=1).mean())
    assert measure(Wasserstein(), y, x)["wasserstein"] == pytest.approx(expected, rel=1e-6)
    assert measure(Wasserstein(), x, y)["wasserstein"] == pytest.approx(expected, rel=1e-6)
    assert measure(Wasserstein(), x, x)["wasserstein"] == 0
    assert measure(Wasserstein(), y, y[::-1])["wasserstein"] == pytest.approx(0, abs=1e-7)


def test_unequal_sizes_use_a_random_subset_of_the_larger(measure):
    y, x = np.arange(10.0)[:, None] * 100, np.arange(50.0)[:, None] % 10 * 100 + 1
    # Ten of fifty samples, five copies of each real example moved by one: a subset is near, but no permutation of, the ten.
    values = {measure(Wasserstein(), y, x, seed=seed)["wasserstein"] for seed in range(4)}
    assert len(values) > 1
    assert min(values) >= 1
    # A subset of both, of equal sets: 16 of 40 examples.
    assert measure(Wasserstein(max_points=16), y, y)["wasserstein"] == 0
    assert measure(Wasserstein(max_points=4), y, y)["wasserstein"] > 0
    assert measure(Wasserstein(), x, y[:3], np.array([True, False, True]))["wasserstein"] > 0


def test_assignment_is_a_metric():
    x, y, z = random.normal(size=(3, 20, 2))
    assert assignment_distance(x, y) == pytest.approx(assignment_distance(y, x))
    assert assignment_distance(x, z) <= assignment_distance(x, y) + assignment_distance(y, z)


def entropic(x, y, epsilon):
    """min <P, C> + epsilon KL(P | a b) by log-domain Sinkhorn in float64; its value is the dual's."""
    cost = ot.dist(x, y)
    log_a, log_b = -np.log(len(x)), -np.log(len(y))
    f, g = np.zeros(len(x)), np.zeros(len(y))
    for _ in range(500):
        f = -epsilon * logsumexp((g[None, :] - cost) / epsilon + log_b, axis=1)
        g = -epsilon * logsumexp((f[:, None] - cost) / epsilon + log_a, axis=0)
    return f.mean() + g.mean()


def test_sinkhorn_is_the_debiased_divergence(measure):
    x, y = random.normal(size=(25, 2)) * 1.5 + 1, random.normal(size=(25, 2))
    epsilon = 0.1 * 2 * y.var(axis=0).sum()
    expected = entropic(x, y, epsilon) - entropic(x, x, epsilon) / 2 - entropic(y, y, epsilon) / 2
    value = measure(Wasserstein(method="sinkhorn", epsilon=0.1), y, x)["wasserstein"]
    assert value**2 == pytest.approx(expected, rel=5e-3)


def test_sinkhorn_tends_to_the_exact_distance(measure):
    x, y = random.normal(size=(25, 2)) * 1.5 + 1, random.normal(size=(25, 2))
    exact = measure(Wasserstein(), y, x)["wasserstein"]
    assert measure(Wasserstein(method="sinkhorn", epsilon=0.002), y, x)["wasserstein"] == pytest.approx(exact, rel=0.02)


def test_sinkhorn_of_point_masses(measure):
    sinkhorn, y = Wasserstein(method="sinkhorn"), random.normal(size=(25, 2))
    x = np.tile([[1.0, 2.0]], (25, 1))
    assert measure(sinkhorn, x, x + np.array([3.0, 4.0]))["wasserstein"] == pytest.approx(5, rel=1e-4)
    assert measure(sinkhorn, x, x)["wasserstein"] == pytest.approx(0, abs=1e-3)
    assert measure(sinkhorn, y, y)["wasserstein"] == pytest.approx(0, abs=3e-2)
    far = np.sqrt(((y - [101.0, 2.0]) ** 2).sum(axis=1).mean())
    assert measure(sinkhorn, y, x + np.array([100.0, 0.0]))["wasserstein"] == pytest.approx(far, rel=1e-2)


@pytest.mark.parametrize("n", [30, 40])
def test_projections_beyond_float32_are_infinitely_far(measure, n):
    random = np.random.default_rng(0)
    real, far = random.normal(size=(40, 3)).astype(np.float32), random.normal(size=(n, 3)).astype(np.float32)
    assert measure(SlicedWasserstein(n_projections=8), real, far * np.float32(1e25))["sliced_wasserstein"] == np.inf


@pytest.mark.parametrize(("method", "numbers"), [("exact", (8, 8)), ("sinkhorn", (10, 8))])
def test_it_says_how_many_points_it_compares(method, numbers):
    assert Wasserstein(method=method, max_points=10).compared(30, 8) == numbers
