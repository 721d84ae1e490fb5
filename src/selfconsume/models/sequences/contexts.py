"""Which positions of a sequence hold tokens, and what stands before each of them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

END = 0
"""Token that ends a sequence, where the vocabulary has one."""


def present(x: Int[Array, "n length"], has_end: bool) -> Bool[Array, "n length"]:
    """Positions up to the first end, which is included; what follows is padding."""
    if not has_end:
        return jnp.ones(x.shape, bool)
    is_end = (x == END).astype(jnp.int32)
    return jnp.cumsum(is_end, axis=1) - is_end == 0


def preceding(x: Int[Array, "n length"], order: int, start: int) -> Int[Array, "order n length"]:
    """The tokens before each position, nearest first; ``start`` stands before the first token."""
    shifted = [
        jnp.pad(x, ((0, 0), (distance, 0)), constant_values=start)[:, : x.shape[1]] for distance in range(1, order + 1)
    ]
    return jnp.stack(shifted) if shifted else jnp.zeros((0, *x.shape), x.dtype)


def padded_after_end(x: Int[Array, "n length"], has_end: bool) -> Int[Array, "n length"]:
    """The sequences with ends in place of everything after their first end."""
    return jnp.where(present(x, has_end), x, END) if has_end else x


def search(
    column: Int[Array, " rows"] | jax.Array, value: jax.Array, low: jax.Array, high: jax.Array, *, right: bool = False
) -> Int[Array, "..."]:
    """First index in ``[low, high)`` whose entry is not below the value (``right``: above it); ``high`` if there is none.

    A binary search in many ranges of one array at once; the entries of each range are sorted.

    Args:
        column: The entries.
        value: The value of each search.
        low: First index of each range.
        high: Index behind each range.
        right: Whether entries equal to the value are skipped.
    """

    def halve(_, bounds):
        first, last = bounds
        middle = (first + last) // 2
        entry = column[jnp.minimum(middle, column.shape[0] - 1)]
        goes_right = (entry <= value if right else entry < value) & (first < last)
        return jnp.where(goes_right, middle + 1, first), jnp.where(goes_right | (first >= last), last, middle)

    steps = int(column.shape[0]).bit_length()
    return jax.lax.fori_loop(0, steps, halve, (low, high))[0]
