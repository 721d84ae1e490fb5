"""A source of given real data, and generations of given samples."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.types import Generation, Generator, Source


@dataclasses.dataclass(frozen=True, eq=False)
class Given(Source):
    """Real data that is an array; `std` and `centres` describe its modes, where it has any."""

    x: np.ndarray
    centres: np.ndarray | None = None
    std: float | None = None

    @property
    def shape(self):
        return self.x.shape[1:]

    @property
    def size(self):
        return len(self.x)

    def train(self, key):
        return jnp.asarray(self.x)

    def test(self, key):
        return jnp.asarray(self.x)

    def draw(self, key, n, batch):
        return jnp.asarray(self.x[:n])

    def modes(self):
        return None if self.centres is None else jnp.asarray(self.centres)

    def mode_std(self):
        return self.std


class Silent(Generator):
    """A generator that samples nothing: metrics of samples must not ask it."""

    def sample(self, key, n):
        raise AssertionError("a metric of samples asked the generator")


def generation_of(samples, valid=None, generator=None, previous=None, on="lane"):
    """Generation 1 with these samples, on the side where a metric runs."""
    array = jnp.asarray if on == "lane" else np.asarray
    samples = array(samples)
    valid = array(np.ones(len(samples), bool) if valid is None else valid)
    return Generation(array(1), generator or Silent(), previous or Silent(), samples, valid)


@functools.partial(jax.jit, static_argnums=0)
def prepare_in_lane(metric, real, centres, std, seed):
    """The data are arguments, as in a lane: one compilation for each configuration and shape."""
    return metric.prepare(jax.random.key(seed), Given(real, centres, std))


@functools.partial(jax.jit, static_argnums=0)
def call_in_lane(metric, samples, valid, prepared, seed):
    return metric(jax.random.key(seed), generation_of(samples, valid), prepared)


def measure(metric, real, samples, valid=None, seed=0, centres=None, std=None):
    """The values of a metric as floats: prepared and called as in a lane or on the host."""
    real, samples = np.asarray(real), np.asarray(samples)
    valid = np.ones(len(samples), bool) if valid is None else valid
    if metric.runs_on == "host":
        key = jax.random.key(seed)
        values = metric(key, generation_of(samples, valid, on="host"), metric.prepare(key, Given(real, centres, std)))
    else:
        prepared = prepare_in_lane(metric, jnp.asarray(real), centres, std, seed)
        values = call_in_lane(metric, jnp.asarray(samples), jnp.asarray(valid), prepared, seed)
    return {name: float(value) for name, value in values.items()}


@pytest.fixture(name="measure", scope="session")
def _measure():
    return measure


@pytest.fixture(name="generation_of", scope="session")
def _generation_of():
    return generation_of


@pytest.fixture(name="given", scope="session")
def _given():
    return Given
