"""Minibatch optimal-transport pairing of noise with data inside blocks, on the lane's device.

By default pairs are permutations, which use every example once; pairs drawn from the plan with replacement, as in the code of
Tong et al., lose a third of each batch (`draw_pairs`). Host solvers cannot be called from a lane, so all blocks are solved
together: one step of the shortest-augmenting-path algorithm is a few vector operations over all blocks.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

Pairing = Literal["independent", "exact", "sinkhorn"]

SCANNED = 1 << 16
"""Flag added to the predecessor of a scanned column."""


def paired(
    key: PRNGKeyArray,
    x0: Float[Array, "n d"],
    x1: Float[Array, "n d"],
    *,
    pairing: Pairing,
    block: int,
    epsilon: float,
    iterations: int,
) -> Float[Array, "n d"]:
    """The rows of ``x0`` reordered, so that row i is paired with row i of ``x1``.

    Args:
        key: Randomness of the rounding of "sinkhorn".
        x0: Noise.
        x1: Data.
        pairing: "independent" keeps the order; "exact" minimises the sum of squared distances; "sinkhorn" samples a
            permutation from the entropic plan (`sample_permutation`).
        block: Pairs are computed inside blocks of this many consecutive rows; it divides n.
        epsilon: Regularisation of "sinkhorn", relative to the block's mean cost.
        iterations: Iterations of "sinkhorn".
    """
    if pairing == "independent":
        return x0
    a, b = (x.reshape(-1, block, x.shape[1]) for x in (x0, x1))
    # |a - b|^2 without |a|^2 and |b|^2, which are the same for all permutations. In full precision: accelerators would
    # compare rounded costs.
    cost = -2 * jnp.einsum("pid,pjd->pij", a, b, precision="highest")
    rows = assignment(cost) if pairing == "exact" else sample_permutation(key, plan(cost, a, b, epsilon, iterations))
    return jnp.take_along_axis(a, rows[:, :, None], axis=1).reshape(x0.shape)


def draw_pairs(
    key: PRNGKeyArray,
    x0: Float[Array, "n d"],
    x1: Float[Array, "n d"],
    *,
    pairing: Pairing,
    block: int,
    epsilon: float,
    iterations: int,
) -> tuple[Float[Array, "n d"], Int[Array, " n"]]:
    """Pairs drawn from the transport plan of each block, independently and with replacement.

    Returns:
        The noise of each pair, and the index of its data.

    References:
        Tong et al. 2024, arXiv:2302.00482, algorithm 3: (x_0, x_1) ~ pi, for each example of the minibatch.
    """
    a, b = (x.reshape(-1, block, x.shape[1]) for x in (x0, x1))
    cost = -2 * jnp.einsum("pid,pjd->pij", a, b, precision="highest")
    blocks = a.shape[0]
    if pairing == "exact":
        # The plan is a permutation with equal weights: drawing from it is drawing columns.
        columns = jax.random.randint(key, (blocks, block), 0, block)
        rows = jnp.take_along_axis(assignment(cost), columns, axis=1)
    else:
        log_plan = plan(cost, a, b, epsilon, iterations).reshape(blocks, 1, block * block)
        flat = jax.random.categorical(key, log_plan, axis=2, shape=(blocks, block))
        rows, columns = flat // block, flat % block
    noise = jnp.take_along_axis(a, rows[:, :, None], axis=1).reshape(x0.shape)
    return noise, (columns + block * jnp.arange(blocks)[:, None]).reshape(-1)


class _Search(NamedTuple):
    """State of the assignment: columns first and blocks last, so that minima over columns are vector operations over blocks."""

    v: Float[Array, "k p"]
    """Dual variables of columns."""
    distance: Float[Array, "k p"]
    """Length of the shortest alternating path to each column."""
    predecessor: Int[Array, "k p"]
    """Column before each column on its path; k: the path starts there. Plus `SCANNED`, once the column is scanned."""
    owner: Int[Array, "k p"]
    """Row assigned to each column; k: none."""
    is_reversing: Bool[Array, " p"]
    """Whether an augmenting path is complete, and is being reversed."""
    first: Int[Array, " p"]
    """Row at the start of the path."""
    row: Int[Array, " p"]
    """Row at the end of the path."""
    column: Int[Array, " p"]
    """Column at the end of the path; k: none."""
    offset: Float[Array, " p"]
    """Reduced cost of the last row in its column, minus the length of the path."""
    assigned: Int[Array, " p"]
    """Rows of the queue that are assigned."""
    count: Int[Array, ""]
    """Steps of the loop."""


@jax.custom_batching.custom_vmap
def assignment(cost: Float[Array, "p k k"]) -> Int[Array, "p k"]:
    """Linear assignment: the permutations of least cost of ``p`` square matrices, entry j the row assigned to column j.

    Shortest augmenting paths with dual variables, O(k^3) per matrix, initialised by assigning each row its cheapest column
    after subtraction of the column minima. All matrices advance in lockstep, one scanned column or one reversed edge at a
    time, until the last is solved. Exact up to rounding of float32 sums.

    References:
        Jonker and Volgenant 1987, Computing 38, 325-340.
    """
    p, k, _ = cost.shape
    columns = jnp.arange(k, dtype=jnp.int32)
    lowest = cost.min(axis=1)
    reduced = cost - lowest[:, None]
    cheapest = jnp.min(jnp.where(reduced == reduced.min(axis=2, keepdims=True), columns, k - 1), axis=2)
    owner = jnp.min(jnp.where(cheapest[:, :, None] == columns, columns[:, None], k), axis=1)
    is_assigned = jnp.take_along_axis(owner, cheapest, axis=1) == columns
    queue = jnp.argsort(is_assigned, axis=1, stable=True).astype(jnp.int32).T
    missing = k - is_assigned.sum(axis=1, dtype=jnp.int32)
    zero = jnp.zeros(p, jnp.int32)
    search = _Search(
        v=lowest.T,
        distance=jnp.full((k, p), jnp.inf),
        predecessor=jnp.full((k, p), k, jnp.int32),
        owner=owner.T,
        is_reversing=zero > 0,
        first=queue[0],
        row=queue[0],
        column=zero + k,
        offset=jnp.zeros(p),
        assigned=zero,
        count=jnp.zeros((), jnp.int32),
    )

    def is_unfinished(search):
        # Each row scans and reverses at most k columns; the bound ends the loop on NaN costs.
        return jnp.any(search.assigned < missing) & (search.count < k * (k + 2))

    return jax.lax.while_loop(is_unfinished, lambda search: _advance(search, cost, queue, missing), search).owner.T


def _advance(
    search: _Search, cost: Float[Array, "p k k"], queue: Int[Array, "k p"], missing: Int[Array, " p"]
) -> _Search:
    """One scanned column, or one reversed edge, in every block."""
    p, k, _ = cost.shape
    blocks, index = jnp.arange(p), jnp.arange(k, dtype=jnp.int32)[:, None]
    v, distance, predecessor, owner, is_reversing = search[:5]

    def take(table, j):
        return jnp.take_along_axis(table, j[None], axis=0, mode="promise_in_bounds")[0]

    # Scan: distances of all columns through the current row, then the nearest unscanned column.
    scanned = predecessor >= SCANNED
    through = cost.at[blocks, search.row].get(mode="promise_in_bounds").T - v - search.offset
    shorter = jnp.where(scanned, distance, jnp.minimum(distance, through))
    nearest = jnp.where(scanned, jnp.inf, shorter).min(axis=0)
    j = jnp.min(jnp.where((shorter == nearest) & ~scanned, index, k - 1), axis=0)
    holder = take(owner, j)
    is_complete = (holder >= k) & (search.assigned < missing) & ~is_reversing
    row = jnp.minimum(holder, k - 1)
    offset = cost.at[blocks, row, j].get(mode="promise_in_bounds") - take(v, j) - nearest
    # Reverse: along the augmenting path, every column is assigned to the row that reached it.
    last = jnp.minimum(search.column, k - 1)
    previous = take(predecessor, last) & (SCANNED - 1)
    heir = jnp.where(previous < k, take(owner, jnp.minimum(previous, k - 1)), search.first)
    is_reversed = is_reversing & (previous >= k)
    assigned = search.assigned + is_reversed
    following = take(queue, jnp.minimum(assigned, k - 1))
    reached = jnp.where(shorter < distance, search.column, predecessor) | jnp.where(index == j, SCANNED, 0)
    return _Search(
        v=jnp.where(scanned & is_complete, v + shorter - nearest, v),
        distance=jnp.where(is_reversing, jnp.inf, shorter),
        predecessor=jnp.where(is_reversing, predecessor & (SCANNED - 1), reached),
        owner=jnp.where((index == last) & is_reversing, heir, owner),
        is_reversing=jnp.where(is_reversing, ~is_reversed, is_complete),
        first=jnp.where(is_reversed, following, search.first),
        row=jnp.where(is_reversing, following, row),
        column=jnp.where(is_reversing, previous, j),
        offset=jnp.where(is_reversing, 0.0, offset),
        assigned=assigned,
        count=search.count + 1,
    )


@assignment.def_vmap
def _assignment_of_batches(size, batched, cost):
    # More blocks, instead of a batched while loop, which would select every state by whether its batch is finished.
    del batched
    return assignment(cost.reshape(-1, *cost.shape[2:])).reshape(size, *cost.shape[1:3]), True


def plan(
    cost: Float[Array, "p k k"], a: Float[Array, "p k d"], b: Float[Array, "p k d"], epsilon: float, iterations: int
) -> Float[Array, "p k k"]:
    """Log entropic transport plans, up to a constant, between the rows of ``a`` and of ``b``.

    References:
        Cuturi 2013, arXiv:1306.0895, algorithm 1, in the log domain.
    """
    full = (a**2).sum(axis=2)[:, :, None] + (b**2).sum(axis=2)[:, None, :] + cost
    scale = epsilon * jnp.maximum(full.mean(axis=(1, 2), keepdims=True), jnp.finfo(jnp.float32).tiny)
    log_kernel = -cost / scale

    def balance(_, log_plan):
        log_plan = log_plan - jax.nn.logsumexp(log_plan, axis=2, keepdims=True)
        return log_plan - jax.nn.logsumexp(log_plan, axis=1, keepdims=True)

    return jax.lax.fori_loop(0, iterations, balance, log_kernel)


def sample_permutation(key: PRNGKeyArray, log_plan: Float[Array, "p k k"]) -> Int[Array, "p k"]:
    """Permutations sampled from transport plans: entry j is the row assigned to column j.

    Columns are assigned in turn, each a row among the remaining ones, with probabilities proportional to its column of the
    plan. The first columns follow the plan exactly, the last ones hardly; rows of a minibatch have no order, so that no
    example is favoured.
    """
    p, k, _ = log_plan.shape
    score = log_plan + jax.random.gumbel(key, log_plan.shape)

    def choose(assigned, column):
        row = jnp.argmax(jnp.where(assigned, -jnp.inf, column), axis=1)
        return assigned | (jnp.arange(k) == row[:, None]), row

    _, rows = jax.lax.scan(choose, jnp.zeros((p, k), bool), jnp.moveaxis(score, 2, 0))
    return rows.T
