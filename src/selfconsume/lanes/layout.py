"""Layout of lanes on devices.

On CPUs a lane program is a loop over lanes inside `shard_map` over at least two virtual devices. The loop's length is data,
so the compiler sees the same program for any number of lanes, and the number of lanes changes no bit of any lane. On
accelerators lanes are `vmap`ped inside `shard_map` over the devices, and equality holds to float tolerance only. Where
there are fewer lanes than accelerators, several devices share one lane (`selfconsume.models.training.data_parallel`).
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxlib import version as jaxlib_version

from selfconsume.errors import ConfigError
from selfconsume.models.training.data_parallel import DATA, LANES
from selfconsume.start_jax import cpu_model, lane_devices


@dataclasses.dataclass(frozen=True)
class DeviceLayout:
    """The devices that lanes are spread over, and whether they loop (CPU) or are vectorised (accelerators)."""

    devices: tuple[Any, ...]
    loop: bool
    devices_per_lane: int = 1
    """Devices that share one lane by data parallelism. A divisor of the number of devices."""

    @classmethod
    def default(cls) -> DeviceLayout:
        """All devices of JAX's default backend, on all hosts.

        The variable ``SELFCONSUME_SPLIT`` sets the devices of one lane, see `spread`.
        """
        devices = lane_devices()
        split = os.environ.get("SELFCONSUME_SPLIT", "1")
        if not split.isdecimal() or not int(split) or len(devices) % int(split):
            raise ConfigError(
                f"SELFCONSUME_SPLIT: expected a divisor of {len(devices)} devices, got {split!r}; unset it"
            )
        return cls(devices, loop=devices[0].platform == "cpu", devices_per_lane=int(split))

    def spread(self, lanes: int, batch: int | None) -> DeviceLayout:
        """The layout for a number of lanes: with fewer lanes than accelerators, several devices share a lane.

        On CPUs nothing changes: there the number of lanes must change no bit.

        Args:
            lanes: Lanes that run together.
            batch: Examples of one gradient evaluation, which the devices of a lane must divide; None: no data parallelism.

        Raises:
            ConfigError: ``SELFCONSUME_SPLIT`` is set and does not divide ``batch``.
        """
        if batch is not None and batch % self.devices_per_lane:
            raise ConfigError(
                f"SELFCONSUME_SPLIT: {self.devices_per_lane} devices of one lane do not divide a batch of {batch} examples "
                "(family.batch / family.grad_accumulation); change either"
            )
        if self.loop or self.devices_per_lane > 1 or batch is None:
            return self
        most = math.gcd(batch, len(self.devices))
        fits = (n for n in range(1, most + 1) if most % n == 0 and n * lanes <= len(self.devices))
        return dataclasses.replace(self, devices_per_lane=max(fits, default=1))

    @functools.cached_property
    def mesh(self) -> Mesh:
        """The mesh of the devices: lanes, and the devices of one lane."""
        return Mesh(np.array(self.devices).reshape(-1, self.devices_per_lane), (LANES, DATA))

    @property
    def sharding(self) -> NamedSharding:
        """Leading axis = lanes."""
        return NamedSharding(self.mesh, PartitionSpec(LANES))

    @property
    def replicated(self) -> NamedSharding:
        """The same array on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    def record(self) -> dict[str, Any]:
        """The part of the machine that the bits of results depend on: written to the store, compared on resume.

        On CPUs the number of devices is left out when it is at least two, because it then changes no bit.
        """
        first = self.devices[0]
        cpu = first.platform == "cpu"
        return {
            "platform": first.platform,
            "device": cpu_model() if cpu else first.device_kind,
            "devices": min(len(self.devices), 2) if cpu else len(self.devices),
            "lanes": "loop" if self.loop else "vmap",
            **({"devices_per_lane": self.devices_per_lane} if self.devices_per_lane > 1 else {}),
            "jax": jax.__version__,
            "jaxlib": jaxlib_version.__version__,
        }

    @property
    def groups(self) -> int:
        """Number of device groups: lanes, or loops over lanes, that run in parallel."""
        return len(self.devices) // self.devices_per_lane

    def padded(self, lanes: int) -> int:
        """``lanes`` rounded up to a multiple of `groups`."""
        return -(-lanes // self.groups) * self.groups

    def put(self, tree: Any) -> Any:
        """Host arrays with a leading lane axis, padded by repeating the last lane and spread over the devices."""

        def put_leaf(x):
            x = np.asarray(x)
            extra = self.padded(len(x)) - len(x)
            return self.place(np.concatenate([x, np.repeat(x[-1:], extra, axis=0)]) if extra else x, self.sharding)

        return jax.tree.map(put_leaf, tree)

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """Zeros with a leading lane axis. Copied, not computed: every shape would be a program to compile."""
        return self.place(np.zeros(shape, dtype), self.sharding)

    def share(self, tree: Any) -> Any:
        """Host arrays that all lanes read, on every device."""
        return jax.tree.map(lambda x: self.place(np.asarray(x), self.replicated), tree)

    def fetch(self, tree: Any) -> Any:
        """Complete NumPy arrays, gathered from all hosts."""
        if self.hosts > 1:
            tree = _gather(self)(tree)
        return jax.device_get(tree)

    def place(self, x: np.ndarray, sharding: NamedSharding) -> jax.Array:
        """A host array, equal on all hosts, on the devices; each host places its own part."""
        if self.hosts == 1:
            return jax.device_put(x, sharding)
        return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])

    @property
    def hosts(self) -> int:
        """Number of processes that these devices belong to."""
        return len({device.process_index for device in self.devices})

    @property
    def leads(self) -> bool:
        """Whether this process runs on the first host, which alone writes results."""
        return jax.process_index() == self.devices[0].process_index

    def meet(self) -> None:
        """Waits for all hosts: a barrier."""
        self.agree(0)

    def agree(self, number: int) -> int:
        """The first host's value of a number that may differ between hosts."""
        if self.hosts == 1:
            return number
        from jax.experimental import multihost_utils

        return int(multihost_utils.broadcast_one_to_all(np.int32(number)))


@functools.lru_cache(maxsize=64)
def _gather(layout: DeviceLayout) -> Callable[[Any], Any]:
    return jax.jit(lambda tree: tree, out_shardings=layout.replicated)
