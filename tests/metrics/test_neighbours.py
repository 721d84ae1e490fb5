import contextlib
import dataclasses
import functools
import io

import hypothesis
import hypothesis.extra.numpy
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from prdc import compute_prdc
from scipy.spatial.distance import cdist

from selfconsume.metrics.neighbours import Neighbours, kth_smallest

random = np.random.default_rng(3)
METRIC = Neighbours(block=20)


def by_definition(x, y, k, k_density, within=np.less_equal):
    """All four by the definitions, with closed balls unless told otherwise, all distances at once."""
    across = cdist(y, x, "sqeuclidean")

    def radius(z, k):
        squared = cdist(z, z, "sqeuclidean")
        return np.array([np.sort(np.delete(row, i))[: min(k, len(z) - 1)][-1] for i, row in enumerate(squared)])

    inside = within(across, radius(y, k_density)[:, None])
    return {
        "precision": within(across, radius(y, k)[:, None]).any(axis=0).mean(),
        "recall": within(across, radius(x, k)[None, :]).any(axis=1).mean(),
        "density": inside.sum(axis=0).mean() / k_density,
        "coverage": inside.any(axis=1).mean(),
    }


def prdc(x, y, k):
    with contextlib.redirect_stdout(io.StringIO()):
        return compute_prdc(real_features=y, fake_features=x, nearest_k=k)


@pytest.mark.parametrize("n", [48, 31])
@pytest.mark.parametrize("d", [2, 20])
def test_agrees_with_prdc_on_data_without_ties(measure, n, d):
    x, y = random.normal(size=(2, 48, d)).astype(np.float32)
    x[:, 0] += 1.5
    valid = np.arange(48) < n
    values, low, high = measure(METRIC, y, x, valid), prdc(x[valid], y, 3), prdc(x[valid], y, 5)
    expected = {
        **{key: low[key] for key in ("precision", "recall")},
        **{key: high[key] for key in ("density", "coverage")},
    }
    assert 0 < values["recall"] < 1 or 0 < values["coverage"] < 1
    assert values == pytest.approx(expected, rel=1e-6)


@functools.cache
def compiled(k, k_density, ties="inside"):
    metric = Neighbours(k=k, k_density=k_density, block=4, ties=ties)

    @jax.jit
    def run(x, y):
        from selfconsume.metrics.neighbours import radii  # the same steps as prepare, with y as an argument

        centre = jnp.mean(y, axis=0)
        radius, density = radii(y - centre, jnp.ones(len(y), bool), (k, k_density), 4)
        prepared = {"points": y - centre, "centre": centre, "radius": radius, "radius_density": density}
        return metric(jax.random.key(0), generation(x), prepared)

    return run


def generation(x):
    from selfconsume.types import Generation

    return Generation(jnp.asarray(1), None, None, x, jnp.ones(len(x), bool))


lattice = functools.partial(hypothesis.extra.numpy.arrays, np.float32, elements=st.integers(-2, 2))


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(lattice((11, 2)), lattice((7, 2)))
def test_ties_are_inside(x, y):
    """On a small lattice almost all distances are tied or 0."""
    values = compiled(2, 3)(x, y)
    assert {key: float(value) for key, value in values.items()} == pytest.approx(by_definition(x, y, 2, 3), rel=1e-6)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(lattice((11, 2)), lattice((7, 2)))
def test_ties_can_be_outside_as_in_prdc(x, y):
    """The tool's own code on the same lattice: it tests `<`, for all four values."""
    values, low, high = compiled(2, 3, "outside")(x, y), prdc(x, y, 2), prdc(x, y, 3)
    expected = {key: (low if key in ("precision", "recall") else high)[key] for key in values}
    assert {key: float(value) for key, value in values.items()} == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("d", [2, 20])
def test_swapped_sets_swap_precision_and_recall(measure, d):
    x, y = random.normal(size=(48, d)) * 0.7, random.normal(size=(48, d))
    there, back = measure(METRIC, y, x), measure(METRIC, x, y)
    assert there["precision"] == pytest.approx(back["recall"])
    assert there["recall"] == pytest.approx(back["precision"])
    assert there["precision"] > there["recall"]


