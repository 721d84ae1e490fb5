import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.models.nets.layers import (
    Attention,
    Convolution,
    Dense,
    GroupNorm,
    Weights,
    convolve,
    embedding,
    parameters,
)


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def plain(x, kernel, stride):
    """XLA's convolution and its derivatives."""
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_and_its_gradients(stride):
    x, kernel = normal(0, 3, 6, 4, 2), normal(1, 3, 3, 2, 5)
    y, back = jax.vjp(lambda x, kernel: convolve(x, kernel, stride), x, kernel)
    expected, expected_back = jax.vjp(lambda x, kernel: plain(x, kernel, stride), x, kernel)
    assert y.shape == (3, 6 // stride, 4 // stride, 5)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    g = normal(2, *y.shape)
    for got, wanted in zip(back(g), expected_back(g), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-4)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="about XLA's CPU compiler")
@pytest.mark.parametrize("stride", [1, 2])
def test_the_kernel_s_gradient_is_no_convolution_on_cpus(stride):
    """Inside a loop XLA takes 20 to 50 times as long for that; counted, because times depend on the machine."""

    def convolutions(convolve):
        def moved(kernel, x):
            loss = lambda kernel: (convolve(x, kernel, stride) ** 2).sum()  # noqa: E731
            return jax.lax.scan(lambda kernel, _: (kernel - jax.grad(loss)(kernel), None), kernel, length=3)[0]

        compiled = jax.jit(moved).lower(normal(1, 3, 3, 2, 5), normal(0, 3, 6, 4, 2)).compile().as_text()
        return sum(" convolution(" in line or "__convolution" in line for line in compiled.splitlines())

    # Forward only; plain derivatives need a second one.
    assert convolutions(convolve) < convolutions(plain)


def test_group_norm_agrees_with_numpy_and_keeps_examples_apart():
    norm = GroupNorm(normal(0, 12), normal(1, 12))
    x = 3 + normal(2, 4, 5, 3, 12) * jnp.arange(1, 5)[:, None, None, None]
    grouped = np.asarray(x, float).reshape(4, 15, 3, 4)
    expected = (grouped - grouped.mean(axis=(1, 3), keepdims=True)) / grouped.std(axis=(1, 3), keepdims=True)
    expected = expected.reshape(x.shape) * np.asarray(norm.scale) + np.asarray(norm.bias)
    np.testing.assert_allclose(norm(x), expected, atol=1e-4)
    np.testing.assert_array_equal(norm(x.at[1].set(0.0))[2], norm(x)[2])


def test_groups_are_at_most_thirty_two():
    """As in the public networks, whose deeper levels have 256 channels; and epsilon is added to variances."""
    x = np.random.default_rng(0).normal(size=(2, 2, 3, 256)) * np.arange(1, 257)
    grouped = x.reshape(2, 6, 32, 8)
    mean, variance = (each(grouped, axis=(1, 3), keepdims=True) for each in (np.mean, np.var))
    expected = (grouped - mean) / np.sqrt(variance + 0.5)
    got = jax.jit(lambda x: GroupNorm.init(256, 0.5)(x))(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(got, expected.reshape(x.shape), atol=1e-4)


def test_group_norm_of_one_grey_level_is_its_bias():
    norm = GroupNorm(jnp.ones(8), normal(1, 8))
    np.testing.assert_allclose(norm(jnp.full((2, 3, 3, 8), 7.0)), jnp.broadcast_to(norm.bias, (2, 3, 3, 8)), atol=1e-5)


def test_group_norm_sums_in_float32():
    x = normal(0, 2, 8, 8, 8)
    rounded = GroupNorm.init(8)(x.astype(jnp.bfloat16))
    assert rounded.dtype == jnp.bfloat16
    # bfloat16 has 8 bits: values up to 4 are rounded by up to 2^-7.
    np.testing.assert_allclose(rounded.astype(jnp.float32), GroupNorm.init(8)(x), atol=2**-5)


def test_a_normalisation_keeps_its_input_and_nothing_larger_for_the_gradient():
    """In 16 bits, if that is what came in; its own float32 numbers are computed again."""
    norm, x = GroupNorm.init(8), jax.ShapeDtypeStruct((2, 16, 16, 8), jnp.bfloat16)
    kept = jax.eval_shape(lambda x: jax.vjp(norm, x)[1], x)
    assert sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(kept)) < 1.1 * 2 * x.size


@pytest.mark.parametrize("heads", [1, 2])
def test_attention_agrees_with_numpy(heads):
    attention = Attention(
        GroupNorm.init(8), Dense(normal(0, 8, 24), normal(1, 24)), Dense(normal(2, 8, 8), normal(3, 8)), heads, 0.5
    )
    x = normal(4, 2, 2, 3, 8)
    q, k, v = np.moveaxis(np.asarray(attention.project(attention.norm(x)), float).reshape(2, 6, 3, heads, -1), 2, 0)
    score = np.exp(np.einsum("nqhc,nkhc->nhqk", q, k) / (8 / heads) ** 0.5)
    seen = np.einsum("nhqk,nkhc->nqhc", score / score.sum(axis=3, keepdims=True), v).reshape(x.shape)
    expected = (np.asarray(x) + seen @ np.asarray(attention.back.weight) + np.asarray(attention.back.bias)) / 2
    np.testing.assert_allclose(jax.jit(lambda x: attention(x))(x), expected, atol=1e-4)


def test_attention_begins_as_its_input():
    weights = Weights(jax.random.uniform(jax.random.key(0), (8 * 24,), minval=-1.0))
    x = normal(1, 2, 3, 3, 8)
    attention = Attention.init(weights, 8, 2, 0.5)
    np.testing.assert_allclose(jax.jit(lambda x: attention(x))(x), x / 2, rtol=1e-6)


def test_weights_are_glorot_s_and_each_is_used_once():
    n = 9 * 20 * 30 + 20 * 10
    weights = Weights(jax.random.uniform(jax.random.key(0), (n,), minval=-1.0))
    kernel, dense = Convolution.init(weights, 20, 30).kernel, Dense.init(weights, 20, 10).weight
    assert weights.used == n
    # The variance of n uniform numbers has relative standard deviation sqrt(0.8 / n).
    np.testing.assert_allclose(kernel.var() * 9 * 50 / 2, 1.0, atol=5 * (0.8 / kernel.size) ** 0.5)
    np.testing.assert_allclose(dense.var() * 30 / 2, 1.0, atol=5 * (0.8 / dense.size) ** 0.5)
    assert not np.intersect1d(kernel.ravel(), dense.ravel()).size


def test_the_embedding_is_the_papers():
    c = np.array([0.1, 1.0])
    e = np.asarray(embedding(jnp.asarray(c, jnp.float32), 8, 1000.0))
    angles = 1000 * c[:, None] / 10_000 ** (np.arange(4) / 4)
    np.testing.assert_allclose(e, np.concatenate([np.sin(angles), np.cos(angles)], axis=1), atol=1e-3)
    angles = 1000 * c[:, None] / 10_000 ** (np.arange(4) / 3)
    e = np.asarray(embedding(jnp.asarray(c, jnp.float32), 8, 1000.0, to_end=True))
    np.testing.assert_allclose(e, np.concatenate([np.sin(angles), np.cos(angles)], axis=1), atol=1e-3)


def test_parameters_are_counted():
    assert parameters(Convolution.init(Weights(), 2, 5)) == 9 * 10 + 5
