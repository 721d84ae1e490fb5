import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression as Reference
from sklearn.linear_model import Ridge

from selfconsume.errors import ConfigError
from selfconsume.families.linear_regression import LinearRegression
from selfconsume.loop.generation_zero import initial_generator
from selfconsume.loop.run import Run
from selfconsume.sources.gaussian import Gaussian
from selfconsume.sources.linear import Linear
from selfconsume.sources.two_moons import TwoMoons

SOURCE = Linear(dim=3, n=20, sigma=0.5)


def rows(seed=0, n=20):
    return SOURCE.draw(jax.random.key(seed), n, 0)


def fit(x, weight=None, **family):
    family = LinearRegression(**family)
    whole = jax.jit(lambda x, weight: family.solve(family.summarise(x, weight)))
    return whole(x, jnp.ones(len(x)) if weight is None else jnp.asarray(weight))


@pytest.mark.parametrize("ridge", [0.0, 2.0])
def test_it_is_weighted_least_squares(ridge):
    x, weight = rows(), np.random.default_rng(0).uniform(0.5, 2.0, 20)
    reference = Ridge(ridge, fit_intercept=False) if ridge else Reference(fit_intercept=False)
    expected = reference.fit(x[:, :-1], x[:, -1], sample_weight=weight).coef_
    np.testing.assert_allclose(fit(x, weight.astype(np.float32), ridge=ridge).coefficients, expected, rtol=1e-4)


def test_the_noise_is_estimated_from_residuals():
    x = rows()
    residual = x[:, -1] - x[:, :-1] @ fit(x).coefficients
    squares = float((residual**2).sum())
    assert fit(x, sigma="ml").sigma == pytest.approx(np.sqrt(squares / 20), rel=1e-3)
    assert fit(x, sigma="unbiased").sigma == pytest.approx(np.sqrt(squares / 17), rel=1e-3)
    assert fit(x, sigma=0.25).sigma == 0.25


@pytest.mark.parametrize("design", ["same", "fresh"])
def test_summaries_join_as_their_rows_do(design):
    family, x, y = LinearRegression(design=design, sigma="unbiased"), rows(), rows(1, 12)
    first, second = family.summarise(x, jnp.ones(20)), family.summarise(y, jnp.ones(12))
    joined = family.merge(first, second, jnp.asarray(2.0))
    both = family.summarise(jnp.concatenate([x, y]), jnp.concatenate([jnp.ones(20), jnp.full(12, 2.0)]))
    for name in ("weight", "squares", "gram", "moment", "labels"):
        np.testing.assert_allclose(getattr(joined, name), getattr(both, name), rtol=1e-5, atol=1e-5)
    # The first block's inputs are kept, and a block without weight changes no bit.
    np.testing.assert_array_equal(joined.inputs, first.inputs)
    unchanged = family.merge(first, second, jnp.zeros(()))
    jax.tree.map(np.testing.assert_array_equal, unchanged, first)


def test_the_same_design_is_labelled_again():
    x = rows()
    model = fit(x)
    again = model.sample(jax.random.key(1), 27)
    np.testing.assert_array_equal(again[:20, :3], x[:, :3])
    np.testing.assert_array_equal(again[20:, :3], x[:7, :3])
    assert not np.array_equal(again[:20, 3], x[:, 3])
    # Where the first block carries no weight, as the real one in fully synthetic training, the next one's inputs count.
    family, none = LinearRegression(), jax.tree.map(jnp.zeros_like, LinearRegression().summarise(x, jnp.ones(20)))
    joined = family.merge(
        family.merge(none, family.summarise(rows(3), jnp.ones(20)), 0.0 * none.weight),
        family.summarise(x, jnp.ones(20)),
        1 + none.weight,
    )
    np.testing.assert_array_equal(joined.inputs, x[:, :3])
    used = fit(x, (np.arange(20) % 2 == 0).astype(np.float32))
    np.testing.assert_array_equal(used.inputs[:10], x[::2, :3])


def test_a_fresh_design_is_standard_normal():
    z = fit(rows(), design="fresh").sample(jax.random.key(2), 4000)[:, :3]
    assert np.abs(z.mean(axis=0)).max() < 5 / np.sqrt(4000)
    np.testing.assert_allclose(np.cov(z.T), np.eye(3), atol=5 * np.sqrt(2 / 4000))


def test_too_few_rows_take_the_shortest_solution():
    x = rows(n=2)
    expected = np.linalg.pinv(np.asarray(x[:, :3])) @ np.asarray(x[:, 3])
    np.testing.assert_allclose(fit(x).coefficients, expected, rtol=1e-3)


def test_the_truth_is_a_member_where_the_design_is_fresh():
    truth = initial_generator(Run(SOURCE, LinearRegression(design="fresh", sigma=0.5), None, initial="truth"))
    np.testing.assert_allclose(truth.coefficients, np.full(3, 3**-0.5), rtol=1e-6)
    with pytest.raises(ConfigError, match="'truth' needs a source"):
        initial_generator(Run(SOURCE, LinearRegression(), None, initial="truth"))


@pytest.mark.parametrize(
    ("family", "source", "says"),
    [
        ({}, Gaussian(dim=1), "at least 2 numbers"),
        ({"design": "fresh"}, TwoMoons(), "'fresh' draws inputs from N"),
        ({"sigma": "unbiased"}, Linear(dim=10, n=10), "more rows than the 10 inputs, there are 10"),
    ],
)
def test_what_cannot_be_fitted_is_refused(family, source, says):
    LinearRegression().check(TwoMoons())
    with pytest.raises(ConfigError, match=says):
        LinearRegression(**family).check(source)
