"""The split of a dataset: its randomness belongs to this package."""

import jax
import numpy as np
import pytest
from scipy import stats

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
