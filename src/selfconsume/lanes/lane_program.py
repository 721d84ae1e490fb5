"""Compilation of a function of one lane for many lanes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from selfconsume.lanes.layout import DeviceLayout
from selfconsume.models.training.data_parallel import LANES
from selfconsume.tracing import traced_in_lane


def lane_program(
    f: Callable[[Any, Any], Any], layout: DeviceLayout, reuse: str | None = None
) -> Callable[[int, Any, Any], Any]:
    """Compiles ``f(shared, lane)`` into ``program(count, shared, lanes)``.

    Args:
        f: A pure function of one lane. ``shared`` is the same for all lanes, ``lane`` a pytree of this lane's arrays.
        layout: Where it runs.
        reuse: The entry of ``lanes``, then a dictionary, whose buffers may be reused for the output.

    Returns:
        A function of the number of real lanes, the shared arrays and the lanes' arrays, whose leading axes are
        `DeviceLayout.padded`. Lanes behind ``count`` give zeros.
    """
    f = traced_in_lane(f)

    def loop(counts, shared, reused, lanes):
        lanes = {**lanes, **reused} if reuse else lanes
        # Traced once: `eval_shape` and the loop's body call the same jitted function.
        lane_function = jax.jit(f)
        example = jax.eval_shape(lambda tree: lane_function(shared, jax.tree.map(lambda a: a[0], tree)), lanes)
        size = jax.tree.leaves(lanes)[0].shape[0]
        if size == 1:
            # The compiler sees through an axis of length 1, fuses other operations, and the last bits differ.
            lanes = jax.tree.map(lambda a: jnp.concatenate([a, a]), lanes)
        empty = jax.tree.map(lambda s: jnp.zeros((max(size, 2), *s.shape), s.dtype), example)

        def body(i, out):
            y = lane_function(shared, jax.tree.map(lambda a: jax.lax.dynamic_index_in_dim(a, i, keepdims=False), lanes))
            return jax.tree.map(lambda o, v: jax.lax.dynamic_update_index_in_dim(o, v, i, 0), out, y)

        out = jax.lax.fori_loop(0, counts[0], body, empty)
        return jax.tree.map(lambda leaf: leaf[:size], out)

    def vectorise(counts, shared, reused, lanes):
        del counts
        lanes = {**lanes, **reused} if reuse else lanes
        return jax.vmap(lambda lane: f(shared, lane))(lanes)

    spec = PartitionSpec(LANES)
    sharded = jax.shard_map(
        loop if layout.loop else vectorise,
        mesh=layout.mesh,
        in_specs=(spec, PartitionSpec(), spec, spec),
        out_specs=spec,
        check_vma=False,
    )
    compiled = jax.jit(sharded, donate_argnums=2, out_shardings=layout.sharding)

    def program(count: int, shared: Any, lanes: Any) -> Any:
        reused = {reuse: lanes[reuse]} if reuse else {}
        remaining = {name: leaf for name, leaf in lanes.items() if name != reuse} if reuse else lanes
        return compiled(_counts(layout, count), shared, reused, remaining)

    return program


@functools.lru_cache(maxsize=4096)
def _counts(layout: DeviceLayout, count: int) -> jax.Array:
    """Number of real lanes on each device, or group of devices, of the mesh's lane axis."""
    size = layout.padded(count) // layout.groups
    counts = np.clip(count - np.arange(layout.groups) * size, 0, size).astype(np.int32)
    return layout.place(counts, layout.sharding)
