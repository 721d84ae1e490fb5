"""Rows drawn by weight."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray


def by_weight(key: PRNGKeyArray, weight: Float[Array, " n"], size: int) -> Int[Array, " size"]:
    """``size`` row numbers, each drawn with probability proportional to its weight, independently.

    A row of weight 0 is never drawn. That needs care: a cumulative sum computed in parallel is not monotone in float32, so
    that a row without weight can own a sliver of it.
    """
    rows = jnp.arange(weight.shape[0])
    cumulative = jax.lax.cummax(jnp.cumsum(weight))
    drawn = jnp.searchsorted(cumulative, jax.random.uniform(key, (size,)) * cumulative[-1], side="right")
    # Where a sliver was hit, the last row before it that has weight is taken; before the first, the first.
    heavy = weight > 0
    snapped = jax.lax.cummax(jnp.where(heavy, rows, jnp.argmax(heavy)))
    return snapped[jnp.minimum(drawn, weight.shape[0] - 1)]
