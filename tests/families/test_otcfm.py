import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from selfconsume.errors import ConfigError
from selfconsume.families import otcfm
from selfconsume.families.otcfm import OTCFM, Integrator, VectorVelocity
from selfconsume.models.nets import Network
from selfconsume.models.nets.unet import SIZES, Sizes
from selfconsume.models.training.scaling import Scaling
from selfconsume.types import Density

MEAN, DEVIATION = jnp.array([0.5, -1.0]), 0.6


class ToGaussian(Network):
    """The velocity from noise to N(mean, deviation^2 I), independently paired."""

    mean: Float[Array, " d"]
    deviation: Float[Array, ""]

    def __call__(self, x, condition, training=None):
        tau = condition[:, None]
        variance = (1 - tau) ** 2 + tau**2 * self.deviation**2
        return self.mean + (tau * self.deviation**2 - (1 - tau)) / variance * (x - tau * self.mean)


SCALING = Scaling(jnp.array([1.0, 2.0]), jnp.array(3.0))


def exact(temperature=1.0, solver="dopri5"):
    net = ToGaussian(MEAN, jnp.array(DEVIATION))
    return VectorVelocity(net, SCALING, jnp.array(temperature), Integrator(solver, 25, 1e-5, 1e-5))


@jax.jit
def log_prob(generator, x):
    return generator.log_prob(x)


