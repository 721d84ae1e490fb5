import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.models.nets.glow import Glow, squeeze, unsqueeze

SHAPE = (4, 8, 1)
Y = jax.random.normal(jax.random.key(1), (3, *SHAPE))


@functools.cache
def bent():
    """Weights away from where they start, so that every part of the map does something."""
    net = jax.jit(lambda key: Glow.init(key, SHAPE, levels=2, steps=2, width=6, depth=2))(jax.random.key(0))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: leaf + 0.2 * rng.normal(size=leaf.shape).astype(np.float32), net)


def test_there_and_back():
    noise, _ = jax.jit(lambda net: net.to_noise(Y))(bent())
    assert noise.shape == (3, 32)
    np.testing.assert_allclose(jax.jit(lambda net: net.to_image(noise, SHAPE))(bent()), Y, atol=1e-4)


def test_the_log_determinant_is_the_jacobian_s_and_every_number_counts():
    @jax.jit
    def exact(net):
        flat = lambda y: net.to_noise(y.reshape(1, *SHAPE))[0][0]  # noqa: E731
        return jax.vmap(jax.jacrev(flat))(Y.reshape(3, -1)), net.to_noise(Y)[1]

    jacobian, log_determinant = exact(bent())
    expected = np.linalg.slogdet(np.asarray(jacobian, np.float64))[1]
    np.testing.assert_allclose(log_determinant, expected, atol=1e-4)
    assert np.ptp(expected) > 0.1
    # At both levels what stays and what leaves depends on pixels all over the image.
    assert (np.abs(jacobian[0]) > 1e-6).sum(axis=1).min() > 4


def test_it_starts_as_a_rotation():
    net = Glow.init(jax.random.key(0), SHAPE, levels=2, steps=2, width=6, depth=2)
    noise, log_determinant = jax.jit(lambda net: net.to_noise(Y))(net)
    np.testing.assert_array_equal(log_determinant, 0.0)
    np.testing.assert_allclose((noise**2).sum(axis=1), (Y**2).sum(axis=(1, 2, 3)), rtol=1e-5)


def test_gradients_reach_every_parameter():
    def cost(net):
        noise, log_determinant = net.to_noise(Y)
        return 0.5 * (noise**2).sum() - log_determinant.sum()

    gradient = jax.jit(jax.grad(cost))(bent())
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        # At the second level images are 1 x 2 pixels: two thirds of a kernel meet nothing but the border.
        assert (leaf != 0).mean() > 0.3, jax.tree_util.keystr(path)
        assert jnp.isfinite(leaf).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_squeezing_keeps_neighbours_together(channels):
    y = jnp.arange(4.0 * 6 * channels).reshape(1, 4, 6, channels)
    z = squeeze(y)
    assert z.shape == (1, 2, 3, 4 * channels)
    np.testing.assert_array_equal(z[0, 1, 2], y[0, 2:4, 4:6].reshape(-1))
    np.testing.assert_array_equal(unsqueeze(z), y)
