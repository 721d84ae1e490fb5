"""The data pool: one real block and a ring of synthetic blocks, from which a plan makes weighted training data.

The ring has ``capacity`` slots; the block of generation ``g`` is in slot ``g % capacity``. A plan names blocks by age, newest
first; `place` translates it once, on the host, into slots, so that no block is ever moved on the device. Counts refer to valid
examples: a row that is not finite is zeroed, and is neither counted nor sampled.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from selfconsume.models.training.sufficient_statistics import SufficientStatisticsFamily
from selfconsume.types import Plan, Samples


class SlotPlan(NamedTuple):
    """A plan indexed by slot, as arrays: index 0 is the real block, index ``1 + slot`` a synthetic one."""

    counts: Int[Array, " slots"]
    weight: Float[Array, " slots"]
    budget: Int[Array, ""]
    fresh: Bool[Array, ""]


class RowBlocks(NamedTuple):
    """Synthetic blocks by slot, as examples."""

    examples: Samples
    """``(slots, block, *shape)``."""
    valid: Bool[Array, "slots block"]


class StatisticsBlocks(NamedTuple):
    """Synthetic blocks by slot, as sufficient statistics of the examples that plans use of each of them."""

    statistics: Any
    """A pytree of arrays with a leading axis of slots."""
    counts: Int[Array, " slots"]
    """Examples behind each block's statistics."""


def capacity(t: int, lookback: int | None) -> int:
    """Number of slots when generation ``t`` is trained: the next power of two, so that few programs are compiled.

    It depends on ``t`` and the regime's lookback alone, so a longer horizon changes no number.
    """
    reach = t if lookback is None else min(t, lookback)
    return 1 << max(0, reach - 1).bit_length()


def place(plan: Plan, t: int, slots: int) -> SlotPlan:
    """The plan of generation ``t`` with ages translated to slots, as host arrays.

    Raises:
        ValueError: The plan uses more generations than exist or than the pool keeps.
    """
    counts = np.zeros(1 + slots, np.int32)
    weights = np.zeros(1 + slots, np.float32)
    counts[0], weights[0] = plan.counts[0], plan.weight[0]
    for age, (count, weight) in enumerate(zip(plan.counts[1:], plan.weight[1:], strict=True)):
        if count and (age >= t or age >= slots):
            raise ValueError(
                f"the plan of generation {t} uses {age + 1} synthetic blocks; {min(t, slots)} are in the pool"
            )
        if count:
            slot = 1 + (t - 1 - age) % slots
            counts[slot], weights[slot] = count, weight
    arrays: Any = (counts, weights, np.array(plan.budget or 0, np.int32), np.array(plan.fresh))
    return SlotPlan(*arrays)


def pad_slots(blocks: Array, slots: int) -> Array:
    """Blocks padded with empty slots up to ``slots``. A ring is not overwritten before it has its full size."""
    extra = slots - blocks.shape[0]
    return jnp.concatenate([blocks, jnp.zeros((extra, *blocks.shape[1:]), blocks.dtype)]) if extra > 0 else blocks


def all_valid(valid: Bool[Array, "*blocks rows"], counts: Int[Array, "*blocks"]) -> Bool[Array, ""]:
    """Whether every row of every used block is valid: the usual case, in which no row has to be counted.

    Counting is slow in a large pool.
    """
    return (valid.all(axis=-1) | (counts == 0)).all()


def first_valid(valid: Bool[Array, "*blocks rows"], counts: Int[Array, "*blocks"]) -> Bool[Array, "*blocks rows"]:
    """Mask of the first ``counts`` valid rows of each block."""
    return jax.lax.cond(
        all_valid(valid, counts),
        lambda: jnp.broadcast_to(jnp.arange(valid.shape[-1]) < counts[..., None], valid.shape),
        lambda: valid & (jnp.cumsum(valid, axis=-1, dtype=jnp.int32) <= counts[..., None]),
    )


def normalise_weights(weight: Float[Array, " k"], count: Int[Array, " k"]) -> Float[Array, " k"]:
    """Block weights scaled so that ``sum(count * weight)`` is the number of examples whose weight is not 0."""
    number = jnp.sum(jnp.where(weight > 0, count, 0))
    # Summed in order, so that empty slots behind the last block change no bit.
    total = jax.lax.fori_loop(
        0, count.shape[0], lambda i, partial_sum: partial_sum + count[i] * weight[i], jnp.zeros((), jnp.float32)
    )
    return jnp.where(total > 0, weight * (number / jnp.where(total > 0, total, 1.0)), 0.0)


def rows(real: Samples, blocks: RowBlocks, plan: SlotPlan) -> tuple[Samples, Float[Array, " n"]]:
    """All rows of the pool and their weights: the training data of a plan without a budget.

    Returns:
        Examples ``(n_real + slots * block, *shape)`` and weights that sum to the number of rows used.
    """
    real_mask = (jnp.arange(real.shape[0]) < plan.counts[0]) & (plan.weight[0] > 0)
    mask = first_valid(blocks.valid, plan.counts[1:]) & (plan.weight[1:, None] > 0)
    counts = jnp.concatenate([real_mask.sum()[None], mask.sum(axis=1)]).astype(jnp.int32)
    weight = normalise_weights(plan.weight, counts)
    x = jnp.concatenate([real, blocks.examples.reshape(-1, *blocks.examples.shape[2:])])
    return x, jnp.concatenate([real_mask * weight[0], (mask * weight[1:, None]).reshape(-1)])


