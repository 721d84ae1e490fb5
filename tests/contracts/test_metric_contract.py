"""What holds for every metric, measured by the batch as in a study."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume import registry
from selfconsume.families.gaussian import Gaussian
from selfconsume.families.ngram import Ngram
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.loop.run import Run
from selfconsume.metrics.metric_key import better_of, metric_key
from selfconsume.metrics.parameters import Update
from selfconsume.models.distributions.exact import Normal
from selfconsume.models.distributions.independent_tokens import IndependentTokens
from selfconsume.regimes.real_only import RealOnly
from selfconsume.sources.gaussian_mixture import GaussianMixture
from selfconsume.sources.text.zipf import Zipf
from selfconsume.types import Generation

SOURCE = GaussianMixture(k=2, n=40, n_test=40)
TEXT = Zipf(words=6, length=8, n=40, n_test=40)
N = SOURCE.n
KINDS = registry.kinds("metric")


def lanes(takes="numbers"):
    """Generations by name: samples, which of them are valid, and the generator they are said to come from."""
    return documents() if takes == "sequences" else vectors()


def documents():
    """Documents of words, whose last word is never written by the broken model."""
    truth = TEXT.truth()
    good = np.asarray(truth.sample(jax.random.key(3), N))
    off = IndependentTokens(jnp.array([0.0, 0.0, 0.0, 0.5, 0.5, 1e-9]), TEXT.length)
    one = IndependentTokens(jnp.zeros(6).at[5].set(1.0), TEXT.length)
    bad = np.asarray(off.sample(jax.random.key(5), N))
    return rows(good, bad, truth, off, one, one, far=5, other=4)


def vectors():
    truth = SOURCE.truth()
    good = np.asarray(truth.sample(jax.random.key(3), N))
    covariance = np.cov(np.asarray(truth.sample(jax.random.key(4), 5000)).T)
    fit = Normal.from_covariance(jnp.zeros(2), jnp.asarray(covariance, jnp.float32))
    off = Normal(jnp.array([30.0, 20.0]), 0.1 * jnp.eye(2))
    point = Normal(jnp.asarray(good[0]), jnp.zeros((2, 2)))
    bad = np.asarray(off.sample(jax.random.key(5), N))
    distant = Normal(jnp.full(2, 1e3), jnp.zeros((2, 2)))
    return rows(good, bad, fit, off, point, distant, far=1e3, other=7)


def rows(good, bad, fit, off, point, distant, *, far, other):
    every, most = np.ones(N, bool), np.arange(N) % 4 != 1
    zero, other = (np.asarray(value, good.dtype) for value in (0, other))
    return {
        "perfect": (good, every, fit),
        "again": (good, every, fit),
        "broken": (np.where(most[:, None], bad, zero), most, off),
        "some invalid": (np.where(most[:, None], good, zero), most, fit),
        "invalid with other content": (np.where(most[:, None], good, other), most, fit),
        "duplicates": (np.repeat(good[: N // 4], 4, axis=0), every, fit),
        "point mass": (np.broadcast_to(good[:1], good.shape), every, point),
        "point mass far away": (np.full_like(good, far), every, distant),
    }


@pytest.fixture(scope="module")
def batches(layout):
    """A batch of lanes for each kind of examples."""
    runs = {"numbers": Run(SOURCE, Gaussian(), RealOnly()), "sequences": Run(TEXT, Ngram(), RealOnly())}
    return {takes: LaneBatch([run] * len(lanes()), [0] * len(lanes()), layout) for takes, run in runs.items()}


@pytest.fixture(scope="module", params=KINDS)
def metric(request, tiny):
    return tiny("metric", request.param)


@pytest.fixture(scope="module")
def measured(batches, metric, layout):
    """Values by lane, twice; and the floors."""
    takes = "sequences" if metric.takes == "sequences" else "numbers"
    batch, named = batches[takes], lanes(takes)
    if not metric.needs_probabilities:  # Their values are defined on any vectors, but mean something on some only.
        metric.check(batch.run.source, batch.run.family)
    put = layout.put
    samples = put(np.stack([x for x, _, _ in named.values()]))
    valid = put(np.stack([ok for _, ok, _ in named.values()]))
    generators = [generator for _, _, generator in named.values()]
    generator = put(jax.tree.map(lambda *leaves: np.stack(leaves), *generators))
    previous = put(jax.tree.map(lambda leaf: np.stack([leaf] * len(generators)), generators[0]))
    prepared_data = batch.prepare([metric])
    values = batch.measure([metric], prepared_data, 1, generator, previous, samples, valid)[0][metric_key(metric)]
    assert values
    floors = batch.floors([metric], prepared_data, generator).get(metric_key(metric), {})
    return {lane: {name: each[i] for name, each in values.items()} for i, lane in enumerate(named)}, floors


def test_what_it_says_of_itself(metric):
    assert metric.runs_on in ("lane", "host")
    directions = metric.better.values() if isinstance(metric.better, Mapping) else [metric.better]
    assert set(directions) <= {"lower", "higher", None}
    assert isinstance(metric.has_noise_floor, bool)


def test_values_are_named_by_the_metric(metric, measured):
    """One tidy table holds all of them: no two metrics share a name, and `.floor` is not theirs to give."""
    values, _ = measured
    for name in values["perfect"]:
        assert "/" not in name and not name.endswith(".floor") and name == name.strip()


@pytest.mark.parametrize("takes", ["numbers", "sequences"])
def test_names_are_not_shared(tiny, batches, layout, takes):
    batch, named = batches[takes], lanes(takes)
    generators = jax.tree.map(lambda *leaves: np.stack(leaves), *[each[2] for each in named.values()])
    shape = {
        "samples": np.stack([x for x, _, _ in named.values()]),
        "valid": np.stack([v for _, v, _ in named.values()]),
    }
    metrics = [tiny("metric", kind) for kind in KINDS]
    metrics = [metric for metric in metrics if metric.takes in (takes, "any")]
    if takes == "numbers":
        metrics = [metric for metric in metrics if metric.runs_on == "lane"]
    else:  # A model of words has no named parameters.
        metrics = [metric for metric in metrics if not isinstance(metric, Update)]
    placed, on_device = layout.put(generators), layout.put(shape)
    measured, compared = batch.measure(
        metrics, batch.prepare(metrics), 1, placed, placed, on_device["samples"], on_device["valid"]
    )
    assert set(compared) == set(measured)
    names = [name for each in measured.values() for name in each]
    assert len(names) == len(set(names))


def test_values_are_defined(measured):
    """Numbers on duplicates and on point masses too, near the data and far away."""
    values, _ = measured
    for lane, each in values.items():
        for name, value in each.items():
            assert np.isfinite(value), f"{name} of {lane}"
            assert value.dtype == np.float32


def test_the_same_generation_gives_the_same_values(measured):
    values, _ = measured
    assert values["perfect"] == values["again"]


def test_invalid_rows_are_not_seen(measured):
    values, _ = measured
    assert values["some invalid"] == values["invalid with other content"]


def test_a_perfect_generator_is_better_than_a_broken_one(metric, measured):
    """By every value that has a direction; and what is given a direction is a value."""
    values, _ = measured
    for name, good in values["perfect"].items():
        bad = values["broken"][name]
        if better_of(metric, name) == "lower":
            assert good < bad, name
        elif better_of(metric, name) == "higher":
            assert good > bad, name
    assert values["perfect"] != values["broken"]
    if isinstance(metric.better, Mapping):
        assert set(metric.better) <= set(values["perfect"])


def test_floors_are_real_data_against_real_data(metric, measured):
    """Where a metric compares with real data, each of its keys has a floor, far below what a broken generator gets."""
    values, floors = measured
    assert set(floors) == ({f"{name}.floor" for name in values["perfect"]} if metric.has_noise_floor else set())
    for name, floor in floors.items():
        assert np.isfinite(floor).all()
        good, bad = (values[lane][name.removesuffix(".floor")] for lane in ("perfect", "broken"))
        if better_of(metric, name.removesuffix(".floor")) is not None:
            assert abs(floor - good).max() < abs(good - bad)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if registry.find("metric", kind).runs_on == "lane"])
def test_its_program_can_be_built_for_accelerators(kind, tiny, for_accelerators):
    metric = tiny("metric", kind)
    x, valid, generator = lanes(metric.takes)["perfect"]
    prepared = metric.prepare(jax.random.key(0), TEXT if metric.takes == "sequences" else SOURCE)

    def value(x, valid, generator, prepared, data):
        generation = Generation(jnp.ones((), jnp.int32), generator, generator, x, valid)
        return metric(jax.random.wrap_key_data(data), generation, prepared)

    for_accelerators(value, x, valid, generator, prepared, jax.random.key_data(jax.random.key(0)))
