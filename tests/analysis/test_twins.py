"""Twin lanes: the measured contraction against rates that are known, and what exactly is moved."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.analysis import twins
from selfconsume.execution import resources
from selfconsume.families.categorical import Categorical
from selfconsume.families.gaussian import Gaussian
from selfconsume.families.otcfm import OTCFM
from selfconsume.loop.keys import keys_of
from selfconsume.loop.run import Run
from selfconsume.loop.step import step
from selfconsume.models.distributions.exact import Normal
from selfconsume.models.distributions.linear_model import LinearModel
from selfconsume.regimes.mix import Mix
from selfconsume.sources.categorical import Categorical as Categories
from selfconsume.sources.eight_gaussians import EightGaussians
from selfconsume.sources.gaussian import Gaussian as Source
from selfconsume.types import FitState

SEEDS = range(12)
SMALL = Run(Source(n=40), Gaussian(), Mix(0.5))


@pytest.fixture(scope="module")
def paths(layout):
    """Runs as lanes of one batch; blocks of the same length, so that they are one cohort."""
    runs = [Run(Source(n=1000), Gaussian(), Mix(ratio), n_synthetic=10_000) for ratio in (0.1, 1.0, 10.0, 0.0)]
    runs.append(dataclasses.replace(runs[1], family=Gaussian(temperature=2.0), regime=Mix(4.0)))
    return twins.follow(runs, twins.fit_generation_zero(runs, SEEDS, layout), SEEDS, 12, layout=layout)


@pytest.mark.parametrize(("i", "rate"), [(0, 0.090909), (1, 0.5), (2, 0.909091)])
def test_the_gaussian_rate_is_that_of_its_jacobian(paths, i, rate):
    for of in ("parameters", "distribution"):
        found = paths.rate(i, of)
        # The interval is of 95 %: a hundredth more on each side makes six tests hold together.
        assert found.low - 0.01 < rate < found.high + 0.01
        assert found.high - found.low < 0.1 and found.seeds == len(SEEDS) and found.diverged == 0
        assert found.is_stable and not found.is_unstable
    assert paths.space == "parameters"


def test_a_sampling_bias_can_amplify(paths):
    """Variance: v' = (1 + lambda tau v)/(1 + lambda), whose factor is 1.6 at tau = 2, lambda = 4."""
    found = paths.rate(4)
    assert found.low - 0.02 < 1.6 < found.high + 0.02 and found.is_unstable and not found.is_stable


def test_nothing_is_left_of_the_step_where_no_own_sample_is_used(paths):
    assert (paths.parameters[3, :, 0] > 0).all() and not paths.parameters[3, :, 1:].any()
    found = paths.rate(3)
    assert found.rate == found.low == 0.0 and 0 < found.high < 0.1 and found.is_stable


def test_twins_differ_by_the_step_alone(layout):
    """A step of size 0 changes no bit."""
    path = twins.measure(SMALL, [2, 3], 4, step=0.0, layout=layout)
    assert not path.parameters.any() and not path.distribution.any() and path.alive.all()


def test_lanes_beyond_the_memory_run_one_part_after_the_other(layout, monkeypatch):
    """And change no bit of the others."""
    whole = twins.measure(SMALL, range(4), 3, layout=layout)
    monkeypatch.setattr(resources, "LANE_BYTES", 1)
    parts, told = twins.fit_generation_zero([SMALL], range(4), layout), []
    split = twins.follow([SMALL], parts, range(4), 3, layout=layout, on_progress=told.append)
    for one, other in zip(whole, split, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(told) == 2 * 2 and told == sorted(told) and told[-1] == 1.0


def test_distances_are_those_of_the_loop_itself(layout):
    """The same two runs, step by step, by `step`."""
    run, seed = SMALL, 3
    path = twins.measure(run, [2, seed], 4, layout=layout)
    base, _ = step(run, None, seed)
    lane = jax.tree.map(lambda leaf: np.asarray(leaf)[None], base.fit)
    fit = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), twins.perturb(lane, [seed], twins.STEP))
    x = fit.generator.sample(keys_of(seed, 0).sample, run.block)
    other = base._replace(fit=fit, blocks=base.blocks._replace(examples=base.blocks.examples.at[0].set(x)))
    for t in range(4):
        first, second = (each.fit.generator.parameters() for each in (base, other))
        apart = np.sqrt(sum(float(jnp.sum((first[name] - second[name]) ** 2)) for name in first))
        np.testing.assert_allclose(path.parameters[0, 1, t], apart, rtol=2e-3, atol=3e-7)
        (base, _), (other, _) = (step(run, state, seed) for state in (base, other))


