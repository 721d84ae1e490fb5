"""Rows of examples that failed, and cells that are masked: which they are, and what takes their place."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool


def finite(x: Array) -> Bool[Array, " n"]:
    """Which rows hold finite numbers only."""
    return jnp.isfinite(x.reshape(x.shape[0], -1).astype(jnp.float32)).all(axis=1)


def zeroed(x: Array, valid: Bool[Array, " n"]) -> Array:
    """``x`` with zeros in rows that are not valid (0 x NaN is NaN: a weight alone is not enough)."""
    return jnp.where(valid.reshape(-1, *([1] * (x.ndim - 1))), x, jnp.zeros_like(x))


def unmasked(x: Any) -> Any:
    """An array whose masked cells (`numpy.ma`) are missing: NaN, or None among texts.

    NumPy itself gives what lies below the mask. Lists of such arrays are stacked; anything else is given back as it is.
    """
    if isinstance(x, list | tuple) and any(isinstance(row, np.ma.MaskedArray) for row in x):
        x = np.ma.stack(x)
    if not isinstance(x, np.ma.MaskedArray):
        return x
    if not np.ma.is_masked(x):
        return x.data
    mask = np.ma.getmaskarray(x)
    cells = x.data.astype(np.float64 if x.dtype.kind in "biuf" else object)
    cells[mask] = np.nan if x.dtype.kind in "biuf" else None
    return cells
