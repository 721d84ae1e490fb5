"""How a batch of runs is laid on devices: one compiled program, one lane a run.

On CPUs a lane program is a loop over lanes inside `shard_map` over at least two virtual devices. The loop's length is data,
so the compiler sees the same program for any number of lanes, and the number of lanes changes no bit of any lane. On
accelerators lanes are `vmap`ped inside `shard_map` over the devices, and equality holds to float tolerance only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import platform
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def start_jax() -> None:
    """Sets what must be set before JAX starts: virtual CPU devices and the persistent compilation cache.

    Called by every entry point of the package. If JAX has already started with one CPU device, lanes still run, on that
    one device; the layout in the record says so.
    """
    # The package's import has put the number into the environment; JAX may have been imported, and have read it, before.
    wanted = os.environ.get("JAX_NUM_CPU_DEVICES")
    if wanted and jax.config.jax_num_cpu_devices < 1:
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", int(wanted))
    if jax.config.jax_compilation_cache_dir is None:
        root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        cpu = "".join(c if c.isalnum() else "-" for c in cpu_model())
        jax.config.update(
            "jax_compilation_cache_dir", os.path.join(root, "selfconsume", f"jax-{jaxlib.__version__}-{cpu}")
        )
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


@functools.cache
def cpu_model() -> str:
    """The processor's name, as the operating system gives it."""
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@dataclasses.dataclass(frozen=True)
class Layout:
    """The devices that lanes are spread over, and whether they loop (CPU) or are vectorised (accelerators)."""

    devices: tuple[jax.Device, ...]
    loop: bool

    @classmethod
    def default(cls) -> Layout:
        """All local devices of JAX's default backend."""
        start_jax()
        devices = tuple(jax.local_devices())
        return cls(devices, loop=devices[0].platform == "cpu")

    @functools.cached_property
    def mesh(self) -> Mesh:
        """The one-dimensional mesh over the devices."""
        return Mesh(np.array(self.devices), ("lanes",))

    @property
    def sharding(self) -> NamedSharding:
        """Leading axis = lanes."""
        return NamedSharding(self.mesh, PartitionSpec("lanes"))

    @property
    def replicated(self) -> NamedSharding:
        """The same array on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    def record(self) -> dict[str, Any]:
        """What a result's bits depend on besides the study: written to the store, compared on resume.

        On CPUs the number of devices is left out when it is at least two, because it then changes no bit.
        """
        first = self.devices[0]
        cpu = first.platform == "cpu"
        return {
            "platform": first.platform,
            "device": cpu_model() if cpu else first.device_kind,
            "devices": min(len(self.devices), 2) if cpu else len(self.devices),
            "lanes": "loop" if self.loop else "vmap",
            "jax": jax.__version__,
            "jaxlib": jaxlib.__version__,
        }

    def padded(self, lanes: int) -> int:
        """``lanes`` rounded up to a multiple of the number of devices."""
        return -(-lanes // len(self.devices)) * len(self.devices)

    def put(self, tree: Any) -> Any:
        """Host arrays with a leading lane axis, padded by repeating the last lane and spread over the devices."""

        def one(x):
            x = np.asarray(x)
            extra = self.padded(len(x)) - len(x)
            return jax.device_put(np.concatenate([x, np.repeat(x[-1:], extra, axis=0)]) if extra else x, self.sharding)

        return jax.tree.map(one, tree)

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """Zeros with a leading lane axis. Copied, not computed: every shape would be a program to compile."""
        return jax.device_put(np.zeros(shape, dtype), self.sharding)

    def share(self, tree: Any) -> Any:
        """Host arrays that all lanes read, on every device."""
        return jax.tree.map(lambda x: jax.device_put(np.asarray(x), self.replicated), tree)


def lane_program(f: Callable[[Any, Any], Any], layout: Layout, donate: bool = False) -> Callable[[int, Any, Any], Any]:
    """Compiles ``f(shared, lane)`` into ``program(count, shared, lanes)``.

    Args:
        f: A pure function of one lane. ``shared`` is the same for all lanes, ``lane`` a pytree of this lane's arrays.
        layout: Where it runs.
        donate: Whether the lanes' buffers may be reused for the output.

    Returns:
        A function of the number of real lanes, the shared arrays and the lanes' arrays, whose leading axes are
        `Layout.padded`. Lanes behind ``count`` give zeros.
    """

    def looped(counts, shared, lanes):
        example = jax.eval_shape(lambda tree: f(shared, jax.tree.map(lambda a: a[0], tree)), lanes)
        size = jax.tree.leaves(lanes)[0].shape[0]
        if size == 1:
            # The compiler sees through an axis of length 1, fuses other operations, and the last bits differ.
            lanes = jax.tree.map(lambda a: jnp.concatenate([a, a]), lanes)
        empty = jax.tree.map(lambda s: jnp.zeros((max(size, 2), *s.shape), s.dtype), example)

        def body(i, out):
            y = f(shared, jax.tree.map(lambda a: jax.lax.dynamic_index_in_dim(a, i, keepdims=False), lanes))
            return jax.tree.map(lambda o, v: jax.lax.dynamic_update_index_in_dim(o, v, i, 0), out, y)

        out = jax.lax.fori_loop(0, counts[0], body, empty)
        return jax.tree.map(lambda leaf: leaf[:size], out)

    def vectorised(counts, shared, lanes):
        del counts
        return jax.vmap(lambda lane: f(shared, lane))(lanes)

    spec = PartitionSpec("lanes")
    sharded = jax.shard_map(
        looped if layout.loop else vectorised,
        mesh=layout.mesh,
        in_specs=(spec, PartitionSpec(), spec),
        out_specs=spec,
        check_vma=False,
    )
    compiled = jax.jit(sharded, donate_argnums=(2,) if donate else (), out_shardings=layout.sharding)

    def program(count: int, shared: Any, lanes: Any) -> Any:
        return compiled(_counts(layout, count), shared, lanes)

    return program


@functools.lru_cache(maxsize=4096)
def _counts(layout: Layout, count: int) -> jax.Array:
    """Real lanes on each device."""
    devices = len(layout.devices)
    each = layout.padded(count) // devices
    counts = np.clip(count - np.arange(devices) * each, 0, each).astype(np.int32)
    return jax.device_put(counts, layout.sharding)
