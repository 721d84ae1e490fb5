import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.models.nets import TrainingInputs
from selfconsume.models.nets.layers import Convolution, Weights, parameters
from selfconsume.models.nets.unet import SIZES, Halve, Residual, Sizes, UNet, downsample, upsample

SMALL = {
    "convolution": Sizes(8, (1, 2), 1, (2,), head=4),
    "block": Sizes(8, (1, 2), 1, (2,), resample="block", attend_up="last", factor=0.5**0.5),
}
X, C = jax.random.normal(jax.random.key(1), (3, 4, 6, 2)), jnp.array([-1.0, 0.1, 0.9])
TRAINING = TrainingInputs(jax.random.split(jax.random.key(2), 3), jnp.array([[0.0, 0.0], [1.0, 0.5], [0.0, -0.3]]), 0.2)


@pytest.mark.parametrize(
    ("name", "side", "published"),
    [("ddpm_32", 32, 35.7e6), ("torchcfm_32", 32, 35.7e6), ("edm_32", 32, 55.7e6), ("edm_64", 64, 61.8e6)],
)
def test_sizes_are_the_published_ones(name, side, published):
    shapes = jax.eval_shape(lambda: UNet.init(jax.random.key(0), (side, side, 3), SIZES[name]))
    assert parameters(shapes) == pytest.approx(published, rel=0.003)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(shapes))
    out = jax.eval_shape(lambda net, x, c: net(x, c), shapes, jnp.zeros((1, side, side, 3)), jnp.zeros(1))
    assert out.shape == (1, side, side, 3)


def test_tiny_is_tiny():
    shapes = jax.eval_shape(lambda: UNet.init(jax.random.key(0), (8, 8, 1), SIZES["tiny"]))
    assert parameters(shapes) < 100_000


@functools.cache
def trained(style, steps=3):
    """A network before training, and after the first steps of gradient descent, with the last gradient."""
    net = start = jax.jit(lambda key: UNet.init(key, X.shape[1:], SMALL[style], labels=2))(jax.random.key(0))

    @jax.jit
    def slope(net):
        return jax.grad(lambda net: ((net(X, C, TRAINING) - X) ** 2).mean())(net)

    for _ in range(steps):
        gradient = slope(net)
        net = jax.tree.map(lambda leaf, by: leaf - 0.3 * by, net, gradient)
    return start, net, gradient


@jax.jit
def output(net, x, c, training=None):
    return net(x, c, training)


@pytest.mark.parametrize("style", SMALL)
def test_the_output_starts_at_zero_and_has_the_shape_of_the_image(style):
    start, net, _ = trained(style)
    assert (output(start, X, C) == 0).all()
    assert output(net, X, C).shape == X.shape and (output(net, X, C) != 0).all()


@pytest.mark.parametrize("style", SMALL)
def test_gradients_reach_every_parameter(style):
    """Through two layers that start at zero, one behind the other: from the third update on."""
    _, _, gradient = trained(style)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert (leaf != 0).any(), jax.tree_util.keystr(path)
        assert jnp.isfinite(leaf).all()


@pytest.mark.parametrize("style", SMALL)
def test_examples_do_not_influence_each_other_and_conditions_matter(style):
    _, net, _ = trained(style)
    out = output(net, X, C)
    moved = output(net, X.at[1].add(5.0), C)
    np.testing.assert_array_equal(moved[jnp.array([0, 2])], out[jnp.array([0, 2])])
    assert not np.allclose(moved[1], out[1], atol=1e-3)
    other = output(net, X, C.at[1].set(0.5))
    np.testing.assert_array_equal(other[jnp.array([0, 2])], out[jnp.array([0, 2])])
    assert not np.allclose(other[1], out[1], atol=1e-6)


def test_bfloat16_computes_the_same_to_its_precision():
    _, net, _ = trained("convolution")
    rounded = output(dataclasses.replace(net, compute="bfloat16"), X, C)
    exact = output(net, X, C)
    assert rounded.dtype == exact.dtype == jnp.float32
    assert 0 < jnp.abs(rounded - exact).max() < 0.1 * jnp.abs(exact).max()


