import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from selfconsume.errors import ConfigError
from selfconsume.metrics.log_likelihood import LogLikelihood
from selfconsume.types import Density, Family, FitState, Generator


class Normal(Density):
    mean: jax.Array
    scale: jax.Array

    def sample(self, key, n):
        return self.mean + self.scale * jax.random.normal(key, (n, 1))

    def log_prob(self, x):
        return jax.scipy.stats.norm.logpdf(x[:, 0], self.mean, self.scale)


class Implicit(Generator):
    mean: jax.Array

    def sample(self, key, n):
        return self.mean + jax.random.normal(key, (n, 1))


@dataclasses.dataclass(frozen=True)
class Fits(Family):
    kind: type

    def init(self, key, shape):
        return Normal(jnp.zeros(shape[0]), jnp.ones(())) if self.kind is Normal else Implicit(jnp.zeros(shape[0]))

    def begin(self, key, x, weight, start):
        return FitState(self.init(key, x.shape[1:]), None, jnp.zeros((), int), jnp.zeros(()), None)

    def advance(self, state, updates):
        return state


def value(generation_of, given, generator, test, **fields):
    metric, key = LogLikelihood(**fields), jax.random.key(0)
    prepared = metric.prepare(key, given(np.asarray(test, np.float32)))
    values = metric(key, generation_of(np.zeros((3, 1)), generator=generator), prepared)
    return float(values["log_likelihood"]), float(values["log_likelihood.clipped"])


def test_mean_of_the_log_density(generation_of, given):
    test = np.random.default_rng(0).normal(size=(50, 1))
    mean, clipped = value(generation_of, given, Normal(jnp.asarray(0.3), jnp.asarray(2.0)), test)
    assert mean == pytest.approx(scipy.stats.norm.logpdf(test, 0.3, 2).mean(), rel=1e-5)
    assert clipped == 0


@pytest.mark.parametrize("scale", [0.0, np.nan])
def test_a_point_mass_is_cut(generation_of, given, scale):
    """Scale 0 gives -inf off the mean and nan on it; an undefined model gives nan everywhere."""
    mean, clipped = value(
        generation_of, given, Normal(jnp.asarray(1.0), jnp.asarray(scale)), [[0.0], [1.0]], limit=100.0
    )
    assert (mean, clipped) == (-100, 1)


def test_only_what_is_beyond_the_limit_is_cut(generation_of, given):
    near = float(scipy.stats.norm.logpdf(1))
    mean, clipped = value(generation_of, given, Normal(jnp.zeros(()), jnp.ones(())), [[1.0], [1e4]], limit=1000.0)
    assert mean == pytest.approx((near - 1000) / 2)
    assert clipped == 0.5
    # A spike on the test point has a log-density above the limit.
    mean, clipped = value(generation_of, given, Normal(jnp.zeros(()), jnp.asarray(1e-10)), [[0.0]], limit=10.0)
    assert (mean, clipped) == (10, 1)


def test_families_without_a_density_are_refused(given):
    with pytest.raises(ConfigError, match=r"metrics\.log_likelihood: .* got Fits; remove"):
        LogLikelihood().check(given(np.zeros((4, 1))), Fits(Implicit))
    LogLikelihood().check(given(np.zeros((4, 1))), Fits(Normal))
