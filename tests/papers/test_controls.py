"""What must not change anything: no synthetic data is real data only, and fully synthetic forgets the real set."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.families.gaussian import Gaussian
from selfconsume.families.kde import Kde
from selfconsume.loop.run import Run
from selfconsume.models.checkpoints.pytrees import save_generator
from selfconsume.models.distributions.exact import Normal
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.real_only import RealOnly
from selfconsume.regimes.replace import Replace
from selfconsume.sources.gaussian import Gaussian as Source
from selfconsume.types import Family, FitState, Generator


@pytest.mark.parametrize("family", [Gaussian(), Kde(bandwidth=0.5)], ids=["summaries", "rows"])
def test_ratio_zero_is_refitting_the_real_data(records, family):
    """To the last bit, lane by lane, and a closed form refitted to the same data gives the same model for ever."""
    lanes = 2
    for record in records([Run(Source(n=10), family, regime) for regime in (Mix(0.0), RealOnly())], 3, 2 * lanes):
        np.testing.assert_array_equal(record.samples[:lanes], record.samples[lanes:])
        if isinstance(family, Gaussian):
            first = record.fit.generator if record.t == 0 else first
            jax.tree.map(np.testing.assert_array_equal, record.fit.generator, first)


def test_fully_synthetic_training_ignores_the_real_data(curves, tmp_path):
    """From the same generation 0, real sets that have nothing in common lead to the same runs, to the last bit."""
    path = tmp_path / "start.safetensors"
    save_generator(path, Normal(jnp.zeros(1), jnp.ones((1, 1))))
    runs = [Run(Source(n=10, mean=mean), Gaussian(), Replace(), initial=str(path)) for mean in (0.0, 100.0)]
    for values in curves(runs, 5, 12).values():
        np.testing.assert_array_equal(values[0], values[1])
    # From a fit to the real data it is the other way round: the sets differ, so generation 0 does.
    values = curves([dataclasses.replace(run, initial="fit") for run in runs], 5, 12)["mean.0"]
    assert (values[1] - values[0] > 90).all()


class Count(Generator):
    """What a generation was trained on: how many examples, of which total weight."""

    examples: jax.Array
    weight: jax.Array

    def sample(self, key, n):
        return jax.random.normal(key, (n, 1))


@dataclasses.dataclass(frozen=True)
class Counting(Family):
    """Counts its training data."""

    def init(self, key, shape):
        return Count(jnp.zeros((), jnp.int32), jnp.zeros(()))

    def begin(self, key, x, weight, start):
        return FitState(self.init(key, x.shape[1:]), None, jnp.zeros((), jnp.int32), jnp.zeros(()), (x, weight))

    def advance(self, state, updates):
        _, weight = state.data
        generator = Count((weight > 0).sum(dtype=jnp.int32), weight.sum())
        return eqx.tree_at(lambda s: (s.generator, s.iteration), state, (generator, state.iteration + updates))


def test_fifty_thousand_examples_at_ratio_one_half_are_seventy_five_thousand(records):
    """The experiment of Bertrand et al. 2024 on CIFAR-10: all n real examples and floor(n / 2) of the samples."""
    generators = [record.fit.generator for record in records([Run(Source(n=50_000), Counting(), Mix(0.5))], 2, 1)]
    assert [each.examples.tolist() for each in generators] == [[50_000], [75_000], [75_000]]
    assert [each.weight.tolist() for each in generators] == [[50_000.0], [75_000.0], [75_000.0]]
