import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from selfconsume.errors import ConfigError
from selfconsume.families.ddpm import DDPM, NoisePredictor
from selfconsume.models.nets import Network
from selfconsume.models.training.samplers import ddim_sampler, linear_alpha_bars, visited_levels
from selfconsume.models.training.scaling import Scaling

MEAN, DEVIATION, T = jnp.array([0.5, -1.0]), 0.6, 100


class OfGaussian(Network):
    """The noise prediction of N(mean, deviation^2 I)."""

    mean: Float[Array, " d"]
    deviation: Float[Array, ""]

    def __call__(self, x, condition, training=None):
        a = linear_alpha_bars(T)[jnp.round(condition * T).astype(int) - 1][:, None]
        return jnp.sqrt(1 - a) * (x - jnp.sqrt(a) * self.mean) / (a * self.deviation**2 + 1 - a)


SCALING = Scaling(jnp.array([1.0, 2.0]), jnp.array(3.0))


def exact(added, temperature=1.0):
    return NoisePredictor(OfGaussian(MEAN, jnp.array(DEVIATION)), SCALING, jnp.array(temperature), T, T, added)


@pytest.mark.parametrize("added", ["none", "large"])
@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_samples_of_a_gaussian_and_their_temperature(added, temperature):
    n = 50_000
    x = np.asarray(jax.jit(lambda generator: generator.sample(jax.random.key(0), n))(exact(added, temperature)))
    deviation = DEVIATION * 3.0 * temperature**0.5
    # 100 levels widen or narrow a Gaussian by up to 3 %.
    np.testing.assert_allclose(x.mean(axis=0), SCALING.decode(MEAN), atol=4.5 * deviation / n**0.5 + 0.02)
    np.testing.assert_allclose(x.std(axis=0), deviation, rtol=4.5 * (0.5 / n) ** 0.5 + 0.03)


def test_the_loss_is_least_for_the_true_prediction():
    family = DDPM(T=T)
    generator = exact("none")
    z = MEAN + DEVIATION * jax.random.normal(jax.random.key(2), (50_000, 2))
    prepared = jax.jit(lambda z: family.prepare(jax.random.key(1), generator, z))(z)
    assert prepared.condition.min() == 1 / T and prepared.condition.max() == 1

    def loss(mean, deviation):
        return family.loss(dataclasses.replace(generator, net=OfGaussian(mean, deviation)), prepared)

    slope = jax.jit(jax.grad(loss, argnums=(0, 1)))(MEAN, jnp.array(DEVIATION))
    # Zero in expectation; its standard error is below 10 / sqrt(n).
    np.testing.assert_allclose(np.hstack(slope), 0.0, atol=4.5 * 10 / 50_000**0.5)
    assert loss(MEAN, jnp.array(DEVIATION)) < min(loss(MEAN + 0.2, jnp.array(DEVIATION)), loss(MEAN, jnp.array(0.9)))


def test_gradients_reach_every_parameter():
    family = DDPM.tiny()
    generator = family.init(jax.random.key(0), (2,))

    @jax.jit
    def gradient(generator, z):
        prepared = family.prepare(jax.random.key(1), generator, z)
        return jax.grad(lambda net: family.loss(dataclasses.replace(generator, net=net), prepared))(generator.net)

    for leaf in jax.tree.leaves(gradient(generator, jax.random.normal(jax.random.key(2), (8, 2)))):
        assert (leaf != 0).all()


def test_it_learns_the_data():
    x = jax.random.normal(jax.random.key(9), (300, 2)) * jnp.array([0.5, 2.0]) + jnp.array([10.0, 0.0])
    family = DDPM(updates=400, batch=64, width=32, depth=2, T=40, steps=40)

    def fit(x):
        state = family.begin(jax.random.key(0), x, jnp.ones(300), None)
        return family.advance(state, 400).generator.sample(jax.random.key(1), 20_000)

    y = np.asarray(jax.jit(fit)(x))
    # 300 examples, 400 updates of a small network, 40 levels.
    np.testing.assert_allclose(y.mean(axis=0), x.mean(axis=0), atol=0.3)
    np.testing.assert_allclose(np.cov(y.T), np.cov(x.T), atol=0.15 * np.trace(np.cov(x.T)))


def test_the_sampler_s_field_and_what_cannot_be():
    class Plane:
        shape = (2,)

    key = jax.random.key(0)
    assert DDPM(sampler="ddim").init(key, (2,)).added == "none"
    assert DDPM(variance="small").init(key, (2,)).added == "small"
    with pytest.raises(
        ConfigError, match=r"family\.steps: expected at most T = 100 noise levels, got 101; lower steps"
    ):
        DDPM(steps=101).check(Plane())


def test_sampling_visits_as_many_levels_as_the_family_says():
    """At temperature 0 nothing is random."""
    generator = dataclasses.replace(exact("none", 0.0), steps=4)
    assert jax.eval_shape(lambda: DDPM(T=100, steps=4).init(jax.random.key(0), (2,))).steps == 4

    @jax.jit
    def both(generator):
        epsilon = lambda z, share: generator.net(z, jnp.reshape(share, 1))  # noqa: E731
        z = ddim_sampler(
            jax.random.key(1),
            epsilon,
            jnp.zeros((3, 2)),
            linear_alpha_bars(T),
            visited_levels(T, 4, "even"),
            added="none",
        )
        return generator.sample(jax.random.key(0), 3), SCALING.decode(z)

    np.testing.assert_allclose(*both(generator), rtol=1e-5)
