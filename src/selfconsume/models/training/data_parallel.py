"""One lane on several devices: which rows of a batch a device takes, and how what it made of them is joined.

Functions of a lane call these wherever a batch's rows are independent of each other. Outside of a lane program, and where a
lane has one device, they do nothing at all.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

LANES, DATA = "lanes", "data"
"""The axes of a layout's mesh: lanes beside each other, and the devices of one lane."""


def parts() -> int:
    """Devices of a lane in the program that is being traced."""
    return jax.sharding.get_abstract_mesh().shape.get(DATA, 1)


def own(batch: Any) -> Any:
    """This device's rows of arrays that are the same on all devices of the lane; their number is a multiple of `parts()`."""
    if parts() == 1:
        return batch

    def rows(array: jax.Array) -> jax.Array:
        count = array.shape[0] // parts()
        return jax.lax.dynamic_slice_in_dim(array, jax.lax.axis_index(DATA) * count, count)

    return jax.tree.map(rows, batch)


def mean(tree: Any) -> Any:
    """Means over the devices of the lane: of means over equal shares of a batch, the means over the batch."""
    return tree if parts() == 1 else jax.lax.pmean(tree, DATA)


def joined(tree: Any) -> Any:
    """Rows of all devices of the lane, in the order of `own`, on each of them."""
    return tree if parts() == 1 else jax.lax.all_gather(tree, DATA, tiled=True)


def filled(array: jax.Array) -> jax.Array:
    """Rows with the last one repeated, so that `own` can divide them."""
    missing = -array.shape[0] % parts()
    return jnp.concatenate([array, jnp.repeat(array[-1:], missing, axis=0)]) if missing else array
