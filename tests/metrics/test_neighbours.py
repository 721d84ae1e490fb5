import contextlib
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


def by_definition(x, y, k, k_density):
    """All four by the definitions with closed balls, all distances at once."""
    across = cdist(y, x, "sqeuclidean")

    def radius(z, k):
        squared = cdist(z, z, "sqeuclidean")
        return np.array([np.sort(np.delete(row, i))[: min(k, len(z) - 1)][-1] for i, row in enumerate(squared)])

    inside = across <= radius(y, k_density)[:, None]
    return {
        "precision": (across <= radius(y, k)[:, None]).any(axis=0).mean(),
        "recall": (across <= radius(x, k)[None, :]).any(axis=1).mean(),
        "density": inside.sum(axis=0).mean() / k_density,
        "coverage": inside.any(axis=1).mean(),
    }


def prdc(x, y, k):
    with contextlib.redirect_stdout(io.StringIO()):
        return compute_prdc(real_features=y, fake_features=x, nearest_k=k)


@pytest.mark.parametrize(("n", "m", "d"), [(120, 90, 2), (120, 90, 30)])
def test_agrees_with_prdc_on_data_without_ties(measure, n, m, d):
    x, y = random.normal(size=(n, d)).astype(np.float32) * 1.2, random.normal(size=(m, d)).astype(np.float32)
    values, low, high = measure(Neighbours(block=32), y, x), prdc(x, y, 3), prdc(x, y, 5)
    expected = {
        **{key: low[key] for key in ("precision", "recall")},
        **{key: high[key] for key in ("density", "coverage")},
    }
    assert 0 < values["precision"] < 1 or 0 < values["recall"] < 1
    assert values == pytest.approx(expected, rel=1e-6)


@functools.cache
def compiled(k, k_density):
    metric = Neighbours(k=k, k_density=k_density, block=4)

    @jax.jit
    def run(x, y):
        from selfconsume.metrics.neighbours import radii  # the same steps as prepare, with y as an argument

        centre = jnp.mean(y, axis=0)
        radius, density = radii(y - centre, jnp.ones(len(y), bool), (k, k_density), 4)
        reference = {"points": y - centre, "centre": centre, "radius": radius, "radius_density": density}
        return metric(jax.random.key(0), generation(x), reference)

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


@pytest.mark.parametrize("d", [2, 20])
def test_swapped_sets_swap_precision_and_recall(measure, d):
    x, y = random.normal(size=(50, d)) * 0.7, random.normal(size=(50, d))
    metric = Neighbours(k=4, block=16)
    there, back = measure(metric, y, x), measure(metric, x, y)
    assert there["precision"] == pytest.approx(back["recall"])
    assert there["recall"] == pytest.approx(back["precision"])
    assert there["precision"] != pytest.approx(there["recall"])


@pytest.mark.parametrize("d", [2, 20])
def test_real_data_repeated(measure, d):
    """Copies of the real set, each example four times: all radii of the samples are 0."""
    y = (random.normal(size=(30, d)) + 3).astype(np.float32)
    values = measure(Neighbours(block=16), y, np.repeat(y, 4, axis=0))
    assert values["precision"] == values["recall"] == values["coverage"] == 1
    # Each example lies in its own ball and, on average, in five others'.
    assert values["density"] == pytest.approx(6 / 5)


@pytest.mark.parametrize("d", [2, 20])
def test_a_point_mass_on_a_real_example(measure, d):
    y = random.normal(size=(30, d)).astype(np.float32)
    x = np.repeat(y[:1], 25, axis=0)
    values = measure(Neighbours(block=8), y, x)
    assert values["precision"] == 1
    assert values["recall"] == pytest.approx(1 / 30)
    assert values == pytest.approx(by_definition(x, y, 3, 5), rel=1e-6)
    both = measure(Neighbours(block=8), y * 0 + 0.3, x * 0 + 0.3)
    assert both == pytest.approx({"precision": 1, "recall": 1, "density": 30 / 5, "coverage": 1})


def test_one_hot_rows_are_vectors(measure):
    x, y = np.eye(12)[random.integers(0, 12, 50)], np.eye(12)[random.integers(0, 9, 40)]
    assert measure(Neighbours(), y, x) == pytest.approx(by_definition(x, y, 3, 5), rel=1e-6)


def test_small_sets_use_what_neighbours_they_have(measure):
    x, y = random.normal(size=(3, 2)), random.normal(size=(4, 2))
    assert measure(Neighbours(), y, x) == pytest.approx(by_definition(x, y, 3, 5), rel=1e-6)
    one = measure(Neighbours(), y, y, np.arange(4) == 1)
    assert one["precision"] == 1
    assert one["recall"] == pytest.approx(1 / 4)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_kth_smallest_counts_duplicates(k):
    x = np.array([[5, 1, 1, 3, np.inf, 3], [0, 0, 0, 0, 0, 0], [2, np.inf, np.inf, np.inf, 1, np.inf]], np.float32)
    sort = np.sort(x, axis=1)
    expected = [sort[0, min(k, 5) - 1], 0, sort[2, min(k, 2) - 1]]
    np.testing.assert_array_equal(kth_smallest(jnp.asarray(x), k), expected)
    np.testing.assert_array_equal(kth_smallest(jnp.full((2, 3), jnp.inf), k), [0, 0])
