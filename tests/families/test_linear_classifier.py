import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.families.linear_classifier import LinearClassifier
from selfconsume.sources.linear import HalfSpace, Linear
from selfconsume.sources.two_moons import TwoMoons

SOURCE = HalfSpace(dim=3, n=40, flip=0.1)


def fit(x, weight=None, **family):
    family = LinearClassifier(**family)
    return family.solve(family.summarise(x, jnp.ones(len(x)) if weight is None else jnp.asarray(weight, jnp.float32)))


@pytest.mark.parametrize("ridge", [0.0, 2.0])
def test_it_is_weighted_least_squares_on_the_labels(ridge):
    x, weight = np.asarray(SOURCE.train(jax.random.key(0)), np.float64), np.random.default_rng(0).uniform(0.5, 2.0, 40)
    inputs, y = x[:, :-1], x[:, -1]
    expected = np.linalg.solve((inputs.T * weight) @ inputs + ridge * np.eye(3), (inputs.T * weight) @ y)
    found = fit(jnp.asarray(x, jnp.float32), weight, ridge=ridge)
    np.testing.assert_allclose(found.coefficients, expected, rtol=1e-4, atol=1e-5)


def test_summaries_join_as_their_rows_do():
    family, x, y = LinearClassifier(), SOURCE.train(jax.random.key(0)), SOURCE.train(jax.random.key(1))
    joined = family.merge(family.summarise(x, jnp.ones(40)), family.summarise(y, jnp.ones(40)), jnp.asarray(2.0))
    together = family.summarise(jnp.concatenate([x, y]), jnp.repeat(jnp.array([1.0, 2.0]), 40))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), joined, together)


def test_samples_have_labels_of_the_half_space_with_a_share_flipped():
    n, flip = 20_000, 0.3
    generator = fit(SOURCE.train(jax.random.key(0)), flip=flip)
    x = np.asarray(generator.sample(jax.random.key(1), n))
    assert set(np.unique(x[:, -1])) == {-1.0, 1.0}
    is_wrong = x[:, -1] != np.where(x[:, :-1] @ np.asarray(generator.coefficients) >= 0, 1, -1)
    error = np.sqrt(flip * (1 - flip) / n)
    assert abs(is_wrong.mean() - flip) < 4.5 * error
    assert abs(np.corrcoef(is_wrong, x[:, 0])[0, 1]) < 4.5 / np.sqrt(n)
    np.testing.assert_allclose(generator.log_prob(x), np.log(np.where(is_wrong, flip, 1 - flip)), rtol=1e-6)
    assert generator.log_prob(jnp.array([[0.0, 0.0, 0.0, 0.5]])) == -jnp.inf


def test_a_failed_fit_is_visible_in_the_samples():
    generator = fit(SOURCE.train(jax.random.key(0)).at[0, 0].set(jnp.nan))
    assert not np.isfinite(generator.sample(jax.random.key(1), 5)[:, -1]).any()


def test_only_standard_inputs_will_do():
    LinearClassifier().check(HalfSpace())
    LinearClassifier().check(Linear())
    with pytest.raises(ConfigError, match="'linear_classifier' draws inputs"):
        LinearClassifier().check(TwoMoons())
