"""Functions of rows, applied to batches of bounded size."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array


def map_rows(f: Callable[[Array], Array], x: Array, size: int) -> Array:
    """``f(x)`` of a function of rows, at most ``size`` rows at a time; the last batch is padded with zeros."""
    n = x.shape[0]
    if n <= size:
        return f(x)
    portions = -(-n // size)
    filled = jnp.pad(x, ((0, portions * size - n), *[(0, 0)] * (x.ndim - 1)))
    parts = jax.lax.map(f, filled.reshape(portions, size, *x.shape[1:]))
    return parts.reshape(portions * size, *parts.shape[2:])[:n]
