"""Sampling in batches of bounded size, which the devices of a lane share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from selfconsume import validity
from selfconsume.models.training import data_parallel
from selfconsume.models.training.scaling import is_image
from selfconsume.types import Samples

SAMPLE_BATCH = 512
"""Largest number of examples sampled at once. Activations of 50,000 images fit into no memory, and those of as many vectors
into no CPU's cache: 10,000 vectors at width 128 take three quarters of the time in batches."""


def decoded_samples(
    key: PRNGKeyArray,
    n: int,
    shape: tuple[int, ...],
    draw: Callable[[PRNGKeyArray, int], Float[Array, "..."]],
    decode: Callable[[Float[Array, "..."]], Samples],
) -> tuple[Samples, Bool[Array, " n"]]:
    """``n`` examples in the data's units, and which are valid: finite before `decode`, because bytes hold no NaN.

    Args:
        key: Randomness of all of them.
        n: How many.
        shape: Shape of an example.
        draw: ``draw(key, count)`` samples in network units.
        decode: The map from network units to data.
    """

    def batch(key, count):
        z = draw(key, count)
        return decode(z), validity.finite(z)

    return in_batches(key, n, shape, batch)


def in_batches(key: PRNGKeyArray, n: int, shape: tuple[int, ...], draw: Callable[[PRNGKeyArray, int], Any]) -> Any:
    """``n`` examples by ``draw(key, count)``, in equal batches of at most `SAMPLE_BATCH`, one after the other.

    ``draw`` returns an array or a pytree of arrays with a row for each example. Vectors are drawn at once on accelerators:
    there, many small steps are slow, and the activations fit. The devices of a lane share the batches.
    """
    is_single_batch = not is_image(shape) and jax.default_backend() != "cpu"
    if is_single_batch or n <= SAMPLE_BATCH:
        return draw(key, n)
    count = -(-n // SAMPLE_BATCH)
    size = -(-n // count)
    keys = data_parallel.local_rows(data_parallel.pad_rows(jax.random.split(key, count)))
    batches = jax.lax.map(lambda key: draw(key, size), keys)
    rows = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), batches)
    return jax.tree.map(lambda leaf: leaf[:n], data_parallel.all_rows(rows))
