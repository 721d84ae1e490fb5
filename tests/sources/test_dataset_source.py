"""The split of a dataset: its randomness belongs to this package."""

import jax
import numpy as np
import ot
import pytest
from scipy import stats

from selfconsume.errors import ConfigError
from selfconsume.sources.arrays import Arrays
from selfconsume.sources.dataset_source import split_order

BOUND = 5.2
"""Standard errors: 1200 comparisons exceed it by chance once in 4000 times."""


def correlation(order, values):
    """Rank correlation of values with their place in the split, in standard errors."""
    place = np.empty(len(order))
    place[order] = np.arange(len(order))
    return stats.spearmanr(place, values).statistic * np.sqrt(len(order) - 1)


def test_the_order_is_a_permutation_and_always_the_same():
    for n in (1, 2, 1000):
        np.testing.assert_array_equal(np.sort(split_order(n)), np.arange(n))
    assert split_order(10).tolist() == [8, 1, 4, 0, 9, 7, 2, 3, 6, 5]
    assert abs(correlation(split_order(5000), np.arange(5000))) < BOUND


@pytest.mark.parametrize("n", [50, 300, 3000])
def test_no_data_of_numpy_is_sorted_by_the_split(n):
    order = split_order(n)
    for seed in range(201):
        generators = [np.random.default_rng(seed), np.random.RandomState(seed)]
        for generator in generators:
            assert abs(correlation(order, generator.uniform(size=n))) < BOUND
        for generator in (np.random.default_rng(seed), np.random.RandomState(seed)):
            assert abs(correlation(order, generator.normal(size=(n, 2))[:, 0])) < BOUND


@pytest.mark.parametrize("n", [50, 3000])
def test_no_data_of_jax_is_sorted_by_the_split(n):
    order = split_order(n)
    draws = jax.jit(jax.vmap(lambda seed: jax.random.uniform(jax.random.key(seed), (n,))))(np.arange(201))
    assert max(abs(correlation(order, x)) for x in np.asarray(draws)) < BOUND


def test_the_split_is_not_the_stream_of_any_small_seed():
    raw = {tuple(np.argsort(np.random.PCG64(seed).random_raw(40)).tolist()) for seed in range(201)}
    raw |= {tuple(np.argsort(np.random.Philox(seed).random_raw(40)).tolist()) for seed in range(201)}
    assert tuple(split_order(40).tolist()) not in raw


def test_images_that_repeat_are_named_and_constant_ones_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(1).integers(0, 256, size=(40, 2, 2, 1), dtype=np.uint8)
    np.save("x.npy", pixels)
    assert not any("warning" in line for line in Arrays("x.npy").description)
    np.save("x.npy", np.repeat(pixels[:4], 10, axis=0))
    lines = Arrays("x.npy", n=20, n_test=10).description
    assert any("only 4 of 20 training rows are distinct" in line for line in lines)
    assert any("4 distinct training rows are fewer than n_test = 10" in line for line in lines)
    np.save("x.npy", np.repeat(pixels[:1], 40, axis=0))
    with pytest.raises(ConfigError, match="all 32 training rows are equal"):
        Arrays("x.npy").check()


def test_halves_of_a_ring_are_as_close_as_honest_halves():
    """Rings by `default_rng(k)` were sorted by their angle: real against real was 12 times too large."""

    def distance(x, order):
        return ot.sliced_wasserstein_distance(x[order[:200]], x[order[200:]], n_projections=30, seed=0)

    split, honest = [], []
    for k in range(200):
        rng = np.random.default_rng(k)
        angle = rng.uniform(0, 2 * np.pi, 400)
        x = np.stack([np.cos(angle), np.sin(angle)], 1) + rng.normal(scale=0.05, size=(400, 2))
        split.append(distance(x, split_order(400)))
        honest.append(distance(x, np.random.default_rng(1000 + k).permutation(400)))
    assert abs(np.mean(split) / np.mean(honest) - 1) < 0.1
