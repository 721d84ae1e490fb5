"""How a batch of runs is laid on devices: one compiled program, one lane a run.

On CPUs a lane program is a loop over lanes inside `shard_map` over at least two virtual devices. The loop's length is data,
so the compiler sees the same program for any number of lanes, and the number of lanes changes no bit of any lane. On
accelerators lanes are `vmap`ped inside `shard_map` over the devices, and equality holds to float tolerance only. Where
there are fewer lanes than accelerators, several of them work on one lane (`selfconsume.split`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
import platform
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from selfconsume.split import DATA, LANES
from selfconsume.types import Problem


def start_jax() -> None:
    """Sets what must be set before JAX starts: virtual CPU devices and the persistent compilation cache.

    Called by every entry point of the package. If JAX has already started with one CPU device, lanes still run, on that
    one device; the layout in the record says so.

    Several hosts work together where ``SELFCONSUME_COORDINATOR`` is the first one's ``address:port``,
    ``SELFCONSUME_HOSTS`` their number and ``SELFCONSUME_HOST`` the number of this one, from 0; or where it is ``auto``, and
    JAX finds all that by itself (Slurm, Open MPI, Kubernetes, cloud TPUs). Each runs the same command on the same
    directory; the first one writes to it.
    """
    # The package's import has put the number into the environment; JAX may have been imported, and have read it, before.
    wanted = os.environ.get("JAX_NUM_CPU_DEVICES")
    if wanted and jax.config.jax_num_cpu_devices < 1:
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", int(wanted))
    if (coordinator := os.environ.get("SELFCONSUME_COORDINATOR")) and not jax.distributed.is_initialized():
        numbers = [os.environ.get(f"SELFCONSUME_{name}", "") for name in ("HOSTS", "HOST")]
        if coordinator != "auto" and not all(number.isdecimal() for number in numbers):
            raise Problem(f"SELFCONSUME_HOSTS, SELFCONSUME_HOST: expected two numbers, got {numbers}; set both")
        jax.distributed.initialize(*(() if coordinator == "auto" else (coordinator, *map(int, numbers))))
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
    split: int = 1
    """Devices of one lane: batches are split over them. A divisor of the number of devices."""

    @classmethod
    def default(cls) -> Layout:
        """All devices of JAX's default backend, on all hosts.

        The variable ``SELFCONSUME_SPLIT`` sets the devices of one lane, see `spread`.
        """
        start_jax()
        devices = tuple(jax.devices())
        split = os.environ.get("SELFCONSUME_SPLIT", "1")
        if not split.isdecimal() or not int(split) or len(devices) % int(split):
            raise Problem(f"SELFCONSUME_SPLIT: expected a divisor of {len(devices)} devices, got {split!r}; unset it")
        return cls(devices, loop=devices[0].platform == "cpu", split=int(split))

    def spread(self, lanes: int, batch: int | None) -> Layout:
        """The layout for so many lanes: accelerators without a lane of their own join another one's.

        On CPUs nothing changes: there the number of lanes must change no bit.

        Args:
            lanes: Lanes that run together.
            batch: Examples that are worked through at once, which the devices of a lane must divide; None: nothing is split.

        Raises:
            Problem: The number of devices was set by hand, and does not divide it.
        """
        if batch is not None and batch % self.split:
            raise Problem(
                f"SELFCONSUME_SPLIT: {self.split} devices of one lane do not divide a batch of {batch} examples (family.batch "
                "/ family.parts); change either"
            )
        if self.loop or self.split > 1 or batch is None:
            return self
        most = math.gcd(batch, len(self.devices))
        fits = (n for n in range(1, most + 1) if most % n == 0 and n * lanes <= len(self.devices))
        return dataclasses.replace(self, split=max(fits, default=1))

    @functools.cached_property
    def mesh(self) -> Mesh:
        """The mesh of the devices: lanes, and the devices of one lane."""
        return Mesh(np.array(self.devices).reshape(-1, self.split), (LANES, DATA))

    @property
    def sharding(self) -> NamedSharding:
        """Leading axis = lanes."""
        return NamedSharding(self.mesh, PartitionSpec(LANES))

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
            **({"split": self.split} if self.split > 1 else {}),
            "jax": jax.__version__,
            "jaxlib": jaxlib.__version__,
        }

    @property
    def places(self) -> int:
        """How many lanes run beside each other, or groups of lanes."""
        return len(self.devices) // self.split

    def padded(self, lanes: int) -> int:
        """``lanes`` rounded up to a multiple of `places`."""
        return -(-lanes // self.places) * self.places

    def put(self, tree: Any) -> Any:
        """Host arrays with a leading lane axis, padded by repeating the last lane and spread over the devices."""

        def one(x):
            x = np.asarray(x)
            extra = self.padded(len(x)) - len(x)
            return self._placed(np.concatenate([x, np.repeat(x[-1:], extra, axis=0)]) if extra else x, self.sharding)

        return jax.tree.map(one, tree)

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """Zeros with a leading lane axis. Copied, not computed: every shape would be a program to compile."""
        return self._placed(np.zeros(shape, dtype), self.sharding)

    def share(self, tree: Any) -> Any:
        """Host arrays that all lanes read, on every device."""
        return jax.tree.map(lambda x: self._placed(np.asarray(x), self.replicated), tree)

    def fetch(self, tree: Any) -> Any:
        """Arrays as NumPy's, whole, also where other hosts hold parts of them."""
        if self.hosts > 1:
            tree = _gathered(self)(tree)
        return jax.device_get(tree)

    def _placed(self, x: np.ndarray, sharding: NamedSharding) -> jax.Array:
        """A host array on the devices. Hosts place their own parts: all of them have the whole."""
        if self.hosts == 1:
            return jax.device_put(x, sharding)
        return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])

    @property
    def hosts(self) -> int:
        """Processes that these devices belong to."""
        return len({device.process_index for device in self.devices})

    @property
    def leads(self) -> bool:
        """Whether this process is the first host's: the one that writes."""
        return jax.process_index() == self.devices[0].process_index

    def meet(self) -> None:
        """Waits until every host is here."""
        self.agreed(0)

    def agreed(self, number: int) -> int:
        """A number that may differ between hosts, as the first host has it."""
        if self.hosts == 1:
            return number
        from jax.experimental import multihost_utils

        return int(multihost_utils.broadcast_one_to_all(np.int32(number)))


