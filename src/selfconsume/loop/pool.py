"""The pool: everything that can be trained on, and how a plan turns it into weighted training data.

Block 0 is the real block; the synthetic blocks lie in a ring of ``capacity`` slots, block of generation ``g`` in slot
``g % capacity``. A plan speaks of blocks by age, newest first; `place` translates it once, on the host, so that nothing is
ever moved on the device. Counts run over valid rows: a row that is not finite is zeroed, never first_valid, never drawn.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from selfconsume.models.training.sufficient_statistics import Summarised
from selfconsume.types import Plan, Samples


class Placed(NamedTuple):
    """A plan by slots, as arrays: index 0 is the real block, index ``1 + slot`` a synthetic one."""

    counts: Int[Array | np.ndarray, " slots"]
    weight: Float[Array | np.ndarray, " slots"]
    budget: Int[Array | np.ndarray, ""]
    fresh: Bool[Array | np.ndarray, ""]


def capacity(t: int, lookback: int | None) -> int:
    """Slots in use when generation ``t`` is trained: the next power of two, so that few programs are compiled.

    A function of ``t`` and of the regime's lookback only; a longer horizon therefore changes no number.
    """
    reach = t if lookback is None else min(t, lookback)
    return 1 << max(0, reach - 1).bit_length()


def place(plan: Plan, t: int, slots: int) -> Placed:
    """Translates a plan of generation ``t`` from ages to slots.

    Raises:
        ValueError: The plan uses more generations than exist or than the pool keeps.
    """
    use = np.zeros(1 + slots, np.int32)
    weight = np.zeros(1 + slots, np.float32)
    use[0], weight[0] = plan.counts[0], plan.weight[0]
    for age, (count, each) in enumerate(zip(plan.counts[1:], plan.weight[1:], strict=True)):
        if count and (age >= t or age >= slots):
            raise ValueError(
                f"the plan of generation {t} uses {age + 1} synthetic blocks; {min(t, slots)} are in the pool"
            )
        if count:
            slot = 1 + (t - 1 - age) % slots
            use[slot], weight[slot] = count, each
    return Placed(use, weight, np.array(plan.budget or 0, np.int32), np.array(plan.fresh))


def pad_slots(blocks: Array, slots: int) -> Array:
    """Blocks with empty slots added up to ``slots``. The ring has not turned before it has its full size."""
    extra = slots - blocks.shape[0]
    return jnp.concatenate([blocks, jnp.zeros((extra, *blocks.shape[1:]), blocks.dtype)]) if extra > 0 else blocks


def all_valid(valid: Bool[Array, "*blocks rows"], use: Int[Array, "*blocks"]) -> Bool[Array, ""]:
    """Whether every row of every block in use is valid: nearly always, and then nothing has to be first_valid.

    Counting is slow in a large pool.
    """
    return (valid.all(axis=-1) | (use == 0)).all()


def first_valid(valid: Bool[Array, "*blocks rows"], use: Int[Array, "*blocks"]) -> Bool[Array, "*blocks rows"]:
    """The first ``use`` valid rows of each block."""
    return jax.lax.cond(
        all_valid(valid, use),
        lambda: jnp.broadcast_to(jnp.arange(valid.shape[-1]) < use[..., None], valid.shape),
        lambda: valid & (jnp.cumsum(valid, axis=-1, dtype=jnp.int32) <= use[..., None]),
    )


def scaled(weight: Float[Array, " k"], count: Int[Array, " k"]) -> Float[Array, " k"]:
    """Weights scaled so that ``sum(count * weight)`` is the number used, ``sum(count)`` over weights that are not 0."""
    number = jnp.sum(jnp.where(weight > 0, count, 0))
    # Summed in order, so that empty slots behind the last block change no bit.
    total = jax.lax.fori_loop(
        0, count.shape[0], lambda i, sum_: sum_ + count[i] * weight[i], jnp.zeros((), jnp.float32)
    )
    return jnp.where(total > 0, weight * (number / jnp.where(total > 0, total, 1.0)), 0.0)


def rows(
    real: Samples, blocks: Samples, valid: Bool[Array, "slots block"], plan: Placed
) -> tuple[Samples, Float[Array, " n"]]:
    """All rows of the pool and their weights: what a fit without a budget trains on.

    Returns:
        Examples ``(n_real + slots * block, *shape)`` and weights that sum to the number of rows used.
    """
    use_real, use = _masks(real, valid, plan)
    weight = scaled(plan.weight, jnp.concatenate([use_real.sum()[None], use.sum(axis=1)]).astype(jnp.int32))
    x = jnp.concatenate([real, blocks.reshape(-1, *blocks.shape[2:])])
    return x, jnp.concatenate([use_real * weight[0], (use * weight[1:, None]).reshape(-1)])


def sample_budget(
    key: PRNGKeyArray,
    real: Samples,
    blocks: Samples,
    valid: Bool[Array, "slots block"],
    plan: Placed,
    size: int,
    *,
    mixed: bool = True,
) -> tuple[Samples, Float[Array, " size"]]:
    """The rows that the plan names, or a random budget of them without replacement, gathered into ``size`` rows.

    Args:
        key: Randomness of the draw.
        real: The real block.
        blocks: The synthetic blocks.
        valid: Their finite rows.
        plan: Without a budget (0), all rows are taken, in order.
        size: Rows of the result; at least the budget, or the number of rows used where there is none.
        mixed: Whether some lanes of the program have no budget. Where all have one, taking all rows is not compiled in.

    Returns:
        Examples ``(size, *shape)`` and weights. Rows beyond those taken have weight 0.
    """
    use = jnp.where(plan.weight > 0, plan.counts, 0)
    is_valid = all_valid(valid, use[1:])
    sizes = jax.lax.cond(is_valid, lambda: use[1:], lambda: jnp.minimum(use[1:], valid.sum(axis=1, dtype=jnp.int32)))
    number = jnp.concatenate([use[:1], sizes])
    ends = jnp.cumsum(number)
    chosen = subset(key, real.shape[0] + valid.size, ends[-1], size, jnp.minimum(plan.budget, size))
    count = jnp.minimum(plan.budget, ends[-1])
    if mixed:
        chosen = jnp.where(plan.budget > 0, chosen, jnp.arange(size))
        count = jnp.where(plan.budget > 0, count, ends[-1])
    taken = jnp.arange(size) < count
    block = jnp.where(taken, jnp.searchsorted(ends, chosen, side="right"), 0)
    row = jnp.where(taken, chosen - (ends - number)[block], 0)
    per_block = jnp.zeros(plan.weight.shape[0], jnp.int32).at[block].add(taken)
    weight = jnp.where(taken, scaled(plan.weight, per_block)[block], 0.0)
    synthetic, own = jnp.maximum(block - 1, 0), jnp.where(block == 0, 0, row)

    def nth_valid():
        return jnp.argsort(~valid, axis=1, stable=True)[synthetic, own].astype(jnp.int32)

    is_real = (block == 0).reshape(-1, *([1] * (real.ndim - 1)))
    x = blocks[synthetic, jax.lax.cond(is_valid, lambda: own, nth_valid)]
    return jnp.where(is_real, real[jnp.where(block == 0, row, 0)], x), weight


def subset(
    key: PRNGKeyArray, capacity: int, total: Int[Array, ""], size: int, number: Int[Array, ""]
) -> Int[Array, " size"]:
    """``number <= size`` different numbers below ``total``, or all of them if there are fewer, uniformly at random.

    Numbers are drawn with replacement, and one that was drawn before is passed over: what remains is a draw without
    replacement, in about ``O(size)`` time. A rank (`argsort` of uniforms) gives the same law but sorts the whole pool.

    Args:
        key: Randomness of the draw.
        capacity: No total is larger. It changes no bit.
        total: How many numbers there are.
        size: Length of the result; what is behind the drawn numbers means nothing.
        number: How many to draw.
    """
    target = jnp.minimum(number, total)
    tries = 2 * size
    span = jnp.maximum(total, 1).astype(jnp.uint32)

    def draw(state):
        turn, count, first, result = state
        bits = jax.random.bits(jax.random.fold_in(key, turn), (tries,), jnp.uint32)
        # Of the last, incomplete run through the numbers no draw counts: all stay equally likely.
        fair = bits < (jnp.uint32(2**32 - 1) // span) * span
        drawn = jnp.where(fair, bits % span, jnp.uint32(capacity)).astype(jnp.int32)
        when = turn * tries + jnp.arange(tries, dtype=jnp.int32)
        first = first.at[drawn].min(when, mode="drop")
        new = fair & (first[drawn] == when)
        place = jnp.where(new, count + jnp.cumsum(new, dtype=jnp.int32) - 1, size)
        return turn + 1, count + new.sum(dtype=jnp.int32), first, result.at[place].set(drawn, mode="drop")

    never = jnp.full(capacity, jnp.iinfo(jnp.int32).max)
    start = (0, jnp.zeros((), jnp.int32), never, jnp.zeros(size, jnp.int32))
    return jax.lax.while_loop(lambda state: state[1] < target, draw, start)[3]


def summarised(
    family: Summarised, real: Any, real_count: Int[Array, ""], blocks: Any, counts: Any, plan: Placed
) -> Any:
    """The summary of everything that the plan uses, from the summaries of its blocks.

    Blocks are merged one after the other, and a block of weight 0 changes no bit, so the result does not depend on the
    number of slots. A summary already covers just the rows that the plan uses (see `Regime.fixed_block_use`).
    """
    count = jnp.concatenate([real_count[None], counts]).astype(jnp.int32)
    weight = scaled(jnp.where(plan.counts > 0, plan.weight, 0.0), count)
    nothing = jax.tree.map(jnp.zeros_like, real)
    base = family.merge(nothing, real, weight[0])

    def add(slot, summary):
        return family.merge(summary, jax.tree.map(lambda leaf: leaf[slot], blocks), weight[1 + slot])

    return jax.lax.fori_loop(0, counts.shape[0], add, base) if counts.shape[0] else base


def _masks(real: Samples, valid: Bool[Array, "slots block"], plan: Placed):
    used_real = jnp.arange(real.shape[0]) < plan.counts[0]
    return used_real & (plan.weight[0] > 0), first_valid(valid, plan.counts[1:]) & (plan.weight[1:, None] > 0)