def sample_budget(
    key: PRNGKeyArray, real: Samples, blocks: RowBlocks, plan: SlotPlan, size: int, *, mixed: bool = True
) -> tuple[Samples, Float[Array, " size"]]:
    """The rows of a plan, or a random subset of them of the plan's budget, gathered into ``size`` rows.

    Args:
        key: Randomness of the subset.
        real: The real block.
        blocks: The synthetic blocks.
        plan: Without a budget (0), all its rows are used, in order.
        size: Rows of the result; at least the budget, or the number of rows used where there is none.
        mixed: Whether some lanes of the program have no budget. Where all have one, using all rows is not compiled in.

    Returns:
        Examples ``(size, *shape)`` and weights. Rows beyond the subset have weight 0.
    """
    valid = blocks.valid
    use = jnp.where(plan.weight > 0, plan.counts, 0)
    is_valid = all_valid(valid, use[1:])
    sizes = jax.lax.cond(is_valid, lambda: use[1:], lambda: jnp.minimum(use[1:], valid.sum(axis=1, dtype=jnp.int32)))
    number = jnp.concatenate([use[:1], sizes])
    ends = jnp.cumsum(number)
    index = random_subset(key, real.shape[0] + valid.size, ends[-1], size, jnp.minimum(plan.budget, size))
    count = jnp.minimum(plan.budget, ends[-1])
    if mixed:
        index = jnp.where(plan.budget > 0, index, jnp.arange(size))
        count = jnp.where(plan.budget > 0, count, ends[-1])
    mask = jnp.arange(size) < count
    block = jnp.where(mask, jnp.searchsorted(ends, index, side="right"), 0)
    row = jnp.where(mask, index - (ends - number)[block], 0)
    per_block = jnp.zeros(plan.weight.shape[0], jnp.int32).at[block].add(mask)
    weight = jnp.where(mask, normalise_weights(plan.weight, per_block)[block], 0.0)
    slot, rank = jnp.maximum(block - 1, 0), jnp.where(block == 0, 0, row)

    def row_of_rank():
        return jnp.argsort(~valid, axis=1, stable=True)[slot, rank].astype(jnp.int32)

    is_real = (block == 0).reshape(-1, *([1] * (real.ndim - 1)))
    x = blocks.examples[slot, jax.lax.cond(is_valid, lambda: rank, row_of_rank)]
    return jnp.where(is_real, real[jnp.where(block == 0, row, 0)], x), weight


def random_subset(
    key: PRNGKeyArray, capacity: int, total: Int[Array, ""], size: int, number: Int[Array, ""]
) -> Int[Array, " size"]:
    """A uniformly random subset, in random order: ``min(number, total)`` different integers below ``total``.

    Integers are drawn with replacement and repetitions dropped, which leaves a draw without replacement, in about ``O(size)``
    time. Ranking uniform numbers (`argsort`) gives the same distribution but sorts the whole pool.

    Args:
        key: Randomness of the subset.
        capacity: An upper bound of every total. It changes no bit.
        total: Size of the set.
        size: Length of the result; entries behind the subset are undefined.
        number: Size of the subset, at most ``size``.
    """
    target = jnp.minimum(number, total)
    tries = 2 * size
    span = jnp.maximum(total, 1).astype(jnp.uint32)

    def draw(state):
        turn, count, first, result = state
        bits = jax.random.bits(jax.random.fold_in(key, turn), (tries,), jnp.uint32)
        # Rejects the incomplete last multiple of `span`, so that all integers are equally likely.
        accepted = bits < (jnp.uint32(2**32 - 1) // span) * span
        candidates = jnp.where(accepted, bits % span, jnp.uint32(capacity)).astype(jnp.int32)
        when = turn * tries + jnp.arange(tries, dtype=jnp.int32)
        first = first.at[candidates].min(when, mode="drop")
        new = accepted & (first[candidates] == when)
        position = jnp.where(new, count + jnp.cumsum(new, dtype=jnp.int32) - 1, size)
        return turn + 1, count + new.sum(dtype=jnp.int32), first, result.at[position].set(candidates, mode="drop")

    never = jnp.full(capacity, jnp.iinfo(jnp.int32).max)
    start = (0, jnp.zeros((), jnp.int32), never, jnp.zeros(size, jnp.int32))
    return jax.lax.while_loop(lambda state: state[1] < target, draw, start)[3]


def merge_statistics(family: SufficientStatisticsFamily, real: Any, blocks: StatisticsBlocks, plan: SlotPlan) -> Any:
    """Sufficient statistics of all data that the plan uses, from those of its blocks.

    Blocks are merged one after the other, and a block of weight 0 changes no bit, so the result does not depend on the
    number of slots. A block's statistics already cover exactly the rows that plans use (see `Regime.fixed_block_use`).

    Args:
        family: The family whose statistics they are.
        real: Statistics of the real rows that the plan uses.
        blocks: Statistics of the synthetic blocks.
        plan: The plan.
    """
    count = jnp.concatenate([plan.counts[:1], blocks.counts]).astype(jnp.int32)
    weight = normalise_weights(jnp.where(plan.counts > 0, plan.weight, 0.0), count)
    zero = jax.tree.map(jnp.zeros_like, real)
    base = family.merge(zero, real, weight[0])

    def add(slot, statistics):
        return family.merge(statistics, jax.tree.map(lambda leaf: leaf[slot], blocks.statistics), weight[1 + slot])

    return jax.lax.fori_loop(0, blocks.counts.shape[0], add, base) if blocks.counts.shape[0] else base
