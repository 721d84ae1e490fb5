import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from selfconsume.families.categorical import Categorical
from selfconsume.families.gaussian import Gaussian
from selfconsume.loop import pool
from selfconsume.types import Plan

N, SLOTS, BLOCK = 4, 4, 5


@given(st.integers(0, 500), st.none() | st.integers(1, 40))
def test_capacity_is_the_next_power_of_two_of_what_is_looked_back_at(t, lookback):
    slots = pool.capacity(t, lookback)
    reach = max(1, t if lookback is None else min(t, lookback))
    assert slots & (slots - 1) == 0
    assert slots / 2 < reach <= slots


@given(st.integers(1, 40), st.integers(1, 9), st.data())
def test_ages_are_placed_where_the_ring_holds_them(t, lookback, data):
    """The block of generation g lies in slot g % slots; plans count from the newest, generation t - 1."""
    slots = pool.capacity(t, lookback)
    ages = min(t, lookback)
    use = data.draw(st.lists(st.integers(0, 9), min_size=ages, max_size=ages))
    plan = Plan((3, *use), (1.0, *[0.5 + age for age in range(ages)]), budget=2, fresh=True)
    placed = pool.place(plan, t, slots)
    expected = {(t - 1 - age) % slots: (count, 0.5 + age) for age, count in enumerate(use) if count}
    assert (placed.counts[0], placed.weight[0], placed.budget, placed.fresh) == (3, 1.0, 2, True)
    for slot in range(slots):
        assert (placed.counts[1 + slot], placed.weight[1 + slot]) == expected.get(slot, (0, 0.0))


@pytest.mark.parametrize(("t", "slots", "ages"), [(1, 4, 2), (5, 4, 5), (3, 2, 3)])
def test_a_plan_cannot_use_blocks_that_are_not_there(t, slots, ages):
    with pytest.raises(ValueError, match=f"uses {ages} synthetic blocks; {min(t, slots)} are in the pool"):
        pool.place(Plan((1, *[1] * ages), (1.0,) * (ages + 1)), t, slots)
    pool.place(Plan((1, *[1] * (ages - 1), 0), (1.0,) * (ages + 1)), t, slots)  # unused ages may be named


def test_growing_keeps_the_blocks_that_are_there():
    blocks = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(pool.pad_slots(blocks, 4), [[0, 1, 2], [3, 4, 5], [0, 0, 0], [0, 0, 0]])
    assert pool.pad_slots(blocks, 2) is blocks


# One pool, in which every row says where it comes from: 100 for real, 200, 201, ... for rows of slot 0, and so on.
REAL = jnp.arange(100.0, 100 + N)[:, None]
BLOCKS = jnp.asarray([[[200.0 + 100 * slot + row] for row in range(BLOCK)] for slot in range(SLOTS)])


def usable(valid, use, weight):
    """Rows that a plan uses, in the pool's order, with their blocks: written as slowly as it is meant."""
    chosen = []
    for block, rows in enumerate([[True] * N, *valid.tolist()]):
        good = [row for row, ok in enumerate(rows) if ok][: use[block]]
        chosen += [(block, row) for row in good if weight[block] > 0]
    return chosen


def value(block, row):
    return 100.0 * (block + 1) + row


plans = st.tuples(
    st.lists(st.booleans(), min_size=SLOTS * BLOCK, max_size=SLOTS * BLOCK),
    st.tuples(st.integers(0, N), *[st.integers(0, BLOCK)] * SLOTS),
    st.tuples(*[st.sampled_from([0.0, 0.25, 1.0, 3.0])] * (SLOTS + 1)),
    st.integers(0, 12),
)
rows = jax.jit(pool.rows)
subset_rows = jax.jit(pool.sample_budget, static_argnames=("size", "mixed"))


def placed(use, weight, budget):
    return pool.SlotPlan(
        jnp.asarray(use, jnp.int32), jnp.asarray(weight, jnp.float32), jnp.int32(budget), jnp.asarray(False)
    )


@settings(deadline=None)  # the first example compiles
@given(plans)
def test_weights_sum_to_the_number_used_and_nothing_else_counts(example):
    valid, use, weight, _ = example
    valid = np.reshape(valid, (SLOTS, BLOCK))
    x, w = rows(REAL, pool.RowBlocks(BLOCKS, jnp.asarray(valid)), placed(use, weight, 0))
    chosen = usable(valid, use, weight)
    assert {float(v) for v in x[np.asarray(w) > 0, 0]} == {value(*row) for row in chosen}
    assert float(w.sum()) == pytest.approx(len(chosen), rel=1e-5)
    if chosen:
        raw = np.array([weight[block] for block, _ in chosen])
        np.testing.assert_allclose(np.asarray(w)[np.asarray(w) > 0], raw * len(chosen) / raw.sum(), rtol=1e-5)


@settings(deadline=None)  # the first example compiles
@given(plans)
def test_all_rows_or_a_random_budget_are_gathered(example):
    valid, use, weight, budget = example
    valid = np.reshape(valid, (SLOTS, BLOCK))
    size = 12 if budget else N + SLOTS * BLOCK
    x, w = subset_rows(
        jax.random.key(7),
        REAL,
        pool.RowBlocks(BLOCKS, jnp.asarray(valid)),
        placed(use, weight, budget),
        size=size,
        mixed=True,
    )
    chosen = usable(valid, use, weight)
    blocks = {value(*row): row[0] for row in chosen}
    got = [float(v) for v in x[np.asarray(w) > 0, 0]]
    number = min(budget, len(chosen)) if budget else len(chosen)
    assert len(got) == len(set(got)) == number  # exactly, and without replacement
    assert set(got) <= set(blocks)  # never a row that is invalid, beyond the count, or of weight 0
    if not budget:
        assert got == [value(*row) for row in chosen]
    assert float(w.sum()) == pytest.approx(number, rel=1e-5)
    if got:
        raw = np.array([weight[blocks[v]] for v in got])
        np.testing.assert_allclose(np.asarray(w)[np.asarray(w) > 0], raw * number / raw.sum(), rtol=1e-5)


