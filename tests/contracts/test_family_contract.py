"""What holds for every family in JAX: weights mean what they say, keys are respected, and degenerate data is no accident."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.lanes.lane_program import lane_program
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.loop import generation_zero
from selfconsume.loop.run import Run
from selfconsume.models.external.host_family import HostFamily
from selfconsume.models.training.sufficient_statistics import SufficientStatisticsFamily
from selfconsume.regimes.mix import Mix
from selfconsume.sources.categorical import Categorical
from selfconsume.sources.gaussian import Gaussian
from selfconsume.sources.linear import HalfSpace
from selfconsume.sources.text.zipf import Zipf
from selfconsume.types import Density, FitState

SOURCES = [
    Gaussian(dim=2, n=12),
    HalfSpace(dim=2, n=12),
    Categorical(p=(0.5, 0.3, 0.2), n=12),
    Zipf(words=6, length=8, n=12, n_test=12),
]
N, USED, SAMPLES = 12, 8, 9
KINDS = [kind for kind in registry.kinds("family") if not issubclass(registry.find("family", kind), HostFamily)]


def cases(source):
    """Weighted data by name, each with a key for the fit: lanes of one program."""
    x = np.asarray(source.train(jax.random.key(5)))
    other = np.asarray(source.train(jax.random.key(6)))
    half = np.arange(N) < USED
    twice = np.repeat(x[: N // 2], 2, axis=0)
    once = np.concatenate([x[: N // 2], other[N // 2 :]])
    two = np.where(np.arange(N) < N // 2, 2.0, 0.0)
    return {
        "base": (0, x, half),
        "again": (0, x, half),
        "other rows without weight": (0, np.where(half[:, None], x, other), half),
        "zeroed rows without weight": (0, np.where(half[:, None], x, 0), half),
        "other key": (1, x, half),
        "every example twice": (0, twice, np.ones(N)),
        "every example with weight 2": (0, once, two),
        "point mass": (0, np.broadcast_to(x[:1], x.shape), np.ones(N)),
    }


def fits(family, source, layout):
    """Generators, samples and densities of every case."""

    def fit(shared, lane):
        key = jax.random.wrap_key_data(lane["key"])
        state = family.begin(key, lane["x"], lane["weight"], None)
        state = family.advance(state, family.updates_of(False)).without_data()
        generator = state.generator
        got = {"arrays": jax.tree.leaves(eqx.filter(generator, eqx.is_inexact_array)), "iteration": state.iteration}
        for draw in (0, 1):
            got[f"samples {draw}"] = generator.sample(jax.random.key(draw), SAMPLES)
        if isinstance(generator, Density):
            got["log_prob"] = generator.log_prob(lane["x"])
        return got

    each = cases(source).values()
    lanes = {
        "key": np.stack([jax.random.key_data(jax.random.key(key)) for key, _, _ in each]),
        "x": np.stack([x for _, x, _ in each]),
        "weight": np.stack([weight for _, _, weight in each]).astype(np.float32),
    }
    count = len(each)
    out = lane_program(fit, layout)(count, None, layout.put(lanes))
    return {name: jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[i], out) for i, name in enumerate(cases(source))}


@pytest.fixture(scope="module", params=KINDS)
def family(request, tiny):
    return tiny("family", request.param)


@pytest.fixture(scope="module")
def source(family):
    """The first source that the family can be fitted to."""
    for source in SOURCES:
        try:
            family.check(source)
        except ConfigError:
            continue
        return source
    raise AssertionError("add a source that this family can be fitted to")


@pytest.fixture(scope="module")
def fitted(family, source, layout):
    return fits(family, source, layout)


def equal(first, second):
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_a_fit_takes_the_updates_that_it_says(family, fitted):
    assert family.updates >= 1
    assert all(each["iteration"] == family.updates_of(False) for each in fitted.values())


def test_the_same_data_and_key_give_the_same_model(fitted):
    equal(fitted["base"], fitted["again"])


def test_samples_are_like_the_data_and_follow_their_key(fitted, source):
    for each in fitted.values():
        for draw in (0, 1):
            assert each[f"samples {draw}"].shape == (SAMPLES, *source.shape)
            assert each[f"samples {draw}"].dtype == source.train(jax.random.key(0)).dtype
    assert not np.array_equal(fitted["base"]["samples 0"], fitted["base"]["samples 1"])


def test_rows_without_weight_are_absent(fitted):
    """What they hold changes no bit. (Their number may: sums run over them.)"""
    for name in ("other rows without weight", "zeroed rows without weight"):
        for part in ("samples 0", "samples 1"):
            equal(fitted[name][part], fitted["base"][part])


def test_weight_two_is_the_example_twice(family, fitted):
    """Exactly where the fit is a function of sums; elsewhere it is a statement about expectations."""
    if isinstance(family, SufficientStatisticsFamily):
        twice, weighted = fitted["every example twice"], fitted["every example with weight 2"]
        for part in ("arrays", "samples 0"):
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), twice[part], weighted[part])


def test_weights_matter(fitted):
    assert not np.array_equal(fitted["base"]["samples 0"], fitted["every example with weight 2"]["samples 0"])


def test_nothing_is_undefined(fitted, source):
    """On plain data, on duplicates and on a point mass: finite models, finite samples, densities that are numbers."""
    for each in fitted.values():
        assert all(np.isfinite(leaf).all() for leaf in each["arrays"])
        assert np.isfinite(each["samples 0"]).all()
        if "log_prob" in each:
            assert not np.isnan(each["log_prob"]).any()
    if "log_prob" in fitted["base"]:
        assert np.isfinite(fitted["base"]["log_prob"][:USED]).all()


def test_vectorised_fits_agree_to_float_tolerance(family, source, fitted, layout):
    """Of fits in one update; many updates may carry a last digit anywhere."""
    if family.updates > 1:
        return
    for name, each in fits(family, source, DeviceLayout(layout.devices, loop=False)).items():
        for got, expected in zip(jax.tree.leaves(each), jax.tree.leaves(fitted[name]), strict=True):
            np.testing.assert_allclose(got, expected, rtol=2e-3, atol=2e-3)


def test_a_fit_keeps_the_structure_of_its_start(family, source):
    """What warm starts, checkpoints and generation 0 from the truth stand on; nothing is computed for it."""
    if not family.parametric:
        return
    x, weight = jnp.asarray(source.train(jax.random.key(0))), jnp.ones(N)

    def fit(start):
        state = family.begin(jax.random.key(0), x, weight, start)
        return family.advance(state, family.updates_of(start is not None)).without_data()

    cold = eqx.filter_eval_shape(fit, None)
    warm = eqx.filter_eval_shape(lambda: fit(fit(None)))
    init = eqx.filter_eval_shape(lambda: family.init(jax.random.key(0), source.shape))

    def truth_or_checkpoint():
        generator = family.init(jax.random.key(0), source.shape)
        return FitState(generator, None, jnp.zeros((), jnp.int32), jnp.array(jnp.nan), None)

    bare = eqx.filter_eval_shape(lambda: fit(truth_or_checkpoint()))
    shapes = [jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), each) for each in (cold, warm, bare)]
    assert shapes[0] == shapes[1] == shapes[2]
    assert jax.tree.map(lambda leaf: leaf.shape, cold.generator) == jax.tree.map(lambda leaf: leaf.shape, init)
    structure = generation_zero.fit_structure(Run(source, family, Mix()), 1)
    assert jax.tree.structure(structure) == jax.tree.structure(cold)
    # Keys are stored as raw data: arrays of keys can be neither written nor sent.
    leaves = jax.tree.leaves(cold)
    assert not any(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves)


def test_parameters_are_named_arrays(family, source):
    generator = eqx.filter_eval_shape(lambda: family.init(jax.random.key(0), source.shape).parameters())
    for name, array in generator.items():
        assert name.isidentifier() and array.dtype == jnp.float32


def test_its_programs_can_be_built_for_accelerators(family, source, for_accelerators):
    def generation(x, data):
        state = family.begin(jax.random.wrap_key_data(data), x, jnp.ones(len(x)), None)
        generator = family.advance(state, family.updates_of(False)).generator
        return generator.attempt(jax.random.wrap_key_data(data), SAMPLES)

    x = source.train(jax.random.key(0))
    for_accelerators(jax.vmap(generation), x[None], jax.random.key_data(jax.random.key(0))[None])
