"""Units of a file change nothing: the same values for every family and metric, and exported samples follow the units."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import polars
import pytest

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.families.gaussian import Gaussian
from selfconsume.lanes.lane_program import lane_program
from selfconsume.models.external import host_family
from selfconsume.models.external.host_family import HostFamily
from selfconsume.results import data_units
from selfconsume.sources.arrays import Arrays
from selfconsume.types import Generation

RNG = np.random.default_rng(12)
AGE = RNG.normal(42, 12, 100)
TABLE = {
    "income": 30000 + 1200 * (AGE - 42) + RNG.normal(0, 20000, 100),
    "age": AGE,
    "size": RNG.normal(3, 1, 100),
}
UNITS = {
    "income in thousands": {"income": lambda x: x * 1e-3},
    "age in millionths": {"age": lambda x: x * 1e6},
    "size beyond 1e7": {"size": lambda x: x + 1e7},
    "powers of two": {"income": lambda x: x * 2.0**-20, "age": lambda x: x * 2.0**10},
}
PERMUTED = ["age", "size", "income"]
SAMPLES = 30


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The same table in different units, and with its columns in another order."""
    folder = tmp_path_factory.mktemp("tables")
    frames = {"base": TABLE} | {name: in_units(TABLE, name) for name in UNITS}
    frames["permuted"] = {name: TABLE[name] for name in PERMUTED}
    found = {}
    for name, frame in frames.items():
        polars.DataFrame(frame).write_csv(path := folder / f"{name}.csv")
        found[name] = Arrays(str(path), n=50, n_test=30)
    return found


def in_units(table, name):
    return {column: UNITS.get(name, {}).get(column, lambda x: x)(values) for column, values in table.items()}


def exported(source, rows):
    """Samples by column as `export` writes them."""
    units = None if source.units is None else dict(zip(("center", "factor"), source.units, strict=True))
    return dict(zip(TABLE, np.asarray(data_units.decode(rows, units)).T, strict=True))


def agree(unit, value, base):
    if unit == "powers of two":
        np.testing.assert_array_equal(value, base)
    else:
        np.testing.assert_allclose(value, base, rtol=1e-5, atol=1e-5)


def test_permuted_columns_give_permuted_examples(sources):
    order = [list(TABLE).index(name) for name in PERMUTED]
    for part in ("train", "test"):
        base, permuted = (getattr(sources[name], part)(jax.random.key(0)) for name in ("base", "permuted"))
        np.testing.assert_array_equal(np.asarray(base)[:, order], permuted)


@pytest.mark.parametrize("kind", registry.kinds("family"))
def test_a_family_gives_the_same_samples_in_all_units(kind, tiny, sources, layout):
    family = tiny("family", kind)
    if kind == "recorded":
        pytest.skip("nothing is fitted: samples are read in the data's own units")
    try:
        family.check(sources["base"])
    except ConfigError:
        pytest.skip("not for vectors of real numbers")
    names = ["base", *UNITS]
    train = np.stack([sources[name].train(jax.random.key(0)) for name in names])
    draw = samples_of_host_fits if isinstance(family, HostFamily) else samples_of_lanes
    samples = dict(zip(names, draw(family, train, layout), strict=False))
    assert np.isfinite(samples["base"]).all()
    base = exported(sources["base"], samples["base"])
    for unit in UNITS:
        agree(unit, samples[unit], samples["base"])
        expected = in_units(base, unit)
        for column, values in exported(sources[unit], samples[unit]).items():
            np.testing.assert_allclose(values, expected[column], rtol=1e-7, atol=1e-4 * expected[column].std())


def samples_of_lanes(family, train, layout):
    def fit(shared, lane):
        state = family.begin(jax.random.key(1), lane, jnp.ones(50), None)
        return family.advance(state, family.updates_of(False)).generator.sample(jax.random.key(2), SAMPLES)

    return np.asarray(lane_program(fit, layout)(len(train), None, layout.put(train)))


def samples_of_host_fits(family, train, layout):
    models = [host_family.fit_rows(family, x, np.ones(len(x)), None, seed=1) for x in train]
    pairs = zip(models, train, strict=True)
    return [host_family.draw_samples(family, model, SAMPLES, 2, x)[0] for model, x in pairs]


@pytest.mark.parametrize("kind", registry.kinds("metric"))
def test_a_metric_gives_the_same_values_in_all_units(kind, tiny, sources):
    metric = tiny("metric", kind)
    try:
        metric.check(sources["base"], Gaussian())
    except ConfigError:
        pytest.skip("not for vectors of real numbers")
    base = values_of(metric, sources["base"])
    for unit in UNITS:
        value = values_of(metric, sources[unit])
        assert value.keys() == base.keys()
        for name in base:
            agree(unit, value[name], base[name])
    is_random = any(base[name] != value for name, value in values_of(metric, sources["base"], seed=1).items())
    if metric.accepts_features and not is_random:
        for name, value in values_of(metric, sources["permuted"]).items():
            np.testing.assert_allclose(value, base[name], rtol=1e-4, atol=1e-5)


def values_of(metric, source, seed=0):
    """Values on real examples in place of samples, and a Gaussian fitted to the training set in place of the generator."""
    key = jax.random.key(seed)
    x = source.train(key)
    family = Gaussian()
    generators = []
    for rows in (x, x[:25]):
        state = family.begin(key, rows, jnp.ones(len(rows)), None)
        generators.append(family.advance(state, 1).generator)
    samples = source.reserve_rows()
    if metric.runs_on == "host":
        samples = np.asarray(samples)
    valid = np.ones(len(samples), bool)
    generation = Generation(np.int32(1), *generators, samples, valid)
    measured = metric if metric.runs_on == "host" else lane_measure(metric)
    values = measured(key, generation, metric.prepare(key, source))
    return {name: float(value) for name, value in values.items()}


@functools.cache
def lane_measure(metric):
    """As a study's program measures it."""
    return jax.jit(lambda *arguments: dict(metric(*arguments)))
