"""Memorisation against scikit-learn's nearest neighbours, and on samples whose answer is known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from selfconsume.metrics.coverage.nearest_real import NearestReal
from selfconsume.metrics.pairwise import nearest

RANDOM = np.random.default_rng(0)
D = 12
TRAIN, TEST, FRESH = (RANDOM.normal(2.0, 1.0, (n, D)).astype(np.float32) for n in (80, 50, 70))
METRIC = NearestReal(quantile=0.1, block=16)


@pytest.fixture(scope="module")
def judged(given, generation_of):
    """The values on samples, against these training and test sets."""

    @dataclasses.dataclass(frozen=True, eq=False)
    class Split(given):
        held_out: np.ndarray | None = None

        def test(self, key):
            return jnp.asarray(self.held_out)

    @jax.jit
    def compiled(samples, valid, train, test):
        prepared = METRIC.prepare(jax.random.key(0), Split(train, held_out=test))
        return METRIC(jax.random.key(1), generation_of(samples, valid), prepared)

    def measured(samples, valid=None, train=TRAIN, test=TEST):
        values = compiled(samples, np.ones(len(samples), bool) if valid is None else valid, train, test)
        return {name.removeprefix("nearest_real."): float(value) for name, value in values.items()}

    return measured


def distances(x, others=False):
    found, which = NearestNeighbors(n_neighbors=1 + others).fit(TRAIN).kneighbors(x)
    return found[:, -1], which[:, 0]


def test_distances_are_those_of_scikit_learn():
    squared, which = nearest(jnp.asarray(FRESH), jnp.asarray(TRAIN), 16)
    expected, expected_which = distances(FRESH)
    np.testing.assert_allclose(np.sqrt(squared), expected, rtol=1e-4)
    np.testing.assert_array_equal(which, expected_which)
    own, _ = nearest(jnp.asarray(TRAIN), jnp.asarray(TRAIN), 16, exclude_self=True)
    np.testing.assert_allclose(np.sqrt(own), distances(TRAIN, others=True)[0], rtol=1e-4)


def test_values_are_what_they_say(judged):
    own, which = distances(FRESH)
    real, real_which = distances(TEST)
    apart, _ = distances(TRAIN, others=True)
    expected = {
        "ratio": np.sort(own)[(len(own) - 1) // 2] / np.sort(real)[(len(real) - 1) // 2],
        "rank": np.mean(own[:, None] > real[None, :]),
        "copies": np.mean(own <= np.sort(real)[4]),
        "authentic": np.mean(own > apart[which]),
        "authentic_test": np.mean(real > apart[real_which]),
    }
    found = judged(FRESH)
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, err_msg=name)
    valid = np.arange(len(FRESH)) % 2 == 0
    assert judged(np.where(valid[:, None], FRESH, 0.0), valid) == pytest.approx(judged(FRESH[valid]), rel=1e-5)


def test_copies_are_found(judged):
    found = judged(TRAIN[:40])
    fresh = found.pop("authentic_test")
    assert found == {"ratio": 0.0, "rank": 0.0, "copies": 1.0, "authentic": 0.0} and fresh > 0.3
    half = judged(np.concatenate([TRAIN[:40], FRESH[:40] + 100.0]))
    assert half["copies"] == half["authentic"] == half["rank"] == 0.5


def test_the_test_set_is_its_own_measure(judged):
    found = judged(TEST)
    assert found["authentic"] == pytest.approx(found["authentic_test"])
    assert found["ratio"] == 1.0 and found["rank"] == pytest.approx(0.5) and found["copies"] == pytest.approx(0.1)


def test_a_point_mass_is_defined(judged):
    point = np.ones((30, D), np.float32)
    same = judged(point, train=point, test=point)
    assert same == {"ratio": 1.0, "rank": 0.5, "copies": 1.0, "authentic": 0.0, "authentic_test": 0.0}
    assert all(np.isnan(value) for value in judged(point, np.zeros(30, bool)).values())


@pytest.mark.parametrize("scale", [1e19, 1e25])
def test_what_has_left_float32_is_no_copy(judged, scale):
    found = judged((RANDOM.normal(size=(70, D)) * scale).astype(np.float32))
    assert (found["ratio"], found["rank"], found["copies"], found["authentic"]) == (np.inf, 1.0, 0.0, 1.0)
