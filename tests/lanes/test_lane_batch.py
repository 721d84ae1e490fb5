import dataclasses
import itertools
import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.families.gaussian import Gaussian
from selfconsume.families.kde import Kde
from selfconsume.lanes.cohorts import cohort_of
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.loop import step
from selfconsume.loop.keys import Role, key_at
from selfconsume.loop.run import Run
from selfconsume.metrics import FLOOR
from selfconsume.metrics.kernel import EnergyDistance
from selfconsume.metrics.metric_key import metric_key
from selfconsume.metrics.moments import Moments
from selfconsume.metrics.parameters import Parameters, Update
from selfconsume.regimes.accumulate import Accumulate
from selfconsume.regimes.fresh import Fresh
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.real_only import RealOnly
from selfconsume.regimes.replace import Replace
from selfconsume.regimes.subsample import Subsample
from selfconsume.regimes.window import Window
from selfconsume.sources.gaussian import Gaussian as Normal
from selfconsume.types import Family, FitState, Generator


def same(first, second):
    """To the last bit, nan in the same places."""
    jax.tree.map(np.testing.assert_array_equal, first, second)


def results(record, lanes=slice(None)):
    """Everything a record holds but the time it took."""
    arrays = (record.samples, record.valid, record.alive, record.fit, record.values)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[lanes], arrays)


def run_all(layout, runs, seeds, until, metrics=()):
    return list(LaneBatch(runs, seeds, layout).generations(metrics, until))


class Leaky(Generator):
    """A generator whose every fourth sample is not a number."""

    exact: Generator

    def sample(self, key, n):
        x = self.exact.sample(key, n)
        return jnp.where((jnp.arange(n) % 4 == 1)[:, None], jnp.nan, x)

    def parameters(self):
        return self.exact.parameters()


@dataclasses.dataclass(frozen=True)
class Summaries(Gaussian):
    """A leaky Gaussian, fitted from summaries of blocks."""

    def _normal(self, mean, covariance):
        return Leaky(super()._normal(mean, covariance))


@dataclasses.dataclass(frozen=True)
class Rows(Family):
    """The same, fitted to the rows of the pool."""

    def init(self, key, shape):
        return Summaries().init(key, shape)

    def begin(self, key, x, weight, start):
        return FitState(self.init(key, x.shape[1:]), None, jnp.zeros((), jnp.int32), jnp.zeros(()), (x, weight))

    def advance(self, state, updates):
        generator = Summaries().solve(Summaries().summarise(*state.data))
        return dataclasses.replace(state, generator=generator, iteration=state.iteration + updates)


SEEDS, N = (3, 4294967295), 8
# Lanes are equally many, and so are the slots up to the last generation, so that cohorts share programs.
COHORTS = {
    "latest": ([RealOnly(), Replace(), Replace(real=0.5), Mix(0.5), Mix((0.0, 1.0, 0.375), weight=0.25), Mix(1.0)], 4),
    "fresh": ([Fresh(), Fresh(n_synthetic=(2, 5)), *[Fresh(weight=w) for w in (0.0, 0.25, 1.0, "golden")]], 4),
    "accumulate": ([Accumulate(), Accumulate(real=False)] * 3, 4),
    "window": ([Window(size=3), Window(size=4), Window(size=4, real=False)] * 2, 7),
}


@pytest.mark.parametrize("family", [Summaries(), Rows()], ids=["summaries", "rows"])
@pytest.mark.parametrize("cohort", COHORTS)
def test_every_generation_is_the_fit_that_its_plan_describes(layout, cohort, family):
    """Each fit, recomputed in float64 from the real rows and the stored samples of the generations before.

    A quarter of all samples is not finite: they are never counted, so that a plan reaches further into a block instead.
    """
    regimes, until = COHORTS[cohort]
    runs = [Run(Normal(n=N), family, regime) for regime in regimes]
    assert len({cohort_of(run) for run in runs}) == 1
    lanes = [(run, seed) for run in runs for seed in SEEDS]
    records = run_all(layout, *zip(*lanes, strict=True), until)
    for lane, (run, seed) in enumerate(lanes):
        real = np.asarray(run.source.train(key_at(seed, 0, Role.TRAIN)), np.float64)
        for t, record in enumerate(records):
            plan = run.plan(t)
            if plan.fresh:
                fresh = run.source.draw(key_at(seed, 0, Role.FRESH), run.regime.real(N), t - 1)
            blocks = [np.asarray(fresh, np.float64) if plan.fresh else real]
            blocks += [old.samples[lane][old.valid[lane]] for old in records[:t][::-1]]
            parts = [block[:use] for block, use in zip(blocks, plan.counts, strict=False)]
            x = np.concatenate(parts)[:, 0]
            w = np.concatenate([np.full(len(p), weight) for p, weight in zip(parts, plan.weight, strict=False)])
            mean = np.average(x, weights=w)
            normal = record.fit.generator.exact
            np.testing.assert_allclose(normal.mean[lane], [mean], atol=3e-6)
            np.testing.assert_allclose(normal.factor[lane, 0] ** 2, np.average((x - mean) ** 2, weights=w), rtol=2e-5)
            assert record.valid[lane].tolist() == [row % 4 != 1 for row in range(N)]
            assert (record.samples[lane][~record.valid[lane]] == 0).all()
    # Regimes of one seed share their randomness: generation 0 is the same for all of them.
    for lane in range(len(SEEDS), len(lanes)):
        same(results(records[0], lane), results(records[0], lane % len(SEEDS)))


