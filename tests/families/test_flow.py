import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.families import flow
from selfconsume.families.flow import NormalizingFlow
from selfconsume.lanes.lane_program import lane_program
from selfconsume.models.training.scaling import Scaling
from selfconsume.sources.digits import Digits
from selfconsume.types import Density

KINDS = ["coupling", "spline"]


def family(kind, **fields):
    return NormalizingFlow(architecture=kind, layers=3, width=16, depth=1, knots=5, **fields)


@functools.cache
def initial(kind, d=2):
    """A flow before any training; compiled as one program, which eager calls are not."""
    return jax.jit(lambda key: family(kind).init(key, (d,)))(jax.random.key(0))


def bent(kind, d=2):
    """A flow away from the identity. Splines are bent less: steep ones cost float32 its digits."""
    generator = initial(kind, d)
    strength = {"coupling": 0.4, "spline": 0.1}[kind]
    rng = np.random.default_rng(0)
    net = [np.asarray(leaf) + strength * rng.normal(size=leaf.shape).astype(np.float32) for leaf in generator.net]
    scaling = Scaling(jnp.linspace(1.0, 2.0, d), jnp.array(2.0))
    return dataclasses.replace(generator, net=tuple(net), scaling=scaling)


@pytest.mark.parametrize("kind", KINDS)
def test_a_density_integrates_to_one_and_agrees_with_its_samples(kind):
    generator = bent(kind)
    assert isinstance(generator, Density)
    n = 40_000
    x = np.asarray(jax.jit(lambda generator: generator.sample(jax.random.key(1), n))(generator))
    assert np.isfinite(x).all()
    # Mass of cells by the density at their centres, and by the samples in them.
    edges = [np.linspace(*np.quantile(x[:, i], [0.002, 0.998]), 401) for i in range(2)]
    centres = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
    grid = jnp.asarray(np.stack(np.meshgrid(*centres, indexing="ij"), axis=-1).reshape(-1, 2), jnp.float32)
    log_p = jax.jit(lambda generator, x: generator.log_prob(x))(generator, grid)
    cell = np.prod([edge[1] - edge[0] for edge in edges])
    p = np.exp(np.asarray(log_p, np.float64)).reshape(400, 400) * cell
    counts = np.histogram2d(*x.T, bins=edges)[0] / n
    # Nearly all of it is inside: 1, to the quadrature's error.
    np.testing.assert_allclose(p.sum(), counts.sum(), atol=0.01)
    coarse = [mass.reshape(4, 100, 4, 100).sum(axis=(1, 3)) for mass in (p, counts)]
    np.testing.assert_allclose(*coarse, atol=4.5 * 0.5 / n**0.5 + 0.005)


def test_in_three_dimensions_the_map_has_an_inverse():
    generator = bent("spline", 3)
    z = jax.random.normal(jax.random.key(0), (100, 3))

    @jax.jit
    def there_and_back(generator):
        x = jax.vmap(generator.bijection.transform)(z)
        jacobian = jax.vmap(jax.jacfwd(generator.bijection.transform))(z)
        return jacobian, *jax.vmap(generator.bijection.inverse_and_log_det)(x)

    jacobian, back, log_determinant = there_and_back(generator)
    np.testing.assert_allclose(back, z, atol=2e-3)
    np.testing.assert_allclose(jnp.linalg.slogdet(jacobian)[1], -log_determinant, atol=2e-3)
    # Every coordinate depends on others.
    assert (jnp.abs(jacobian).max(axis=0) > 1e-3).sum() > 5


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_parameter(kind):
    own, generator = family(kind), initial(kind)
    # Five deviations wide: splines leave alone what is outside.
    z = jax.random.normal(jax.random.key(2), (512, 2)) * 2
    gradient = jax.jit(jax.grad(lambda net: own.loss(dataclasses.replace(generator, net=net), z)))
    for leaf in gradient(generator.net):
        assert (leaf != 0).mean() > 0.9


def test_it_learns_the_data_in_lanes(layout):
    """The template must not hold on to the trace that first asks for it."""
    flow._template.cache_clear()
    mixing = jnp.array([[0.5, 0.3], [0.0, 2.0]])
    own = family("coupling", updates=300, batch=64)

    def fit(_, seed):
        x = jax.random.normal(jax.random.key(seed), (400, 2)) @ mixing + jnp.array([10.0, 0.0])
        state = own.begin(jax.random.key(seed), x, jnp.ones(400), None)
        generator = own.advance(state, 300).generator
        return x, generator, generator.sample(jax.random.key(1), 20_000), generator.log_prob(x).mean()

    x, generators, y, log_p = jax.device_get(
        lane_program(fit, layout)(2, (), layout.put(np.arange(2, dtype=np.uint32)))
    )
    for lane in range(2):
        # 400 examples, 300 updates of a small flow.
        np.testing.assert_allclose(y[lane].mean(axis=0), x[lane].mean(axis=0), atol=0.3)
        np.testing.assert_allclose(np.cov(y[lane].T), np.cov(x[lane].T), atol=0.2 * np.trace(np.cov(x[lane].T)))
        # The best Gaussian's log-likelihood; a flow with 300 updates comes near it.
        entropy = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * np.cov(x[lane].T))[1]
        assert -entropy - 0.15 < log_p[lane] < -entropy + 0.3
    # Outside of any program the same arrays give the same samples.
    alone = jax.tree.map(lambda leaf: jnp.asarray(leaf[1]), generators)
    again = jax.jit(lambda generator: generator.sample(jax.random.key(1), 20_000))(alone)
    np.testing.assert_allclose(again[:100], y[1][:100], rtol=1e-3, atol=1e-3)


