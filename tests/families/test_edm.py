import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from selfconsume.errors import ConfigError
from selfconsume.families.edm import EDM, Denoiser, Preconditioning, Sampling
from selfconsume.models.nets import Network
from selfconsume.models.training.samplers import karras_sampler, karras_sigmas
from selfconsume.models.training.scaling import Scaling

MEAN, DEVIATION, SIGMA_DATA = jnp.array([0.5, -1.0]), 0.6, 0.5


class OfGaussian(Network):
    """What makes the denoiser that of N(mean, deviation^2 I), in units in which the data's deviation is sigma_data."""

    mean: Float[Array, " d"]
    deviation: Float[Array, ""]

    def __call__(self, x, condition, training=None):
        sigma = jnp.exp(4 * condition)[:, None]
        c_skip, c_out, c_in, _ = Preconditioning.at(sigma, SIGMA_DATA)
        y, variance = x / c_in, (SIGMA_DATA * self.deviation) ** 2
        D = (variance * y + sigma**2 * SIGMA_DATA * self.mean) / (variance + sigma**2)
        return (D - c_skip * y) / c_out


SCALING = Scaling(jnp.array([1.0, 2.0]), jnp.array(3.0))


def exact(temperature=1.0, churn=0.0):
    sampling = Sampling(80, 0.002, 80.0, 7.0, churn, 0.0, 1e6, 1.0)
    return Denoiser(OfGaussian(MEAN, jnp.array(DEVIATION)), SCALING, jnp.array(temperature), SIGMA_DATA, sampling)


@pytest.mark.parametrize("churn", [0.0, 20.0])
@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_samples_of_a_gaussian_and_their_temperature(churn, temperature):
    n = 50_000
    x = np.asarray(jax.jit(lambda generator: generator.sample(jax.random.key(0), n))(exact(temperature, churn)))
    deviation = DEVIATION * 3.0 * temperature**0.5
    # 80 steps widen a Gaussian by less than 1 %, with added noise by a little more.
    np.testing.assert_allclose(x.mean(axis=0), SCALING.decode(MEAN), atol=4.5 * deviation / n**0.5 + 0.02)
    np.testing.assert_allclose(x.std(axis=0), deviation, rtol=4.5 * (0.5 / n) ** 0.5 + (0.01 if not churn else 0.03))


def test_preconditioning_of_the_paper():
    sigma = np.array([0.002, 0.5, 80.0])
    c_skip, c_out, c_in, c_noise = Preconditioning.at(jnp.asarray(sigma, jnp.float32), 0.5)
    np.testing.assert_allclose(c_skip, 0.25 / (sigma**2 + 0.25), rtol=1e-5)
    np.testing.assert_allclose(c_out, sigma * 0.5 / np.sqrt(sigma**2 + 0.25), rtol=1e-5)
    np.testing.assert_allclose(c_in, 1 / np.sqrt(sigma**2 + 0.25), rtol=1e-5)
    np.testing.assert_allclose(c_noise, np.log(sigma) / 4, rtol=1e-5)


@pytest.fixture(scope="module")
def prepared():
    z = MEAN + DEVIATION * jax.random.normal(jax.random.key(2), (50_000, 2))
    return jax.jit(lambda z: EDM().prepare(jax.random.key(1), None, z))(z)


def test_noise_levels_in_training_are_log_normal(prepared):
    log_sigma = 4 * np.asarray(prepared.condition)
    n = len(log_sigma)
    np.testing.assert_allclose(log_sigma.mean(), -1.2, atol=4.5 * 1.2 / n**0.5)
    np.testing.assert_allclose(log_sigma.std(), 1.2, atol=4.5 * 1.2 * (0.5 / n) ** 0.5)


def test_the_loss_is_the_paper_s_and_least_for_the_true_denoiser(prepared):
    generator = exact()

    def loss(mean, deviation):
        return EDM().loss(dataclasses.replace(generator, net=OfGaussian(mean, deviation)), prepared)

    # lambda(sigma) |D(y + n; sigma) - y|^2 with lambda = 1 / c_out^2, from the prepared inputs.
    sigma = jnp.exp(4 * prepared.condition)[:, None]
    c_skip, c_out, c_in, _ = Preconditioning.at(sigma, SIGMA_DATA)
    x = prepared.x / c_in
    y = c_skip * x + c_out * prepared.target
    D = (0.09 * x + sigma**2 * 0.5 * MEAN) / (0.09 + sigma**2)
    np.testing.assert_allclose(loss(MEAN, jnp.array(0.6)), (((D - y) / c_out) ** 2).mean(), rtol=1e-3)
    np.testing.assert_allclose(y.mean(axis=0), 0.5 * MEAN, atol=0.01)
    slope = jax.jit(jax.grad(loss, argnums=(0, 1)))(MEAN, jnp.array(DEVIATION))
    # Zero in expectation; its standard error is below 10 / sqrt(n).
    np.testing.assert_allclose(np.hstack(slope), 0.0, atol=4.5 * 10 / 50_000**0.5)
    assert loss(MEAN, jnp.array(DEVIATION)) < min(loss(MEAN + 0.2, jnp.array(DEVIATION)), loss(MEAN, jnp.array(0.9)))


