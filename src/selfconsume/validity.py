"""Rows of examples that failed: which they are, and what takes their place."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool


def finite(x: Array) -> Bool[Array, " n"]:
    """Which rows hold finite numbers only."""
    return jnp.isfinite(x.reshape(x.shape[0], -1).astype(jnp.float32)).all(axis=1)


def zeroed(x: Array, valid: Bool[Array, " n"]) -> Array:
    """``x`` with zeros in rows that are not valid (0 x NaN is NaN: a weight alone is not enough)."""
    return jnp.where(valid.reshape(-1, *([1] * (x.ndim - 1))), x, jnp.zeros_like(x))