RUN = Run(Normal(n=10), Gaussian(), Mix(0.5))
METRICS = [Moments(), Update()]


@pytest.fixture(scope="module")
def twelve(layout):
    return run_all(layout, [RUN] * 12, range(12), 2, METRICS)


@pytest.mark.parametrize("lanes", [1, 2, 3, 5])
def test_the_number_of_lanes_changes_no_bit(layout, twelve, lanes):
    for record, expected in zip(run_all(layout, [RUN] * lanes, range(lanes), 2, METRICS), twelve, strict=True):
        same(results(record), results(expected, slice(lanes)))


def test_other_metrics_and_the_order_of_lanes_change_no_bit(layout, twelve):
    seeds = [11, 4, 7, 0, 1, 2, 3, 5, 6, 8, 9, 10]
    metrics = [Parameters(), EnergyDistance(), *METRICS]
    for record, expected in zip(run_all(layout, [RUN] * 12, seeds, 2, metrics), twelve, strict=True):
        got, reference = results(record), results(expected, seeds)
        same(got[:-1], reference[:-1])
        for metric in METRICS:
            same(got[-1][metric_key(metric)], reference[-1][metric_key(metric)])


def test_vectorised_lanes_agree_to_float_tolerance(layout, twelve):
    """As on accelerators, where sums are taken in another order."""
    vectorised = run_all(DeviceLayout(layout.devices, loop=False), [RUN] * 12, range(12), 2, [Update()])
    for record, expected in zip(vectorised, twelve, strict=True):
        only = {metric_key(Update()): expected.values[metric_key(Update())]}
        got, reference = results(record), results(expected._replace(values=only))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), got, reference)


def test_the_number_of_devices_changes_no_bit():
    """Two and four virtual devices, in one process that has four."""
    script = """
        import jax, numpy as np
        from selfconsume.start_jax import start_jax
        start_jax()
        from selfconsume.lanes.lane_batch import LaneBatch
        from selfconsume.families.gaussian import Gaussian
        from selfconsume.lanes.layout import DeviceLayout
        from selfconsume.loop.run import Run
        from selfconsume.regimes.mix import Mix
        from selfconsume.sources.gaussian import Gaussian as Normal
        assert len(jax.devices()) == 4
        run = Run(Normal(n=10), Gaussian(), Mix(0.5))
        for devices in (2, 4):
            layout = DeviceLayout(tuple(jax.devices()[:devices]), loop=True)
            for record in LaneBatch([run] * 5, range(5), layout).generations([], 2):
                last = record
            leaves = jax.tree.leaves((last.samples, last.fit))
            print(b"".join(np.asarray(leaf).tobytes() for leaf in leaves).hex())
        """
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "4", "PJRT_NPROC": "5"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, capture_output=True, text=True, timeout=300
    )
    lines = done.stdout.split()
    assert len(lines) == 2, done.stderr
    assert lines[0] == lines[1]
    assert len(set(lines[0])) > 8  # numbers, not zeros


