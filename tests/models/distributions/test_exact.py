"""Exact distributions against scipy, scikit-learn and closed forms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.mixture import GaussianMixture

from selfconsume.lanes.lane_program import lane_program
from selfconsume.models.distributions.exact import CategoricalDistribution, MixtureDistribution, Normal, nucleus

KEY = jax.random.key(7)


@eqx.filter_jit
def density(generator, x):
    return generator.log_prob(x)


@eqx.filter_jit
def draws(generator, n, key=KEY):
    return generator.sample(key, n)


@eqx.filter_jit
def parameters(generator):
    return generator.parameters()


def one_factor(d: int, r: int, seed: int = 0) -> np.ndarray:
    """A (d, r) factor whose covariance has eigenvalues between about 0.1 and 4."""
    rng = np.random.default_rng(seed)
    left, _ = np.linalg.qr(rng.normal(size=(d, d)))
    right, _ = np.linalg.qr(rng.normal(size=(r, r)))
    values = np.zeros((d, r))
    np.fill_diagonal(values, np.linspace(0.3, 2.0, min(d, r)))
    return (left @ values @ right).astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 5), (4,)])
def test_normal_density_is_scipys(shape):
    factor = np.linspace(0.3, 2.0, *shape, dtype=np.float32) if len(shape) == 1 else one_factor(*shape)
    d = shape[0]
    mean = np.arange(d, dtype=np.float32)
    covariance = np.diag(factor**2.0) if len(shape) == 1 else factor.astype(float) @ factor.T
    x = np.random.default_rng(1).normal(size=(50, d), scale=3.0).astype(np.float32)
    normal = Normal(jnp.asarray(mean), jnp.asarray(factor))
    expected = scipy.stats.multivariate_normal(mean, covariance).logpdf(x)
    np.testing.assert_allclose(density(normal, jnp.asarray(x)), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(parameters(normal)["covariance"], covariance, atol=1e-5)
    np.testing.assert_array_equal(parameters(normal)["mean"], mean)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (3, 2), (2, 5), (4,)])
def test_normal_samples_have_its_moments_times_the_temperature(shape):
    factor = jnp.linspace(0.3, 2.0, *shape) if len(shape) == 1 else jnp.asarray(one_factor(*shape))
    n, temperature = 40_000, 0.6
    normal = Normal(jnp.full(shape[0], 3.0), factor, temperature)
    covariance = temperature * np.asarray(parameters(normal)["covariance"])
    x = np.asarray(draws(normal, n))
    assert x.dtype == np.float32 and x.shape == (n, shape[0])
    # Five standard errors: sqrt(C_ii / n) of a mean, sqrt((C_ii C_jj + C_ij^2) / n) of a covariance.
    variance = np.diag(covariance)
    np.testing.assert_array_less(np.abs(x.mean(0) - 3.0), 5 * np.sqrt(variance / n) + 1e-5)
    error = np.abs(np.cov(x.T).reshape(covariance.shape) - covariance)
    np.testing.assert_array_less(error, 5 * np.sqrt((np.outer(variance, variance) + covariance**2) / n) + 1e-5)


def test_the_temperature_leaves_density_and_parameters_alone():
    factor, x = jnp.asarray(one_factor(3, 3)), jnp.ones((4, 3))
    fitted, tempered = Normal(jnp.zeros(3), factor), Normal(jnp.zeros(3), factor, 0.25)
    np.testing.assert_array_equal(density(fitted, x), density(tempered, x))
    np.testing.assert_array_equal(parameters(fitted)["covariance"], parameters(tempered)["covariance"])
    np.testing.assert_allclose(2 * draws(tempered, 5), draws(fitted, 5), rtol=1e-6)


matrices = st.integers(1, 4).flatmap(
    lambda d: st.lists(
        st.lists(st.sampled_from([-2.0, -0.5, 0.0, 1.0]), min_size=d, max_size=d), min_size=1, max_size=3
    )
)


@given(matrices)
@settings(max_examples=40, deadline=None)
def test_from_covariance_keeps_every_covariance(rows):
    """Full rank, singular or zero: the factor's product is the covariance."""
    covariance = np.asarray(rows, np.float32).T @ np.asarray(rows, np.float32)
    normal = Normal.from_covariance(jnp.zeros(len(covariance)), jnp.asarray(covariance))
    scale = max(covariance.max(), 1.0)
    np.testing.assert_allclose(parameters(normal)["covariance"], covariance, atol=1e-5 * scale)
    assert normal.factor.shape == covariance.shape