def test_halving_averages_and_doubling_repeats():
    x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(downsample(x)[0, :, :, 0], [[2.5, 4.5], [10.5, 12.5]])
    np.testing.assert_array_equal(downsample(upsample(x)), x)
    np.testing.assert_array_equal(upsample(x)[0, :2, :4, 0], [[0, 0, 1, 1]] * 2)


def test_sampling_is_training_with_nothing_dropped_and_nothing_said():
    """And what is dropped, or said of one example, leaves the others alone."""
    _, net, _ = trained("block")
    quiet = TrainingInputs(TRAINING.keys, jnp.zeros((3, 2)), 0.0)
    np.testing.assert_array_equal(output(net, X, C, quiet), output(net, X, C))
    said = output(net, X, C, dataclasses.replace(quiet, augment_labels=TRAINING.augment_labels))
    np.testing.assert_array_equal(said[0], output(net, X, C)[0])
    assert not np.allclose(said[1], output(net, X, C)[1], atol=1e-6)
    dropped = output(net, X, C, dataclasses.replace(quiet, dropout=0.2))
    other = dataclasses.replace(quiet, dropout=0.2, keys=quiet.keys.at[1].set(jax.random.key(9)))
    again = output(net, X, C, other)
    np.testing.assert_array_equal(again[jnp.array([0, 2])], dropped[jnp.array([0, 2])])
    assert not np.allclose(again[1], dropped[1], atol=1e-6)


def test_dropout_keeps_the_mean_and_drops_its_share():
    x = jnp.ones((3, 30, 30, 7))
    y = np.asarray(dataclasses.replace(TRAINING, dropout=0.13).apply_dropout(x, 0))
    kept = y != 0
    # Of 18,900 numbers, five binomial standard deviations.
    assert kept.mean() == pytest.approx(0.87, abs=5 * (0.13 * 0.87 / kept.size) ** 0.5)
    np.testing.assert_allclose(y[kept], 1 / 0.87, rtol=1e-4)
    # Independent between examples, channels and layers: agreement of two masks is what chance gives.
    chance = 0.87**2 + 0.13**2
    for one, two in ((kept[0], kept[1]), (kept[..., 1], kept[..., 2])):
        assert np.mean(one == two) == pytest.approx(chance, abs=5 * (chance * (1 - chance) / one.size) ** 0.5)
    below = np.asarray(dataclasses.replace(TRAINING, dropout=0.13).apply_dropout(x, 1)) != 0
    assert np.mean(kept == below) == pytest.approx(chance, abs=5 * (chance * (1 - chance) / kept.size) ** 0.5)


def test_halving_convolutions_start_at_the_first_pixel_or_at_the_corner():
    halve = Halve(Convolution(jax.random.normal(jax.random.key(0), (3, 3, 2, 2)), jnp.zeros(2), 2))
    for corner, border in ((False, ((1, 1), (1, 1))), (True, ((0, 1), (0, 1)))):
        expected = jax.lax.conv_general_dilated(
            X, halve.convolution.kernel, (2, 2), border, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        got = dataclasses.replace(halve, corner=corner)(X, C[:, None], lambda x: x)
        np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("change", ["halve", "double"])
def test_a_residual_block_is_what_it_says(change):
    """Its parts, one after the other, on weights away from where they start."""
    sizes, random = SMALL["block"]._replace(channels=4), np.random.default_rng(0)
    block = jax.eval_shape(lambda: Residual.init(Weights(), sizes, 2, 8, change=change))
    block = jax.tree.map(lambda leaf: 0.3 * random.normal(size=leaf.shape).astype(np.float32), block)
    resampled = {"halve": downsample, "double": upsample}[change]

    @jax.jit
    def both(block, condition):
        h = block.convolution_1(resampled(jax.nn.silu(block.norm_1(X)))) + block.condition(condition)[:, None, None]
        h = block.convolution_2(7.0 * jax.nn.silu(block.norm_2(h)))
        return block(X, condition, lambda x: 7.0 * x), (block.shortcut(resampled(X)) + h) * 0.5**0.5

    np.testing.assert_allclose(*both(block, jax.random.normal(jax.random.key(3), (3, 16))), rtol=1e-4, atol=1e-4)
