"""Data parallelism inside one lane: the rows of a batch are divided among the devices of the lane.

Functions of a lane call these wherever the rows of a batch are independent of each other. Outside a lane program, and where
a lane has one device, they return their arguments.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

LANES, DATA = "lanes", "data"
"""The axes of a layout's mesh: lanes, and the devices of one lane."""


def n_devices() -> int:
    """Devices of a lane in the program being traced."""
    return jax.sharding.get_abstract_mesh().shape.get(DATA, 1)


def local_rows(batch: Any) -> Any:
    """This device's rows of arrays that are replicated on the lane's devices; their number is a multiple of `n_devices()`."""
    if n_devices() == 1:
        return batch

    def rows(array: jax.Array) -> jax.Array:
        count = array.shape[0] // n_devices()
        return jax.lax.dynamic_slice_in_dim(array, jax.lax.axis_index(DATA) * count, count)

    return jax.tree.map(rows, batch)


def mean(tree: Any) -> Any:
    """Means over the devices of the lane: of means over equal shares of a batch, the means over the batch."""
    return tree if n_devices() == 1 else jax.lax.pmean(tree, DATA)


def all_rows(tree: Any) -> Any:
    """Rows gathered from all devices of the lane, in the order of `local_rows`, replicated on each of them."""
    return tree if n_devices() == 1 else jax.lax.all_gather(tree, DATA, tiled=True)


def pad_rows(array: jax.Array) -> jax.Array:
    """Rows padded by copies of the last one to a multiple of `n_devices()`."""
    missing = -array.shape[0] % n_devices()
    return jnp.concatenate([array, jnp.repeat(array[-1:], missing, axis=0)]) if missing else array