def test_from_covariance_clips_what_rounding_made_negative():
    normal = Normal.from_covariance(jnp.zeros(2), jnp.diag(jnp.array([1.0, -1e-6])))
    np.testing.assert_allclose(parameters(normal)["covariance"], np.diag([1.0, 0.0]), atol=1e-6)
    variances = Normal.from_covariance(jnp.zeros(2), jnp.array([4.0, -1e-6]))
    np.testing.assert_array_equal(variances.factor, [2.0, 0.0])


def test_covariances_that_differ_little_give_samples_that_differ_little():
    """Eigenvectors of nearly equal eigenvalues turn freely; the samples must not turn with them."""
    near = 1e-4 * jnp.array([[0.0, 1.0], [1.0, 0.0]])
    one = draws(Normal.from_covariance(jnp.zeros(2), jnp.eye(2)), 100)
    other = draws(Normal.from_covariance(jnp.zeros(2), jnp.eye(2) + near), 100)
    assert jnp.abs(one - other).max() < 1e-3


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_a_singular_covariance_has_samples_in_its_span_and_a_finite_density(rank):
    factor = np.array(one_factor(3, 3))[:, :rank] @ np.eye(rank, 3, dtype=np.float32)
    mean = jnp.arange(3.0)
    x = draws(Normal(mean, jnp.asarray(factor)), 20)
    assert np.linalg.matrix_rank(np.asarray(x - mean), tol=1e-4) == rank
    for normal in (Normal(mean, jnp.asarray(factor)), Normal.from_covariance(mean, jnp.asarray(factor @ factor.T))):
        inside, outside = density(normal, x), density(normal, x + 10.0)
        assert np.isfinite(inside).all() and np.isfinite(outside).all()
        assert outside.max() < inside.min()


def test_a_density_is_never_nan_however_far():
    x = jnp.array([[0.0, 0.0], [1e20, -1e20], [3e38, 3e38]])
    for factor in (jnp.zeros(2), jnp.zeros((2, 2)), jnp.array([[1.0, 1.0], [0.0, 0.0]])):
        near, *far = density(Normal(jnp.full(2, -1.0), factor), x)
        assert np.isfinite(near)
        assert far == [-jnp.inf, -jnp.inf]


def test_more_dimensions_than_examples():
    x = np.random.default_rng(0).normal(size=(5, 40)).astype(np.float32)
    normal = Normal.from_covariance(jnp.asarray(x.mean(0)), jnp.asarray(np.cov(x.T, ddof=0), jnp.float32))
    y = draws(normal, 30)
    span = np.linalg.svd(x - x.mean(0))[2][:4]
    deviation = np.asarray(y) - x.mean(0)
    # Eigenvalues that should be 0 are known to about 1e-7 of the largest, so deviations to the root of that.
    assert np.abs(deviation - deviation @ span.T @ span).max() < 5e-3 * np.abs(deviation).max()
    assert np.isfinite(density(normal, y)).all()


def test_second_derivatives_of_the_density_exist_at_equal_eigenvalues():
    """What stability theory needs: the Hessian in all parameters, here against the formula with an explicit inverse."""
    x = jax.random.normal(KEY, (5, 2))

    def of_normal(mean, factor):
        return Normal(mean, factor).log_prob(x).sum()

    def explicit(mean, factor):
        z = (x - mean) @ jnp.linalg.inv(factor).T
        return (-0.5 * z**2).sum() - 5 * jnp.log(jnp.abs(jnp.linalg.det(factor))) - 5 * jnp.log(2 * jnp.pi)

    at = (jnp.zeros(2), jnp.eye(2))
    got, expected = (jax.jit(jax.hessian(f, argnums=(0, 1)))(*at) for f in (of_normal, explicit))
    jax.tree.map(lambda g, e: np.testing.assert_allclose(g, e, atol=2e-4), got, expected)