def test_categories_move_within_the_simplex(layout):
    path = twins.measure(Run(Categories(k=4, n=1000), Categorical(), Mix(1.0)), SEEDS, 4, step=0.2, layout=layout)
    assert (path.parameters[..., 0] > 0).all() and path.alive.all()
    # Few samples change their category, so that the single steps are noisy: the mean distance halves, roughly.
    assert 0.25 < path.parameters[..., 2].mean() / path.parameters[..., 1].mean() < 0.8


@pytest.mark.slow
def test_a_warm_neural_family_is_moved_in_what_is_trained(layout):
    family = dataclasses.replace(OTCFM.tiny(), carry_optimizer=True, ema=0.5)
    run = Run(EightGaussians.tiny(), family, Mix(0.5), start="warm")
    start = twins.fit_generation_zero([run], range(2), layout)
    moved = twins.perturb(start.fit, range(2), 0.01)
    for old, new in zip(jax.tree.leaves(start.fit.generator.net), jax.tree.leaves(moved.generator.net), strict=True):
        assert (np.abs(new - old) <= 0.06 * np.abs(old)).all()
    by = jax.tree.map(lambda new, old: new - old, moved.generator.net, start.fit.generator.net)
    raw = jax.tree.map(lambda new, old: new - old, moved.optimizer.net, start.fit.optimizer.net)
    for first, second in zip(jax.tree.leaves(by), jax.tree.leaves(raw), strict=True):
        np.testing.assert_allclose(first, second, atol=3e-7)
    for part in ("moments", "averaged"):
        old, new = (jax.tree.leaves(getattr(fit.optimizer, part)) for fit in (start.fit, moved))
        assert all(np.array_equal(a, b) for a, b in zip(old, new, strict=True))
    assert np.array_equal(moved.generator.scaling.scale, start.fit.generator.scaling.scale)
    assert np.array_equal(moved.generator.temperature, start.fit.generator.temperature)
    path = twins.follow([run], start, range(2), 3, step=0.01, layout=layout)
    assert path.space == "distribution" and (path.parameters > 0).all() and (path.distribution > 0).all()


def test_steps_are_relative_and_by_seed():
    fit = FitState(Normal(np.full((3, 2), 5.0), np.zeros((3, 2, 2)), np.ones(3)), None, 0, 0.0, None)
    moved = twins.perturb(fit, [0, 1, 0], 0.1).generator
    assert not np.array_equal(moved.mean[0], moved.mean[1]) and np.array_equal(moved.mean[0], moved.mean[2])
    assert not moved.factor.any() and (moved.temperature == 1).all()
    assert (np.abs(moved.mean - 5.0) > 0).all() and (np.abs(moved.mean - 5.0) < 5.0 * 0.1 * 5).all()


def test_what_is_not_fitted_stays():
    """The design of a regression is given."""
    model = LinearModel(np.ones((2, 3)), np.ones(2), np.ones((2, 5, 3)))
    moved = twins.perturb(FitState(model, None, 0, 0.0, None), [0, 1], 0.1).generator
    assert (moved.coefficients != 1).all() and (moved.sigma != 1).all() and (moved.inputs == 1).all()
