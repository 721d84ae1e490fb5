"""Examples as points: flattening, squared distances, and sweeps over blocks of rows.

Pairwise metrics are built on `squared_distances` and `row_blocks`, so that no metric holds all N x N distances.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from selfconsume.types import Samples, Source

DIRECT = 8
"""Up to this dimension distances are sums of squared differences; above it they come from a matrix product."""

SNAP = 16 * float(np.finfo(np.float32).eps)
"""Squared distances below this share of the squared norms are rounding of the matrix product, and are set to 0."""


def points(x: Samples | np.ndarray) -> Float[Array, "n d"]:
    """Examples ``(n, *shape)`` as float32 rows ``(n, d)``; uint8 images are scaled to [0, 1]."""
    scale = 255.0 if x.dtype == np.uint8 else 1.0
    return jnp.asarray(x).reshape(x.shape[0], math.prod(x.shape[1:])).astype(jnp.float32) / scale


def host_points(x: Samples | np.ndarray, valid: Array | np.ndarray | None = None) -> Float[np.ndarray, "n d"]:
    """Examples ``(n, *shape)`` as float64 NumPy rows, invalid ones dropped; uint8 images are scaled to [0, 1]."""
    x = np.asarray(x)
    scale = 255.0 if x.dtype == np.uint8 else 1.0
    flat = x.reshape(x.shape[0], math.prod(x.shape[1:])).astype(np.float64) / scale
    return flat if valid is None else flat[np.asarray(valid)]


def real_set(source: Source, key: PRNGKeyArray, against: str) -> Samples:
    """The real examples that samples are compared with: the "test" or the "train" set."""
    return source.train(key) if against == "train" else source.test(key)


def squared_distances(x: Float[Array, "n d"], y: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """Squared Euclidean distances of all pairs; 0 for equal rows, inf beyond float32.

    In more than `DIRECT` dimensions they are ``|x|^2 + |y|^2 - 2 x.y``, whose rounding error is relative to the norms, not
    to the distance: points should be centred first, and points closer than about 1/1000 of their norm count as equal.
    """
    if x.shape[1] <= DIRECT:
        total = jnp.zeros((x.shape[0], y.shape[0]), x.dtype)
        for i in range(x.shape[1]):
            total = total + jnp.square(x[:, i, None] - y[None, :, i])
        return total
    norms = jnp.sum(jnp.square(x), axis=1)[:, None] + jnp.sum(jnp.square(y), axis=1)[None, :]
    squared = norms - 2 * jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
    # Norms beyond float32 are far from everything; inf <= SNAP * inf would make them equal to everything.
    return jnp.where(jnp.isfinite(norms), jnp.where(squared <= SNAP * norms, 0.0, squared), jnp.inf)


def row_blocks(
    x: Float[Array, "n d"], valid: Bool[Array, " n"], block: int
) -> tuple[Float[Array, "blocks rows d"], Bool[Array, "blocks rows"], Int[Array, "blocks rows"]]:
    """Rows in blocks of at most ``block``, for a scan: rows, validity and indices; padding is invalid."""
    n = x.shape[0]
    rows = min(block, n)
    blocks = -(-n // rows)
    extra = blocks * rows - n
    index = jnp.arange(blocks * rows).reshape(blocks, rows)
    x = jnp.pad(x, ((0, extra), (0, 0))).reshape(blocks, rows, x.shape[1])
    return x, jnp.pad(valid, (0, extra)).reshape(blocks, rows), index


def masked_mean(x: Float[Array, "n d"], valid: Bool[Array, " n"]) -> Float[Array, " d"]:
    """Mean over valid rows, exactly the row if all are equal; nan if none is valid."""
    first = x[jnp.argmax(valid)]
    return first + jnp.sum(jnp.where(valid[:, None], x - first, 0.0), axis=0) / jnp.sum(valid)


def nearest(
    x: Float[Array, "n d"], y: Float[Array, "m d"], block: int, *, exclude_self: bool = False
) -> tuple[Float[Array, " n"], Int[Array, " n"]]:
    """Squared distance of each row of x to its nearest row of y, and the index of that row; ``block`` rows at a time.

    With ``others``, x is y, and a row is not its own neighbour; inf if there is no other.
    """

    def nearest_of_block(_, rows):
        x_block, _, index = rows
        squared = squared_distances(x_block, y)
        if exclude_self:
            squared = jnp.where(index[:, None] == jnp.arange(y.shape[0])[None, :], jnp.inf, squared)
        return None, (jnp.min(squared, axis=1), jnp.argmin(squared, axis=1))

    _, (least, which) = jax.lax.scan(nearest_of_block, None, row_blocks(x, jnp.ones(x.shape[0], bool), block))
    return least.reshape(-1)[: x.shape[0]], which.reshape(-1)[: x.shape[0]]