@functools.lru_cache(maxsize=64)
def _gathered(layout: Layout) -> Callable[[Any], Any]:
    return jax.jit(lambda tree: tree, out_shardings=layout.replicated)


def lane_program(
    f: Callable[[Any, Any], Any], layout: Layout, reuse: str | None = None
) -> Callable[[int, Any, Any], Any]:
    """Compiles ``f(shared, lane)`` into ``program(count, shared, lanes)``.

    Args:
        f: A pure function of one lane. ``shared`` is the same for all lanes, ``lane`` a pytree of this lane's arrays.
        layout: Where it runs.
        reuse: The entry of ``lanes``, then a dictionary, whose buffers may be reused for the output.

    Returns:
        A function of the number of real lanes, the shared arrays and the lanes' arrays, whose leading axes are
        `Layout.padded`. Lanes behind ``count`` give zeros.
    """

    def looped(counts, shared, reused, lanes):
        lanes = {**lanes, **reused} if reuse else lanes
        # Traced once: the loop's body calls what the shapes are taken from.
        one = jax.jit(f)
        example = jax.eval_shape(lambda tree: one(shared, jax.tree.map(lambda a: a[0], tree)), lanes)
        size = jax.tree.leaves(lanes)[0].shape[0]
        if size == 1:
            # The compiler sees through an axis of length 1, fuses other operations, and the last bits differ.
            lanes = jax.tree.map(lambda a: jnp.concatenate([a, a]), lanes)
        empty = jax.tree.map(lambda s: jnp.zeros((max(size, 2), *s.shape), s.dtype), example)

        def body(i, out):
            y = one(shared, jax.tree.map(lambda a: jax.lax.dynamic_index_in_dim(a, i, keepdims=False), lanes))
            return jax.tree.map(lambda o, v: jax.lax.dynamic_update_index_in_dim(o, v, i, 0), out, y)

        out = jax.lax.fori_loop(0, counts[0], body, empty)
        return jax.tree.map(lambda leaf: leaf[:size], out)

    def vectorised(counts, shared, reused, lanes):
        del counts
        lanes = {**lanes, **reused} if reuse else lanes
        return jax.vmap(lambda lane: f(shared, lane))(lanes)

    spec = PartitionSpec(LANES)
    sharded = jax.shard_map(
        looped if layout.loop else vectorised,
        mesh=layout.mesh,
        in_specs=(spec, PartitionSpec(), spec, spec),
        out_specs=spec,
        check_vma=False,
    )
    compiled = jax.jit(sharded, donate_argnums=2, out_shardings=layout.sharding)

    def program(count: int, shared: Any, lanes: Any) -> Any:
        reused = {reuse: lanes[reuse]} if reuse else {}
        kept = {name: lanes[name] for name in lanes if name != reuse} if reuse else lanes
        return compiled(_counts(layout, count), shared, reused, kept)

    return program


@functools.lru_cache(maxsize=4096)
def _counts(layout: Layout, count: int) -> jax.Array:
    """Real lanes at each place."""
    each = layout.padded(count) // layout.places
    counts = np.clip(count - np.arange(layout.places) * each, 0, each).astype(np.int32)
    return layout._placed(counts, layout.sharding)