@pytest.mark.parametrize("family", [Gaussian(), Kde(bandwidth=0.5)], ids=["summaries", "rows"])
def test_a_lane_that_diverges_leaves_the_others_alone(layout, family):
    """One lane's noise is not a number, another's numbers overflow when they are squared; both are marked from then on."""
    healthy = Run(Normal(n=10), family, Mix(1.0))
    nan = dataclasses.replace(healthy, family=dataclasses.replace(family, temperature=float("nan")))
    huge = dataclasses.replace(healthy, source=Normal(n=10, std=float("inf")))
    good = run_all(layout, [healthy] * 4, range(4), 2, [Moments()])
    bad = run_all(layout, [healthy, nan, huge, healthy], range(4), 2, [Moments()])
    for record, expected in zip(bad, good, strict=True):
        same(results(record, [0, 3]), results(expected, [0, 3]))
        assert record.alive.tolist() == [True, False, False, True]
        for name, value in record.values[metric_key(Moments())].items():
            # A noise floor needs no model, so that only the lane without finite data has none.
            assert np.isnan(value).tolist() == [False, not name.endswith(FLOOR), True, False]
        assert not record.valid[1].any() and (record.samples[1] == 0).all()


@pytest.mark.parametrize(("family", "regime"), [(Gaussian(), Accumulate()), (Kde(bandwidth=0.5), Subsample())])
def test_a_longer_horizon_changes_no_bit(layout, family, regime):
    """Two generations, and the first two of nine, for which other numbers of slots are compiled."""
    run = Run(Normal(n=10), family, regime)
    assert run.slots(1, 2) != run.slots(1, 9)
    short, long = (run_all(layout, [run] * 4, range(4), until) for until in (2, 9))
    for record, expected in zip(short, long, strict=False):
        same(results(record), results(expected))


@pytest.mark.parametrize(
    "run",
    [
        Run(Normal(n=10), Kde(bandwidth=0.5), Subsample()),
        Run(Normal(n=10), Gaussian(), Fresh(n_real=4, weight="golden"), initial="truth", n_synthetic=7),
    ],
    ids=["rows", "summaries"],
)
def test_the_map_alone_agrees_with_the_batch(layout, run):
    """`step` runs the same functions in another program, and where the batch merges summaries it sums rows."""
    generations = jax.jit(lambda seed: list(itertools.islice(step.retrain(run, seed=seed), 3)))(np.uint32(2))
    for single, record in zip(generations, run_all(layout, [run] * 4, range(4), 2), strict=True):
        assert single.t == record.t
        np.testing.assert_allclose(single.samples, record.samples[2, : run.sample_size], rtol=1e-4, atol=1e-5)
        assert single.samples.shape == (run.sample_size, 1)


def test_samples_can_be_drawn_again_from_the_generators(layout, twelve):
    batch = LaneBatch([RUN] * 12, range(12), layout)
    for record in twelve:
        same(batch.resample(record.t, record.fit.generator), (record.samples, record.valid))


def test_runs_that_compile_differently_are_of_different_cohorts():
    base = Run(Normal(n=10), Gaussian(), Mix(0.5))
    same_cohort = [
        dataclasses.replace(base, regime=Mix(0.7, weight=2.0)),
        dataclasses.replace(base, regime=Replace(real=0.3)),
        dataclasses.replace(base, source=Normal(n=10, std=2.0)),
        dataclasses.replace(base, family=Gaussian(temperature=0.5)),
    ]
    differing = [
        dataclasses.replace(base, regime=Mix(2.0)),
        dataclasses.replace(base, regime=Fresh()),
        dataclasses.replace(base, regime=Subsample()),
        dataclasses.replace(base, regime=Accumulate()),
        dataclasses.replace(base, source=Normal(n=11)),
        dataclasses.replace(base, family=Gaussian(estimator="unbiased")),
        dataclasses.replace(base, start="warm"),
        dataclasses.replace(base, initial="truth"),
        dataclasses.replace(base, n_synthetic=9),
    ]
    assert {cohort_of(run) for run in same_cohort} == {cohort_of(base)}
    assert len({cohort_of(run) for run in differing} | {cohort_of(base)}) == len(differing) + 1


def test_eager_numbers_are_the_lanes_numbers(layout):
    """Keys made on the host, where seeds are Python integers, are those made in a lane, for every possible seed."""
    batch = LaneBatch([Run(Normal(n=10), Gaussian(), RealOnly())] * 4, [0, 1, 2**31, 2**32 - 1], layout)
    rows = np.asarray(batch.inputs.real.lane["real"])
    for lane, seed in enumerate(batch.inputs.seeds):
        np.testing.assert_allclose(rows[lane], Normal(n=10).train(key_at(seed, 0, Role.TRAIN)), rtol=1e-6)
    assert len(np.unique(rows[:, 0])) == 4