def test_mixture_density_is_scikit_learns():
    rng = np.random.default_rng(3)
    weights, means = np.array([0.2, 0.5, 0.3]), rng.normal(size=(3, 2), scale=2.0)
    factors = np.stack([one_factor(2, 2, seed) for seed in range(3)])
    covariances = np.einsum("kij,klj->kil", factors.astype(float), factors)
    reference = GaussianMixture(3)
    reference.weights_, reference.means_, reference.covariances_ = weights, means, covariances
    reference.precisions_cholesky_ = np.stack([np.linalg.cholesky(np.linalg.inv(c)) for c in covariances])
    x = rng.normal(size=(30, 2), scale=3.0).astype(np.float32)
    # Weights need not sum to 1.
    mixture = MixtureDistribution(*(jnp.asarray(a, jnp.float32) for a in (7 * weights, means, factors)))
    np.testing.assert_allclose(density(mixture, jnp.asarray(x)), reference.score_samples(x), rtol=1e-4, atol=1e-4)
    rebuilt = MixtureDistribution.from_covariances(
        mixture.weights, mixture.means, jnp.asarray(covariances, jnp.float32)
    )
    np.testing.assert_allclose(parameters(rebuilt)["covariance"], covariances, atol=1e-5)
    np.testing.assert_allclose(density(rebuilt, jnp.asarray(x)), reference.score_samples(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("diagonal", [False, True])
def test_mixture_samples_come_from_their_components(diagonal):
    n, temperature = 40_000, 0.5
    weights, means = np.array([0.2, 0.0, 0.8]), np.array([[-50.0, 0.0], [0.0, 0.0], [50.0, 0.0]])
    factors = (
        np.stack([[0.5, 1.0], [1.0, 1.0], [2.0, 1.0]])
        if diagonal
        else np.stack([one_factor(2, 2, s) for s in range(3)])
    )
    mixture = MixtureDistribution(*(jnp.asarray(a, jnp.float32) for a in (weights, means, factors)), temperature)
    x, chosen = np.asarray(draws(mixture, n)), np.asarray(mixture.component(KEY, n))
    np.testing.assert_array_equal(chosen, np.where(x[:, 0] < 0, 0, 2))
    assert abs((chosen == 0).mean() - 0.2) < 5 * np.sqrt(0.2 * 0.8 / n)
    covariances = temperature * np.asarray(parameters(mixture)["covariance"])
    for k in (0, 2):
        rows, variance = x[chosen == k], np.diag(covariances[k])
        np.testing.assert_array_less(np.abs(rows.mean(0) - means[k]), 5 * np.sqrt(variance / len(rows)))
        bound = 5 * np.sqrt((np.outer(variance, variance) + covariances[k] ** 2) / len(rows))
        np.testing.assert_array_less(np.abs(np.cov(rows.T) - covariances[k]), bound)


def test_a_component_of_weight_zero_is_absent_and_leaves_gradients_finite():
    whole = MixtureDistribution(jnp.array([1.0, 0.0]), jnp.zeros((2, 2)), jnp.array([[1.0, 1.0], [0.0, 0.0]]))
    x = jax.random.normal(KEY, (10, 2))
    np.testing.assert_allclose(density(whole, x), density(Normal(jnp.zeros(2), jnp.eye(2)), x), rtol=1e-5)
    slopes = jax.jit(jax.grad(lambda mixture: density(mixture, x).sum()))(whole)
    assert all(np.isfinite(slope).all() for slope in jax.tree.leaves(slopes))


def test_categorical_frequencies_and_extinct_categories():
    n, k = 100_000, 60
    rng = np.random.default_rng(5)
    p = np.where(rng.random(k) < 0.5, 0.0, rng.random(k))
    p[-1] = 0.0
    p = (p / p.sum()).astype(np.float32)
    x = np.asarray(draws(CategoricalDistribution(jnp.asarray(p)), n))
    assert x.dtype == np.float32 and x.shape == (n, k)
    np.testing.assert_array_equal(x.sum(axis=1), 1.0)
    counts = x.sum(axis=0)
    assert (counts[p == 0] == 0).all()
    expected = n * p[p > 0].astype(float)
    assert scipy.stats.chisquare(counts[p > 0], expected * n / expected.sum()).pvalue > 1e-4


@pytest.mark.parametrize(
    ("temperature", "expected"), [(0.0, [0, 1, 0]), (0.5, [0.1, 0.9, 0]), (2.0, [0.366, 0.634, 0])]
)
def test_categorical_temperature(temperature, expected):
    n = 20_000
    frequency = draws(CategoricalDistribution(jnp.array([0.25, 0.75, 0.0]), temperature), n).mean(axis=0)
    np.testing.assert_allclose(frequency, expected, atol=5 * np.sqrt(0.25 / n))
    assert frequency[2] == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30), st.integers(1, 100))