def test_gradients_reach_every_parameter():
    family = EDM.tiny()
    generator = family.init(jax.random.key(0), (2,))

    @jax.jit
    def gradient(generator, z):
        prepared = family.prepare(jax.random.key(1), generator, z)
        return jax.grad(lambda net: family.loss(dataclasses.replace(generator, net=net), prepared))(generator.net)

    for leaf in jax.tree.leaves(gradient(generator, jax.random.normal(jax.random.key(2), (8, 2)))):
        assert (leaf != 0).all()


def test_it_learns_the_data():
    x = jax.random.normal(jax.random.key(9), (300, 2)) * jnp.array([0.5, 2.0]) + jnp.array([10.0, 0.0])
    family = EDM(updates=400, batch=64, width=32, depth=2)

    def fit(x):
        state = family.begin(jax.random.key(0), x, jnp.ones(300), None)
        return family.advance(state, 400).generator.sample(jax.random.key(1), 20_000)

    y = np.asarray(jax.jit(fit)(x))
    # 300 examples, 400 updates of a small network, 18 steps.
    np.testing.assert_allclose(y.mean(axis=0), x.mean(axis=0), atol=0.3)
    np.testing.assert_allclose(np.cov(y.T), np.cov(x.T), atol=0.2 * np.trace(np.cov(x.T)))


def test_levels_must_fall():
    class Plane:
        shape = (2,)

    with pytest.raises(
        ConfigError, match=r"family\.sigma_min: expected less than sigma_max = 80, got 90; lower sigma_min"
    ):
        EDM(sigma_min=90.0).check(Plane())


def test_the_sampler_is_given_the_family_s_settings():
    """At temperature 0 nothing is random, though the stochastic sampler still raises the levels between its bounds."""
    family = EDM(steps=6, sigma_min=0.05, sigma_max=20.0, rho=3.0, S_churn=2.0, S_tmin=0.5, S_tmax=5.0)
    sampling = Sampling(6, 0.05, 20.0, 3.0, 2.0, 0.5, 5.0, 1.0)
    assert jax.eval_shape(lambda: family.init(jax.random.key(0), (2,))).sampling == sampling
    generator = dataclasses.replace(exact(0.0), sampling=sampling)

    @jax.jit
    def both(generator):
        options = {"S_churn": 2.0, "S_tmin": 0.5, "S_tmax": 5.0, "S_noise": 0.0}
        levels = karras_sigmas(6, 0.05, 20.0, 3.0)
        x = karras_sampler(jax.random.key(1), generator.denoise, jnp.zeros((3, 2)), levels, **options)
        return generator.sample(jax.random.key(0), 3), SCALING.decode(x / SIGMA_DATA)

    np.testing.assert_allclose(*both(generator), rtol=1e-5)


class OfOneImage(Network):
    """What makes the denoiser that of one image, in units of [-1, 1]."""

    image: Float[Array, "h w c"]

    def __call__(self, x, condition, training=None):
        c_skip, c_out, c_in, _ = Preconditioning.at(jnp.exp(4 * condition)[:, None, None, None], SIGMA_DATA)
        return (self.image - c_skip * x / c_in) / c_out


def test_images_come_out_as_bright_as_they_are():
    image = jnp.array([[[0], [70]], [[128], [255]]], jnp.uint8)
    scaling = Scaling.identity((2, 2, 1))
    sampling = Sampling(4, 0.002, 80.0, 7.0, 0.0, 0.0, 1e6, 1.0)
    generator = Denoiser(OfOneImage(scaling.encode(image)), scaling, jnp.array(1.0), SIGMA_DATA, sampling)
    x = jax.jit(lambda generator: generator.sample(jax.random.key(0), 3))(generator)
    np.testing.assert_array_equal(x, jnp.broadcast_to(image, (3, 2, 2, 1)))