def test_temperature_scales_the_noise_and_not_the_density():
    generator = bent("coupling")
    cold = dataclasses.replace(generator, temperature=jnp.array(0.0))

    @jax.jit
    def outcome(generator):
        x = generator.sample(jax.random.key(0), 5)
        centre = generator.scaling.decode(generator.bijection.transform(jnp.zeros(2)))
        return x, centre, generator.log_prob(jnp.ones((5, 2)))

    (x, centre, log_p), (warm, _, log_p_warm) = outcome(cold), outcome(generator)
    np.testing.assert_allclose(x, jnp.broadcast_to(centre, (5, 2)), rtol=1e-5)
    assert warm.std(axis=0).min() > 0.1
    np.testing.assert_array_equal(log_p, log_p_warm)


def test_one_coordinate_is_refused():
    class Line:
        shape = (1,)

    with pytest.raises(ConfigError, match="family: coupling layers need at least two coordinates"):
        NormalizingFlow().check(Line())


# Images

IMAGES = NormalizingFlow(layers=2, levels=1, width=8, depth=1)


@functools.cache
def bent_images(shape=(2, 2, 1)):
    generator = jax.jit(lambda key: IMAGES.init(key, shape))(jax.random.key(0))
    rng = np.random.default_rng(2)
    net = jax.tree.map(lambda leaf: leaf + 0.1 * rng.normal(size=leaf.shape).astype(np.float32), generator.net)
    return dataclasses.replace(generator, net=net)


def test_a_density_of_bytes_agrees_with_samples():
    """Masses of events of images of four numbers: by counting samples, and by the density at uniform images."""
    generator, n = bent_images(), 100_000
    assert isinstance(generator, Density)
    uniform = np.random.default_rng(0).integers(0, 256, (n, 2, 2, 1)).astype(np.uint8)

    @jax.jit
    def both(generator, noise):
        return (
            generator.log_prob(uniform),
            generator.net.to_image(noise, (2, 2, 1)),
            generator.sample(jax.random.key(1), 500),
        )

    log_p, y, x = both(generator, jax.random.normal(jax.random.key(2), (n, 4)))
    assert x.dtype == jnp.uint8 and x.shape == (500, 2, 2, 1)
    share = (1 / (1 + np.exp(-np.float64(y))) - flow.MARGIN) / (1 - 2 * flow.MARGIN)
    # What falls outside of the range of bytes is cut to its ends in samples, and is no part of the density.
    inside = ((share >= 0) & (share < 1)).all(axis=(1, 2, 3))
    ratio = np.exp(np.float64(log_p) + 4 * np.log(256))
    error = 5 * (ratio.std() + 0.5) / n**0.5
    assert error < 0.1 and 0.9 < inside.mean() < 1
    assert ratio.mean() == pytest.approx(inside.mean(), abs=error)
    for place in np.ndindex(2, 2):
        mass = np.mean(ratio * (uniform[:, *place, 0] < 100))
        assert np.mean(inside & (share[:, *place, 0] < 100 / 256)) == pytest.approx(mass, abs=error)


def test_bits_per_dimension_of_bytes_are_the_loss():
    x = np.random.default_rng(0).integers(0, 256, (200, 2, 2, 1)).astype(np.uint8)
    generator = bent_images()

    @jax.jit
    def both(generator):
        prepared = IMAGES.prepare(jax.random.key(0), generator, generator.scaling.encode(x))
        return IMAGES.loss(generator, prepared), -generator.log_prob(x).mean() / (4 * np.log(2)), prepared

    loss, bits, prepared = both(generator)
    # The same key gives the same points in both.
    np.testing.assert_allclose(loss, bits, rtol=1e-4)
    np.testing.assert_array_equal(np.floor(256 * np.asarray(prepared, np.float64)), x)


@pytest.mark.slow
def test_it_learns_digits():
    """Small sizes: held-out digits take fewer bits than uniform bytes, and samples are near the data's grey levels."""
    x = Digits(n=1000, n_test=300, form="image").train(jax.random.key(0))
    own = NormalizingFlow(layers=4, levels=2, width=32, batch=64, updates=300, learning_rate=3e-3)
    begun = jax.jit(lambda x: own.begin(jax.random.key(0), x, jnp.ones(len(x)), None))(x)
    generator = jax.jit(lambda state: own.advance(state, 300))(begun).generator
    test = Digits(n=1000, n_test=300, form="image").test(jax.random.key(0))
    bits = -np.asarray(jax.jit(lambda g, x: g.log_prob(x))(generator, test)).mean() / (64 * np.log(2))
    y = np.asarray(jax.jit(lambda g: g.sample(jax.random.key(1), 500))(generator))
    np.testing.assert_allclose(y.mean(axis=0), x.mean(axis=0), atol=40)
    assert bits < 6.0


@pytest.mark.parametrize(
    ("fields", "shape", "dtype", "message"),
    [
        ({"architecture": "spline"}, (8, 8, 1), "uint8", r"family\.architecture: 'spline' takes vectors"),
        ({"levels": 4}, (8, 8, 1), "uint8", r"family\.levels: 4 levels .* multiples of 16, got 8 x 8"),
        ({}, (8, 8, 1), "float32", r"family: expected images as uint8"),
    ],
)
def test_what_images_need_is_said_before(fields, shape, dtype, message):
    class Images:
        def train(self, key):
            return jnp.zeros((2, *shape), dtype)

    Images.shape = shape
    with pytest.raises(ConfigError, match=message):
        NormalizingFlow(**fields).check(Images())
