import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.families.categorical import Categorical
from selfconsume.families.gaussian import Gaussian
from selfconsume.families.kde import Kde
from selfconsume.families.mixture import Mixture
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.loop import generation, generation_zero, step
from selfconsume.loop.keys import Role, key_at, keys_of
from selfconsume.loop.run import Run
from selfconsume.models.checkpoints.pytrees import save_generator
from selfconsume.models.distributions.exact import Normal
from selfconsume.regimes.accumulate import Accumulate
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.real_only import RealOnly
from selfconsume.regimes.replace import Replace
from selfconsume.regimes.subsample import Subsample
from selfconsume.regimes.window import Window
from selfconsume.sources.digits import Digits
from selfconsume.sources.eight_gaussians import EightGaussians
from selfconsume.sources.gaussian import Gaussian as Source
from selfconsume.study.study import Study
from selfconsume.types import Family, FitState, Generator, Plan, Regime


class Weights(Generator):
    """No distribution anybody knows: samples are all equal, and there is no temperature."""

    mean: jax.Array

    def sample(self, key, n):
        return self.mean + 0.5 * jax.random.normal(key, (n, 1))


@dataclasses.dataclass(frozen=True)
class Half(Family):
    """Goes half of the way to the data's mean in each of two updates, and knows where its fit began."""

    @property
    def updates(self):
        return 2

    def init(self, key, shape):
        return Weights(jnp.zeros(shape))

    def begin(self, key, x, weight, start):
        generator = self.init(key, x.shape[1:]) if start is None else start.generator
        return FitState(generator, None, jnp.zeros((), jnp.int32), jnp.zeros(()), (x, weight))

    def advance(self, state, updates):
        x, weight = state.data
        target, mean = weight @ x / weight.sum(), state.generator.mean
        for _ in range(updates):
            mean = mean + (target - mean) / 2
        return dataclasses.replace(state, generator=Weights(mean), iteration=state.iteration + updates)


@pytest.mark.parametrize("start", ["cold", "warm", "first"])
def test_where_a_fit_starts(layout, start):
    """Two updates cover three quarters of the way from the start to the data's mean."""
    run = Run(Source(n=10, mean=4.0), Half(), Mix(1.0), start=start)
    records = list(LaneBatch([run] * 4, range(4), layout).generations([], 3))
    real = np.asarray(jax.vmap(lambda seed: run.source.train(key_at(seed, 0, Role.TRAIN)))(jnp.arange(4)))
    for t, record in enumerate(records):
        x = real if t == 0 else np.concatenate([real, records[t - 1].samples], axis=1)
        if t == 0 or start == "cold":
            begun = np.zeros((4, 1))
        else:
            begun = records[{"warm": t - 1, "first": 0}[start]].fit.generator.mean
        np.testing.assert_allclose(record.fit.generator.mean, begun + 0.75 * (x.mean(axis=1) - begun), rtol=1e-5)
        assert (record.fit.iteration == 2).all()


def test_the_map_keeps_its_first_and_its_last_fit():
    run = Run(Source(n=10), Half(), Replace(), start="first")
    first, start = step.step(run, None, 0)
    second, latest = step.step(run, first, 0)
    assert (second.t, int(latest.t)) == (1, 1)
    assert second.first is first.fit and second.fit is not first.fit
    np.testing.assert_array_equal(start.previous.mean, start.generator.mean)
    np.testing.assert_array_equal(latest.previous.mean, first.fit.generator.mean)
    np.testing.assert_array_equal(latest.generator.mean, second.fit.generator.mean)
    for t, again in enumerate(itertools.islice(step.retrain(run), 2)):
        assert int(again.t) == t
    np.testing.assert_array_equal(again.samples, latest.samples)