def test_the_nucleus_is_the_fewest_largest_that_hold_the_mass(counts, percent):
    weights = np.array([*counts, 1], np.float32)
    chosen = np.asarray(nucleus(jnp.asarray(weights), percent / 100)) > 0
    mass, total = float(weights[chosen].sum()), float(weights.sum())
    assert mass >= percent / 100 * total * (1 - 1e-6)
    assert mass - weights[chosen].min() < percent / 100 * total * (1 + 1e-6)
    assert weights[chosen].min() >= weights[~chosen].max(initial=0)


def test_samples_come_from_the_nucleus_and_log_mass_from_all():
    p = np.array([0.1, 0.5, 0.05, 0.3, 0.05])
    cut = CategoricalDistribution(jnp.asarray(p), top_p=0.8)
    counts = np.asarray(cut.sample(jax.random.key(3), 4000)).sum(axis=0)
    assert counts[[0, 2, 4]].sum() == 0
    assert scipy.stats.chisquare(counts[[1, 3]], [2500, 1500]).pvalue > 1e-4
    np.testing.assert_allclose(cut.log_prob(jnp.eye(5)), np.log(p), rtol=1e-5)


def test_categorical_mass():
    categorical = CategoricalDistribution(jnp.array([0.25, 0.75, 0.0]))
    np.testing.assert_allclose(density(categorical, jnp.eye(3)), [np.log(0.25), np.log(0.75), -np.inf], rtol=1e-6)
    np.testing.assert_array_equal(parameters(categorical)["p"], [0.25, 0.75, 0.0])


@pytest.mark.parametrize("weights", [[0.0, 0.0], [jnp.nan, 1.0]])
def test_a_failed_fit_shows_in_its_samples(weights):
    for failed in (
        CategoricalDistribution(jnp.array(weights)),
        MixtureDistribution(jnp.array(weights), jnp.zeros((2, 1)), jnp.ones((2, 1))),
    ):
        assert np.isnan(draws(failed, 3)).all()


def test_all_of_them_run_inside_lanes(layout):
    """Traced parameters and temperatures, in a loop, on every device; each lane as if alone."""

    def lane(_, numbers):
        seed, temperature = numbers
        key = jax.random.key(seed)
        eye = temperature * jnp.eye(2)
        normal = Normal.from_covariance(jnp.zeros(2), eye, temperature)
        mixture = MixtureDistribution.from_covariances(jnp.ones(2), jnp.zeros((2, 2)), eye, temperature)
        categorical = CategoricalDistribution(jnp.array([0.25, 0.75]), temperature)
        one = jax.nn.one_hot(jnp.array([0, 1]), 2)
        return [(g.sample(key, 4), g.log_prob(x)) for g, x in ((normal, eye), (mixture, eye), (categorical, one))]

    program = lane_program(lane, layout)

    def run(seeds, temperatures):
        lanes = layout.put((np.asarray(seeds, np.uint32), np.asarray(temperatures, np.float32)))
        return program(len(seeds), (), lanes)

    together, alone = run([1, 2, 3], [0.5, 1.0, 2.0]), run([3], [2.0])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(together))
    equal = np.testing.assert_array_equal if layout.loop else np.testing.assert_allclose
    jax.tree.map(lambda a, b: equal(np.asarray(a)[2], np.asarray(b)[0]), together, alone)
