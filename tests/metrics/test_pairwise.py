import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from selfconsume.metrics.pairwise import DIRECT, host_points, masked_mean, points, row_blocks, squared_distances

pairs = jax.jit(squared_distances)


def test_points_flatten_and_scale_images():
    image = np.array([[[0, 51], [102, 255]]], np.uint8)[..., None]
    np.testing.assert_allclose(points(jnp.asarray(image)), [[0, 0.2, 0.4, 1]], rtol=1e-6)
    np.testing.assert_array_equal(host_points(image), [[0, 0.2, 0.4, 1]])


def test_points_keep_other_numbers():
    x = np.array([[3.0, 200.0], [1.0, 2.0]], np.float32)
    np.testing.assert_array_equal(points(jnp.asarray(x)), x)
    assert points(jnp.arange(3.0)).shape == (3, 1)
    np.testing.assert_array_equal(host_points(x, np.array([False, True])), [[1, 2]])
    assert host_points(x, np.zeros(2, bool)).shape == (0, 2)


@pytest.mark.parametrize("d", [1, DIRECT, DIRECT + 1])
def test_squared_distances_are_those_of_scipy(d):
    random = np.random.default_rng(d)
    x, y = random.normal(size=(40, d)).astype(np.float32), random.normal(size=(30, d)).astype(np.float32)
    np.testing.assert_allclose(pairs(x, y), cdist(x, y, "sqeuclidean"), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("d", [DIRECT, DIRECT + 1])
def test_norms_beyond_float32_are_infinitely_far(d):
    x = np.full((3, d), 1e25, np.float32) * np.array([1, 1, -1], np.float32)[:, None]
    assert (np.asarray(pairs(x, np.zeros((2, d), np.float32))) == np.inf).all()


@pytest.mark.parametrize("d", [2, 9, 784, 3072])
@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_equal_rows_are_at_distance_exactly_zero(d, offset):
    x = (np.random.default_rng(d).normal(size=(50, d)) + offset).astype(np.float32)
    squared = np.asarray(pairs(x, np.concatenate([x[::-1], x])))
    assert (np.diag(squared[:, 50:]) == 0).all()
    assert (np.diag(squared[:, 49::-1]) == 0).all()
    assert (squared >= 0).all()
    assert (squared > 0).sum() == 50 * 100 - 100


@pytest.mark.parametrize(("n", "block"), [(10, 4), (10, 10), (10, 99), (1, 1)])
def test_row_blocks_hold_every_row_once(n, block):
    x = jnp.arange(2.0 * n).reshape(n, 2)
    rows, valid, index = row_blocks(x, jnp.ones(n, bool), block)
    assert rows.shape[1] <= block
    np.testing.assert_array_equal(rows.reshape(-1, 2)[valid.reshape(-1)], x)
    np.testing.assert_array_equal(index[valid], np.arange(n))


def test_masked_mean_ignores_invalid_rows():
    mean = jax.jit(masked_mean)
    x = jnp.array([[1.0, 2.0], [jnp.nan, jnp.inf], [3.0, 6.0]])
    np.testing.assert_array_equal(mean(x, jnp.array([True, False, True])), [2.0, 4.0])
    assert (mean(jnp.full((20, 2), 7.1), jnp.ones(20, bool)) == np.float32(7.1)).all()
    assert np.isnan(mean(x, jnp.zeros(3, bool))).all()
