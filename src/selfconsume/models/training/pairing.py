"""Pairs noise with data inside small blocks, as permutations, on whatever device the lane runs on.

Sampling a plan with replacement would lose a third of each batch; a permutation uses every example once. Host solvers
cannot be called from a lane, so blocks are solved side by side: one step of the shortest-augmenting-path algorithm is a
few operations on vectors over all blocks.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

Pairing = Literal["independent", "exact", "sinkhorn"]

SCANNED = 1 << 16
"""Added to a column's predecessor once the column has been scanned."""


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
    """The rows of ``x0`` in an order in which row i is paired with row i of ``x1``.

    Args:
        key: Randomness of the rounding of "sinkhorn".
        x0: Noise.
        x1: Data.
        pairing: "independent" leaves the order; "exact" minimises the sum of squared distances; "sinkhorn" draws a
            permutation by the entropic plan (`drawn`).
        block: Pairs are made inside blocks of so many consecutive rows; it divides n.
        epsilon: Regularisation of "sinkhorn", relative to the block's mean cost.
        iterations: Iterations of "sinkhorn".
    """
    if pairing == "independent":
        return x0
    a, b = (x.reshape(-1, block, x.shape[1]) for x in (x0, x1))
    # |a - b|^2 but for terms of one side alone, which change no comparison of permutations. In full precision:
    # accelerators would otherwise compare rounded costs.
    cost = -2 * jnp.einsum("pid,pjd->pij", a, b, precision="highest")
    chosen = assignment(cost) if pairing == "exact" else drawn(key, plan(cost, a, b, epsilon, iterations))
    return jnp.take_along_axis(a, chosen[:, :, None], axis=1).reshape(x0.shape)


@jax.custom_batching.custom_vmap
def assignment(cost: Float[Array, "p k k"]) -> Int[Array, "p k"]:
    """The permutations of least cost of ``p`` square matrices: entry j is the row that is assigned to column j.

    Shortest augmenting paths with dual variables, O(k^3) a matrix, started by giving each row its cheapest column after
    subtraction of the column minima. All matrices advance in lockstep, one scanned column or one reversed edge at a time,
    until the last is done. Exact up to the rounding of float32 sums.

    References:
        Jonker and Volgenant 1987, Computing 38, 325-340.
    """
    p, k, _ = cost.shape
    blocks, columns = jnp.arange(p), jnp.arange(k, dtype=jnp.int32)
    # State has columns first and blocks last: sums and minima over columns are then vector operations over blocks.
    index = columns[:, None]

    def take(table, j):
        return jnp.take_along_axis(table, j[None], axis=0, mode="promise_in_bounds")[0]

    lowest = cost.min(axis=1)
    reduced = cost - lowest[:, None]
    wanted = jnp.min(jnp.where(reduced == reduced.min(axis=2, keepdims=True), columns, k - 1), axis=2)
    owner = jnp.min(jnp.where(wanted[:, :, None] == columns, columns[:, None], k), axis=1)
    served = jnp.take_along_axis(owner, wanted, axis=1) == columns
    waiting = jnp.argsort(served, axis=1, stable=True).astype(jnp.int32).T
    missing = k - served.sum(axis=1, dtype=jnp.int32)

    def goes_on(state):
        # Each row scans and reverses at most as many columns as there are; NaN costs must not loop for ever.
        return jnp.any(state["done"] < missing) & (state["count"] < k * (k + 2))

    def step(state):
        v, distance, before, owner, turn = (state[name] for name in ("v", "distance", "before", "owner", "turn"))
        # Scan: distances of all columns through the current row, then the nearest column that was not scanned yet.
        scanned = before >= SCANNED
        through = cost.at[blocks, state["row"]].get(mode="promise_in_bounds").T - v - state["offset"]
        shorter = jnp.where(scanned, distance, jnp.minimum(distance, through))
        nearest = jnp.where(scanned, jnp.inf, shorter).min(axis=0)
        j = jnp.min(jnp.where((shorter == nearest) & ~scanned, index, k - 1), axis=0)
        holder = take(owner, j)
        found = (holder >= k) & (state["done"] < missing) & ~turn
        row = jnp.minimum(holder, k - 1)
        offset = cost.at[blocks, row, j].get(mode="promise_in_bounds") - take(v, j) - nearest
        # Turn: along the path that was found, every column goes to the row that reached it.
        last = jnp.minimum(state["column"], k - 1)
        previous = take(before, last) & (SCANNED - 1)
        heir = jnp.where(previous < k, take(owner, jnp.minimum(previous, k - 1)), state["first"])
        finished = turn & (previous >= k)
        done = state["done"] + finished
        following = take(waiting, jnp.minimum(done, k - 1))
        reached = jnp.where(shorter < distance, state["column"], before) | jnp.where(index == j, SCANNED, 0)
        return {
            "v": jnp.where(scanned & found, v + shorter - nearest, v),
            "distance": jnp.where(turn, jnp.inf, shorter),
            "before": jnp.where(turn, before & (SCANNED - 1), reached),
            "owner": jnp.where((index == last) & turn, heir, owner),
            "turn": jnp.where(turn, ~finished, found),
            "first": jnp.where(finished, following, state["first"]),
            "row": jnp.where(turn, following, row),
            "column": jnp.where(turn, previous, j),
            "offset": jnp.where(turn, 0.0, offset),
            "done": done,
            "count": state["count"] + 1,
        }

    none = jnp.zeros(p, jnp.int32)
    state = {
        "v": lowest.T,
        "distance": jnp.full((k, p), jnp.inf),
        "before": jnp.full((k, p), k, jnp.int32),
        "owner": owner.T,
        "turn": none > 0,
        "first": waiting[0],
        "row": waiting[0],
        "column": none + k,
        "offset": jnp.zeros(p),
        "done": none,
        "count": jnp.zeros((), jnp.int32),
    }
    return jax.lax.while_loop(goes_on, step, state)["owner"].T