def test_the_map_is_differentiable():
    """d theta_1 / d theta_0 of a fully synthetic Gaussian mean is 1 with common random numbers, and 0 of real data only."""
    first, _ = step.step(Run(Source(n=10), Gaussian(), Replace()), None, 0)

    def moved(shift, regime):
        run = Run(Source(n=10), Gaussian(), regime)
        state, _ = step.step(
            run, first._replace(blocks=first.blocks._replace(examples=first.blocks.examples + shift)), 0
        )
        return state.fit.generator.mean[0]

    slopes = [float(jax.grad(moved)(0.0, regime)) for regime in (Replace(), Mix(1.0), RealOnly())]
    np.testing.assert_allclose(slopes, [1.0, 0.5, 0.0], atol=1e-6)


def test_samples_that_are_not_finite_are_zeroed_and_marked():
    class Broken(Generator):
        scale: jax.Array

        def sample(self, key, n):
            return self.scale * jnp.array([[1.0, 2.0], [jnp.nan, 1.0], [1.0, -jnp.inf], [3.0, 4.0]])

    key, alive = keys_of(0, 0), jnp.array(True)
    samples, valid, still = generation.sample_block(4, key, Broken(jnp.array(1.0)), alive)
    np.testing.assert_array_equal(samples, [[1, 2], [0, 0], [0, 0], [3, 4]])
    assert valid.tolist() == [True, False, False, True] and still
    # A run ends when its parameters are not finite, or when none of its samples is; and it never comes back.
    for scale in (jnp.nan, jnp.inf):
        samples, valid, still = generation.sample_block(4, key, Broken(jnp.array(scale)), alive)
        assert not still and not valid.any() and (samples == 0).all()
    assert not generation.sample_block(4, key, Broken(jnp.array(1.0)), jnp.array(False)).alive


def test_what_a_run_says_of_itself():
    run = Run(Source(n=10), Gaussian(), Mix(2.5))
    assert (run.sample_size, run.block) == (10, 25)
    assert dataclasses.replace(run, n_synthetic=40).block == 40
    assert run.plan(0) == Plan((10,), (1.0,))
    assert run.plan(3) == Plan((10, 25), (1.0, 1.0))
    assert run.pools_statistics
    assert not dataclasses.replace(run, regime=Subsample()).pools_statistics
    assert not dataclasses.replace(run, family=Kde()).pools_statistics


def test_slots_that_matter_do_not_depend_on_the_horizon():
    """Where rows are re-read, sums run over all slots: their number follows from the generation alone."""
    rows = Run(Source(n=10), Kde(), Accumulate())
    assert [rows.slots(t, until) for t in (1, 2, 3, 5) for until in (5, 100)] == [1, 1, 2, 2, 4, 4, 8, 8]
    assert dataclasses.replace(rows, regime=Window(size=3)).slots(50, 100) == 4
    assert dataclasses.replace(rows, family=Gaussian()).slots(1, 100) == 128
    assert dataclasses.replace(rows, regime=Subsample()).slots(1, 100) == 128


def test_the_noise_floor_is_made_of_data_that_nobody_has_seen():
    keys = keys_of(0, 0)
    fresh = generation.real_sample(Source(n=10), keys, 50, fresh=True)
    assert fresh.shape == (50, 1)
    digits = Digits(n=40, n_test=1700)  # 57 in reserve
    inside = generation.real_sample(digits, keys, 57, fresh=True)
    for rows in (digits.train(keys.train), digits.test(keys.train)):
        assert not (inside[:, None] == rows[None]).all(axis=2).any()
    larger = Digits(n=60, n_test=1700)  # 37 in reserve: only the training set is large enough
    np.testing.assert_array_equal(generation.real_sample(larger, keys, 58, fresh=False), larger.train(keys.train)[:58])


@pytest.mark.parametrize(
    ("n", "split", "trained", "expected"),
    [
        (37, "test", True, "fresh"),
        (58, "test", False, "train"),
        (58, "test", True, None),
        (61, "test", False, None),
        (37, "train", False, "fresh"),
        (58, "train", False, "test"),
        (1701, "train", False, None),
    ],
)
def test_a_floor_is_never_made_of_its_reference(n, split, trained, expected):
    """Nor of what its extractor was trained on. Of 1797 digits 1700 are the test set, 60 the training set, 37 left."""
    assert generation.floor_set(Digits(n=60, n_test=1700), n, split, trained=trained) == expected
    assert generation.floor_set(Source(n=10), n, split, trained=trained) == "fresh"