@pytest.mark.parametrize("solver", ["dopri5", "midpoint"])
def test_the_density_of_a_gaussian(solver):
    x = jax.random.normal(jax.random.key(0), (50, 2)) * 2
    mean, deviation = SCALING.decode(MEAN), DEVIATION * 3.0
    expected = -0.5 * (((x - mean) / deviation) ** 2).sum(axis=1) - 2 * math.log(deviation) - math.log(2 * math.pi)
    np.testing.assert_allclose(log_prob(exact(solver=solver), x), expected, rtol=2e-3, atol=2e-3)
    # A density is that of the fit, temperature 1.
    np.testing.assert_allclose(log_prob(exact(0.5, solver), x), expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("temperature", [1.0, 0.25, 0.0])
def test_samples_of_a_gaussian_and_their_temperature(temperature):
    n = 100_000
    x = np.asarray(jax.jit(lambda generator: generator.sample(jax.random.key(0), n))(exact(temperature, "midpoint")))
    deviation = DEVIATION * 3.0 * temperature**0.5
    np.testing.assert_allclose(x.mean(axis=0), SCALING.decode(MEAN), atol=4.5 * deviation / n**0.5 + 1e-3)
    np.testing.assert_allclose(x.std(axis=0), deviation, atol=4.5 * deviation * (0.5 / n) ** 0.5 + 1e-3)


@pytest.fixture(scope="module")
def data():
    """Two clusters, one of them twice as heavy."""
    x = jax.random.normal(jax.random.key(9), (300, 2)) * 0.5 + jnp.where(jnp.arange(300)[:, None] < 200, 2.0, -2.0)
    return x + jnp.array([10.0, 0.0])


FAMILY = OTCFM(updates=400, batch=64, width=32, depth=2, pairing_block=8)


@pytest.fixture(scope="module")
def fitted(data):
    def fit(x):
        return FAMILY.advance(FAMILY.begin(jax.random.key(0), x, jnp.ones(300), None), 400)

    return jax.jit(fit)(data).without_data()


def test_a_density_integrates_to_one_and_agrees_with_its_samples(fitted):
    generator = fitted.generator
    assert isinstance(generator, Density)
    axis = np.linspace(-6, 6, 81)
    grid = jnp.asarray(np.stack(np.meshgrid(axis + 10, axis, indexing="ij"), axis=-1).reshape(-1, 2), jnp.float32)
    p = np.exp(np.asarray(log_prob(generator, grid), np.float64)) * (axis[1] - axis[0]) ** 2
    np.testing.assert_allclose(p.sum(), 1.0, atol=0.01)
    n = 20_000
    x = np.asarray(generator.sample(jax.random.key(1), n))
    # Shares of the two clusters, means and deviations, by quadrature and by samples.
    upper = np.asarray(grid)[:, 1] > 0
    np.testing.assert_allclose((x[:, 1] > 0).mean(), p[upper].sum(), atol=4.5 * 0.5 / n**0.5 + 0.01)
    np.testing.assert_allclose(x.mean(axis=0), p @ np.asarray(grid), atol=4.5 * 2 / n**0.5 + 0.05)
    np.testing.assert_allclose(x.std(axis=0), np.sqrt(p @ (np.asarray(grid) - x.mean(axis=0)) ** 2), rtol=0.03)


def test_it_learns_the_data(fitted, data):
    x = np.asarray(fitted.generator.sample(jax.random.key(1), 20_000))
    # 300 examples, 400 updates of a small network.
    np.testing.assert_allclose((x[:, 1] > 0).mean(), 2 / 3, atol=0.08)
    np.testing.assert_allclose(x.mean(axis=0), data.mean(axis=0), atol=0.3)
    np.testing.assert_allclose(np.cov(x.T), np.cov(data.T), atol=0.15 * np.trace(np.cov(data.T)))


def test_gradients_reach_every_parameter():
    family = OTCFM.tiny()
    generator = family.init(jax.random.key(0), (2,))

    @jax.jit
    def gradient(generator, z):
        prepared = family.prepare(jax.random.key(1), generator, z)
        return jax.grad(lambda net: family.loss(dataclasses.replace(generator, net=net), prepared))(generator.net)

    for leaf in jax.tree.leaves(gradient(generator, jax.random.normal(jax.random.key(2), (8, 2)))):
        assert (leaf != 0).all()


def test_the_loss_is_least_for_the_true_velocity():
    """Flow matching regresses on the conditional velocity; its minimiser is the marginal one."""
    family = OTCFM(batch=50_000, pairing="independent")
    z = MEAN + DEVIATION * jax.random.normal(jax.random.key(2), (50_000, 2))
    generator = exact()
    prepared = jax.jit(lambda z: family.prepare(jax.random.key(1), generator, z))(z)

    def loss(mean, deviation):
        return family.loss(dataclasses.replace(generator, net=ToGaussian(mean, deviation)), prepared)

    slope = jax.jit(jax.grad(loss, argnums=(0, 1)))(MEAN, jnp.array(DEVIATION))
    # Zero in expectation; its standard error is below 10 / sqrt(n).
    np.testing.assert_allclose(np.hstack(slope), 0.0, atol=4.5 * 10 / 50_000**0.5)
    assert loss(MEAN, jnp.array(DEVIATION)) < min(loss(MEAN + 0.2, jnp.array(DEVIATION)), loss(MEAN, jnp.array(0.9)))


def test_exact_pairing_straightens_the_paths():
    z = jax.random.normal(jax.random.key(2), (64, 2))

    def length(pairing):
        family = OTCFM(batch=64, pairing=pairing)
        prepared = jax.jit(lambda z: family.prepare(jax.random.key(1), None, z))(z)
        np.testing.assert_allclose(prepared.x + (1 - prepared.condition[:, None]) * prepared.target, z, atol=1e-5)
        return float((prepared.target**2).sum())

    assert length("exact") < 0.5 * length("independent")


def test_splitting_a_fit_with_pairing_changes_no_bit(data):
    family = OTCFM.tiny()
    begun = jax.jit(lambda x: family.begin(jax.random.key(0), x, jnp.ones(300), None))(data)
    whole = jax.jit(lambda state: family.advance(state, 16))(begun)
    half = jax.jit(lambda state: family.advance(state, 8))
    parts = half(half(begun))
    jax.tree.map(np.testing.assert_array_equal, whole.generator, parts.generator)
    jax.tree.map(np.testing.assert_array_equal, whole.optimizer, parts.optimizer)


def test_blocks_must_divide_the_batch():
    class Plane:
        shape = (2,)

    with pytest.raises(ConfigError, match=r"family\.pairing_block: 7 does not divide the batch of 256; give a divisor"):
        OTCFM(pairing_block=7).check(Plane())
    OTCFM(pairing_block=0).check(Plane())
    OTCFM(pairing_block=7, pairing="independent").check(Plane())


def test_adaptive_steps_are_taken_in_float32(monkeypatch):
    """Of the same weights, whatever the type of activations in training; equal steps keep to that type."""
    monkeypatch.setitem(SIZES, "tiny", Sizes(8, (1,), 1, ()))
    z, key = jax.random.normal(jax.random.key(0), (2, 4, 4, 1)), jax.random.key(1)

    def velocity(solver, compute):
        generator = OTCFM(solver=solver, compute=compute).init(key, (4, 4, 1))
        generator = eqx.tree_at(lambda g: g.net.last.kernel, generator, jnp.ones_like(generator.net.last.kernel))
        return np.asarray(generator.integrator.velocity(generator.net, jnp.array(0.5), z))

    np.testing.assert_array_equal(velocity("dopri5", "bfloat16"), velocity("dopri5", "float32"))
    assert np.abs(velocity("euler", "bfloat16") - velocity("euler", "float32")).max() > 1e-4


@pytest.mark.parametrize(("given", "block"), [(0, 6), (3, 3)])
def test_pairing_is_that_of_the_family_s_settings(monkeypatch, given, block):
    asked = []
    monkeypatch.setattr(otcfm, "paired", lambda key, x0, x1, **options: asked.append(options) or x0)
    family = OTCFM(batch=6, pairing="sinkhorn", pairing_block=given, sinkhorn_epsilon=0.3, sinkhorn_iterations=7)
    family.prepare(jax.random.key(0), None, jnp.zeros((6, 2)))
    assert asked == [{"pairing": "sinkhorn", "block": block, "epsilon": 0.3, "iterations": 7}]