@assignment.def_vmap
def _side_by_side(size, batched, cost):
    # More blocks, instead of a loop in which every state is selected anew by whether its batch is done.
    del batched
    return assignment(cost.reshape(-1, *cost.shape[2:])).reshape(size, *cost.shape[1:3]), True


def plan(
    cost: Float[Array, "p k k"], a: Float[Array, "p k d"], b: Float[Array, "p k d"], epsilon: float, iterations: int
) -> Float[Array, "p k k"]:
    """Logarithms, up to a constant, of the entropic plans between the rows of ``a`` and of ``b``.

    References:
        Cuturi 2013, arXiv:1306.0895, algorithm 1, on logarithms.
    """
    full = (a**2).sum(axis=2)[:, :, None] + (b**2).sum(axis=2)[:, None, :] + cost
    scale = epsilon * jnp.maximum(full.mean(axis=(1, 2), keepdims=True), jnp.finfo(jnp.float32).tiny)
    log_kernel = -cost / scale

    def balance(_, log_plan):
        log_plan = log_plan - jax.nn.logsumexp(log_plan, axis=2, keepdims=True)
        return log_plan - jax.nn.logsumexp(log_plan, axis=1, keepdims=True)

    return jax.lax.fori_loop(0, iterations, balance, log_kernel)


def drawn(key: PRNGKeyArray, log_plan: Float[Array, "p k k"]) -> Int[Array, "p k"]:
    """Permutations drawn by plans: entry j is the row that column j received.

    Columns choose in turn, each among the rows that are left, with probabilities in proportion to its column of the plan.
    The first columns follow the plan exactly, the last ones take what is left; rows of a minibatch have no order, so that
    no example is favoured.
    """
    p, k, _ = log_plan.shape
    score = log_plan + jax.random.gumbel(key, log_plan.shape)

    def choose(taken, column):
        row = jnp.argmax(jnp.where(taken, -jnp.inf, column), axis=1)
        return taken | (jnp.arange(k) == row[:, None]), row

    _, rows = jax.lax.scan(choose, jnp.zeros((p, k), bool), jnp.moveaxis(score, 2, 0))
    return rows.T
