import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.metrics.parameters import Nonfinite, Parameters, Update
from selfconsume.types import Family, FitState, Generator


class Mixture(Generator):
    mean: jax.Array
    covariance: jax.Array
    rate: jax.Array
    steps: jax.Array
    named: bool = True

    def sample(self, key, n):
        return jnp.zeros((n, 2))

    def parameters(self):
        return {"mean": self.mean, "covariance": self.covariance, "rate": self.rate} if self.named else {}


@dataclasses.dataclass(frozen=True)
class Fits(Family):
    named: bool = True

    def init(self, key, shape):
        return dataclasses.replace(generator(jax.random.normal(key)), named=self.named)

    def begin(self, key, x, weight, start):
        return FitState(self.init(key, x.shape[1:]), None, jnp.zeros((), int), jnp.zeros(()), None)

    def advance(self, state, updates):
        return state


@dataclasses.dataclass(frozen=True)
class Grows(Fits):
    parametric = False


def generator(offset=0.0, step=0):
    covariance = jnp.array([[[4.0, 1.0], [1.0, 3.0]], [[9.0, 2.0], [2.0, 8.0]]]) + offset
    return Mixture(
        jnp.array([[1.0, 2.0], [3.0, 4.0]]) + offset, covariance, jnp.asarray(0.5) + offset, jnp.asarray(step)
    )


def test_one_key_for_each_distinct_entry(generation_of):
    values = Parameters()(jax.random.key(0), generation_of(np.zeros((3, 2)), generator=generator()), None)
    assert {key: float(value) for key, value in values.items()} == {
        "mean.0.0": 1,
        "mean.0.1": 2,
        "mean.1.0": 3,
        "mean.1.1": 4,
        "covariance.0.0.0": 4,
        "covariance.0.0.1": 1,
        "covariance.0.1.1": 3,
        "covariance.1.0.0": 9,
        "covariance.1.0.1": 2,
        "covariance.1.1.1": 8,
        "rate": 0.5,
    }


def test_parameters_need_few_dimensions_and_names(given):
    Parameters().check(given(np.zeros((4, 2, 5))), Fits())
    with pytest.raises(ConfigError, match=r"metrics\.parameters: expected examples of at most 10 numbers, got 12"):
        Parameters().check(given(np.zeros((4, 3, 4))), Fits())
    with pytest.raises(ConfigError, match=r"metrics\.parameters: expected a family with named parameters, got Fits"):
        Parameters().check(given(np.zeros((4, 2))), Fits(named=False))


def test_size_of_an_update(generation_of):
    old, new = generator(), generator(0.25, step=7)
    values = Update()(jax.random.key(0), generation_of(np.zeros((3, 2)), generator=new, previous=old), None)
    numbers = np.concatenate([np.ravel(x) for x in (old.mean, old.covariance, old.rate)])
    # 13 floating-point numbers moved by 1/4; the integer counter does not count.
    assert float(values["update"]) == pytest.approx(0.25 * np.sqrt(13), rel=1e-6)
    assert float(values["update.relative"]) == pytest.approx(0.25 * np.sqrt(13) / np.linalg.norm(numbers), rel=1e-6)


def test_no_update_is_zero_and_a_start_from_zero_is_one(generation_of):
    here, zero = generator(), jax.tree.map(jnp.zeros_like, generator())

    def both(generator, previous):
        values = Update()(
            jax.random.key(0), generation_of(np.zeros((3, 2)), generator=generator, previous=previous), None
        )
        return [float(x) for x in values.values()]

    assert both(here, here) == [0, 0]
    assert both(zero, zero) == [0, 0]
    assert both(here, zero)[1] == 1


def test_updates_need_parametric_families(given):
    Update().check(given(np.zeros((4, 2))), Fits())
    with pytest.raises(ConfigError, match=r"metrics\.update: expected a parametric family, got Grows"):
        Update().check(given(np.zeros((4, 2))), Grows())


def test_share_of_samples_that_are_not_numbers(measure):
    x = np.zeros((8, 2))
    assert measure(Nonfinite(), x, x)["nonfinite"] == 0
    assert measure(Nonfinite(), x, x, np.arange(8) > 1)["nonfinite"] == 0.25
    assert measure(Nonfinite(), x, x, np.zeros(8, bool))["nonfinite"] == 1