def test_where_all_lanes_have_a_budget_the_same_rows_are_drawn():
    plan = placed((N, *[BLOCK] * SLOTS), (1.0,) * (SLOTS + 1), 6)
    blocks = pool.RowBlocks(BLOCKS, jnp.ones((SLOTS, BLOCK), bool))
    both = [subset_rows(jax.random.key(1), REAL, blocks, plan, size=8, mixed=mixed) for mixed in (True, False)]
    jax.tree.map(np.testing.assert_array_equal, *both)


DRAWS = 20_000


@pytest.fixture(scope="module")
def draw():
    """Many draws of at most 3 numbers below a total, of a pool of 9."""
    subset = jax.jit(
        jax.vmap(lambda key, total, number: pool.random_subset(key, 9, total, 3, number), in_axes=(0, None, None))
    )

    def draws_of(total, number, draws=DRAWS):
        return np.asarray(subset(jax.random.split(jax.random.key(0), draws), jnp.int32(total), jnp.int32(number)))

    return draws_of


def test_subsets_are_uniform(draw):
    """All subsets of 3 of 6 numbers equally often: chi-square of 20 cells, at one in ten thousand."""
    subsets = draw(6, 3)
    sets = [tuple(sorted(row)) for row in subsets.tolist()]
    cells = list(itertools.combinations(range(6), 3))
    assert set(sets) == set(cells)  # also: none twice, none that is not there
    observed = [sets.count(cell) for cell in cells]
    assert scipy.stats.chisquare(observed).pvalue > 1e-4
    # The order is random too: every number is first equally often.
    assert scipy.stats.chisquare(np.bincount(subsets[:, 0], minlength=6)).pvalue > 1e-4


@pytest.mark.parametrize(("total", "number", "expected"), [(2, 3, 2), (0, 3, 0), (1, 1, 1), (3, 3, 3)])
def test_fewer_rows_than_asked_for_are_all_taken(draw, total, number, expected):
    for row in draw(total, number, 50):
        assert set(row[:expected]) <= set(range(total)) and len(set(row[:expected])) == expected


random = np.random.default_rng(3)
FAMILIES = {
    "full": (Gaussian(), random.normal(size=(N, 3)), random.normal(size=(SLOTS, BLOCK, 3))),
    "unbiased": (Gaussian(estimator="unbiased"), random.normal(size=(N, 3)), random.normal(size=(SLOTS, BLOCK, 3))),
    "diagonal": (Gaussian(covariance="diagonal"), random.normal(size=(N, 3)), random.normal(size=(SLOTS, BLOCK, 3))),
    "categorical": (
        Categorical(),
        np.eye(3)[random.integers(0, 3, N)],
        np.eye(3)[random.integers(0, 3, (SLOTS, BLOCK))],
    ),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_merged_summaries_are_the_fit_to_all_rows(name):
    """Summaries of blocks against the rows themselves, with weights 0, 1 and 2, uncounted and invalid rows."""
    family, real, blocks = FAMILIES[name]
    real, blocks = jnp.asarray(real, jnp.float32), jnp.asarray(blocks, jnp.float32)
    valid = np.ones((SLOTS, BLOCK), bool)
    valid[1, :2] = False
    blocks = jnp.where(valid[..., None], blocks, 0)  # as the loop leaves rows that are not finite
    plan = placed((3, 5, 2, 4, 5), (1.0, 2.0, 0.5, 0.0, 1.0), 0)
    x, weight = rows(real, pool.RowBlocks(blocks, jnp.asarray(valid)), plan)
    direct = family.solve(family.summarise(x, weight))

    @jax.jit
    def merged(real, blocks, valid):
        used = pool.first_valid(valid, plan.counts[1:])
        statistics = jax.vmap(family.summarise)(blocks, used.astype(jnp.float32))
        summary = family.summarise(real, (jnp.arange(N) < plan.counts[0]).astype(jnp.float32))
        return family.solve(
            pool.merge_statistics(
                family, summary, pool.StatisticsBlocks(statistics, used.sum(axis=1, dtype=jnp.int32)), plan
            )
        )

    # Covariance matrices, not their factors: near-equal eigenvalues turn freely.
    for got, expected in zip(
        merged(real, blocks, jnp.asarray(valid)).parameters().values(), direct.parameters().values(), strict=True
    ):
        np.testing.assert_allclose(got, expected, atol=2e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_merging_with_weight_zero_changes_no_bit(name):
    family, real, blocks = FAMILIES[name]
    first = family.summarise(jnp.asarray(real, jnp.float32), jnp.ones(N))
    second = family.summarise(jnp.asarray(1e3 * blocks[0], jnp.float32), jnp.ones(BLOCK))
    merged = jax.jit(family.merge)(first, second, jnp.zeros(()))
    jax.tree.map(np.testing.assert_array_equal, merged, first)
    changed = jax.jit(family.merge)(first, second, jnp.ones(()))
    assert not np.array_equal(jax.tree.leaves(changed)[0], jax.tree.leaves(first)[0])
