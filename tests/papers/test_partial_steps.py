"""A warm start that goes only part of the way: a short step alone looks like stability."""

import dataclasses
from typing import Annotated

import jax.numpy as jnp
import numpy as np

from selfconsume.loop.run import Run
from selfconsume.models.distributions.exact import Normal
from selfconsume.regimes.replace import Replace
from selfconsume.sources.gaussian import Gaussian as Source
from selfconsume.theory.closed_forms.mean_error import replace_factor
from selfconsume.types import Family, FitState, Number


@dataclasses.dataclass(frozen=True)
class Location(Family):
    """A Gaussian of variance 1 whose mean goes a part of the way from where it started to the data's mean."""

    step: Annotated[float, Number] = 1.0

    def init(self, key, shape):
        return Normal(jnp.zeros(shape), jnp.eye(*shape))

    def begin(self, key, x, weight, start):
        mean = weight @ x / weight.sum() if start is None else start.generator.mean
        return FitState(Normal(mean, jnp.eye(x.shape[1])), None, jnp.zeros((), jnp.int32), jnp.zeros(()), (x, weight))

    def advance(self, state, updates):
        x, weight = state.data
        mean = state.generator.mean
        new = Normal(mean + self.step * (weight @ x / weight.sum() - mean), state.generator.factor)
        return dataclasses.replace(state, generator=new, iteration=state.iteration + updates)


def test_the_error_of_a_partial_step_grows_by_its_square(records, agrees):
    """Fully synthetic with a step s of the way to each new estimate: n MSE = 1 + s^2 t, generation 0 being the full fit."""
    n, until, steps = 10, 8, (1.0, 0.5, 0.1)
    runs = [Run(Source(n=n), Location(step), Replace(), start="warm") for step in steps]
    square = np.stack([record.fit.generator.mean[:, 0] ** 2 * n for record in records(runs, until, 18_000)])
    for i, step in enumerate(steps):
        agrees(square[:, i * 6000 : (i + 1) * 6000], 1 + step**2 * np.arange(until + 1))
    np.testing.assert_allclose(replace_factor(np.arange(3), step=0.5), [1.0, 1.25, 1.5])