def test_generation_zero_may_be_the_truth_or_a_checkpoint(tmp_path):
    truth = generation_zero.initial_generator(
        Run(Source(dim=2, mean=3.0, std=2.0), Gaussian(temperature=0.5), Mix(), initial="truth")
    )
    np.testing.assert_array_equal(truth.mean, [3, 3])
    np.testing.assert_array_equal(truth.factor, 2 * np.eye(2))
    assert truth.temperature == 0.5  # the sampling bias is the family's, and biases generation 0 too
    path = tmp_path / "generator.safetensors"
    save_generator(path, Normal(jnp.full(2, 7.0), jnp.eye(2), 0.25))
    run = Run(Source(dim=2, n=10), Gaussian(), RealOnly(), initial=str(path))
    first = next(step.retrain(run))
    np.testing.assert_array_equal(first.generator.mean, [7, 7])
    assert abs(float(first.samples.mean()) - 7) < 0.5 * 4.5 / np.sqrt(20)
    modes = generation_zero.initial_generator(Run(EightGaussians(), Mixture(k=8), Mix(), initial="truth"))
    assert modes.means.shape == (8, 2)


@pytest.mark.parametrize(
    ("source", "family", "initial", "message"),
    [
        (EightGaussians(), Gaussian(), "truth", "needs a source whose distribution is a member of the family"),
        (EightGaussians(), Mixture(k=7), "truth", "has other sizes"),
        (Source(), Half(), "truth", "needs a source whose distribution is a member of the family"),
        (Source(), Kde(), "truth", "needs a source whose distribution is a member of the family"),
        (Digits(), Gaussian(), "truth", "needs a source whose distribution"),
        (Source(), Categorical(), "truth", "needs a source whose distribution is a member of the family"),
        (Source(), Gaussian(), "nowhere.safetensors", "no file 'nowhere.safetensors'"),
    ],
)
def test_generation_zero_must_belong_to_the_family(source, family, initial, message):
    with pytest.raises(ConfigError, match=message) as caught:
        generation_zero.initial_generator(Run(source, family, Mix(), initial=initial))
    assert str(caught.value).startswith("study.initial: ")


@pytest.mark.parametrize("family", [Gaussian(), Half()])
def test_the_structure_of_a_fit_is_known_without_fitting(layout, family):
    run = Run(Source(n=10), family, Mix())
    for record in LaneBatch([run] * 4, range(4), layout).generations([], 1):
        structure = generation_zero.fit_structure(run, record.t)
        assert jax.tree.structure(structure) == jax.tree.structure(record.fit)
        shapes = jax.tree.map(lambda a, b: a.shape == b.shape[1:] and a.dtype == b.dtype, structure, record.fit)
        assert all(jax.tree.leaves(shapes))


@dataclasses.dataclass(frozen=True)
class Planned(Regime):
    """Whatever plan it is given."""

    counts: tuple[int, ...]
    weight: tuple[float, ...]

    def plan(self, t, n_real, n_synthetic):
        return Plan(self.counts, self.weight)


def test_plans_that_cannot_be_are_refused_by_name():
    for regime, message in (
        (Planned((5, 5), (1.0,)), "2 counts and 1 weights; give one of each for every block"),
        (
            Planned((5, 5, 5), (1.0, 1.0, 1.0)),
            "2 synthetic blocks are used, but 1 are kept; raise lookback or use fewer",
        ),
    ):
        with pytest.raises(ConfigError, match=r"^regime Planned, plan of generation 2: " + message):
            Run(Source(n=5), Gaussian(), regime).plan(2)
    unused = Planned((5, 5, 0), (1.0, 1.0, 1.0))
    assert Run(Source(n=5), Gaussian(), unused).plan(2) == unused.plan(2, 5, 5)
    with pytest.raises(ConfigError, match="plan of generation 1: 2 counts and 1 weights"):
        Study(Source(n=5), Gaussian(), Planned((5, 5), (1.0,)))