@pytest.mark.parametrize("d", [2, 20])
def test_real_examples_repeated(measure, d):
    """Twelve real examples four times each: every sample's ball has radius 0, and holds its original."""
    y = (random.normal(size=(48, d)) + 3).astype(np.float32)
    x = np.repeat(y[:12], 4, axis=0)
    values = measure(METRIC, y, x)
    assert values["precision"] == 1
    assert values["recall"] == pytest.approx(12 / 48)
    assert values == pytest.approx(by_definition(x, y, 3, 5), rel=1e-6)
    assert measure(METRIC, y, y[::-1]) == pytest.approx({"precision": 1, "recall": 1, "density": 6 / 5, "coverage": 1})


@pytest.mark.parametrize("d", [2, 20])
def test_point_masses(measure, d):
    y = random.normal(size=(48, d)).astype(np.float32)
    point = np.repeat(y[:1], 48, axis=0)
    values = measure(METRIC, y, point)
    assert values["precision"] == 1
    assert values["recall"] == pytest.approx(1 / 48)
    assert values == pytest.approx(by_definition(point, y, 3, 5), rel=1e-6)
    assert measure(METRIC, point, y) == pytest.approx(by_definition(y, point, 3, 5), rel=1e-6)
    both = measure(METRIC, point, point)
    assert both == pytest.approx({"precision": 1, "recall": 1, "density": 48 / 5, "coverage": 1})


def test_one_hot_rows_are_vectors(measure):
    x, y = np.eye(20)[random.integers(0, 20, 48)], np.eye(20)[random.integers(0, 12, 48)]
    assert measure(METRIC, y, x) == pytest.approx(by_definition(x, y, 3, 5), rel=1e-6)


def test_small_sets_use_what_neighbours_they_have(measure):
    x, y = random.normal(size=(48, 2)), random.normal(size=(4, 2))
    few = np.arange(48) < 3
    assert measure(METRIC, y, x, few) == pytest.approx(by_definition(x[:3], y, 3, 5), rel=1e-6)
    one = measure(METRIC, y, np.repeat(y, 12, axis=0), np.arange(48) == 1)
    assert one["precision"] == 1
    assert one["recall"] == pytest.approx(1 / 4)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_kth_smallest_counts_duplicates(k):
    x = np.array([[5, 1, 1, 3, np.inf, 3], [0, 0, 0, 0, 0, 0], [2, np.inf, np.inf, np.inf, 1, np.inf]], np.float32)
    sort = np.sort(x, axis=1)
    expected = [sort[0, min(k, 5) - 1], 0, sort[2, min(k, 2) - 1]]
    np.testing.assert_array_equal(kth_smallest(jnp.asarray(x), k), expected)
    np.testing.assert_array_equal(kth_smallest(jnp.full((2, 3), jnp.inf), k), [0, 0])


@pytest.mark.parametrize("scale", [1e19, 1e25])
def test_what_has_left_float32_is_near_nothing(measure, scale):
    """In more dimensions than `DIRECT`: norms of 1e19 are inf."""
    random = np.random.default_rng(3)
    real, far = (random.normal(size=(60, 12)).astype(np.float32) for _ in range(2))
    found = measure(Neighbours(), real, far * np.float32(scale))
    assert (found["precision"], found["recall"], found["density"], found["coverage"]) == (0, 0, 0, 0)


def test_too_few_real_examples_are_refused():
    from selfconsume.errors import ConfigError
    from selfconsume.families.gaussian import Gaussian
    from selfconsume.sources.gaussian import Gaussian as Normal

    metric = Neighbours(k=3, k_density=5)
    metric.check(Normal(n=2, n_test=6), Gaussian())
    with pytest.raises(ConfigError, match="more than 5 real examples"):
        metric.check(Normal(n=9, n_test=5), Gaussian())
    with pytest.raises(ConfigError, match="got 2"):
        dataclasses.replace(metric, against="train").check(Normal(n=2), Gaussian())
