"""JAX's configuration: virtual CPU devices, several hosts and the persistent compilation cache."""

from __future__ import annotations

import functools
import os
import platform
import warnings
from importlib import metadata
from typing import Any

import jax

from selfconsume.errors import ConfigError

THREADS = "PJRT_NPROC"
"""XLA reads the size of its CPU thread pool from this environment variable, and from nowhere else, when JAX starts."""


def start_jax() -> None:
    """Starts JAX with at least two virtual CPU devices and a persistent compilation cache, unless it is running already.

    Called before the first computation: where a recipe or a `Study` is made and where a `DeviceLayout` is chosen. The
    process's environment stays as it is. A number of devices that the user has set (``JAX_NUM_CPU_DEVICES``,
    ``jax_num_cpu_devices``) is respected. If JAX is already running, its devices are used, see `lane_devices`.

    Several hosts work together where ``SELFCONSUME_COORDINATOR`` is the first one's ``address:port``,
    ``SELFCONSUME_HOSTS`` their number and ``SELFCONSUME_HOST`` the number of this one, from 0; or where it is ``auto``, and
    JAX detects the cluster (Slurm, Open MPI, Kubernetes, cloud TPUs). Each runs the same command on the same directory; the
    first one writes to it.

    Raises:
        ConfigError: The variables of several hosts are incomplete.
    """
    _join_hosts()
    _use_compilation_cache()
    _start_devices()


@functools.cache
def lane_devices() -> tuple[Any, ...]:
    """The devices that lanes are spread over: all devices of JAX's default backend, on all hosts.

    A device occupies a thread of XLA's pool while its lanes run, and a batched linear-algebra call inside a lane waits for
    another thread. Where there are as many devices as threads, because JAX was
    running already or its environment says so, one device is left out.

    Warns:
        UserWarning: JAX was started with a single CPU device, so that lanes run one at a time.
    """
    start_jax()
    devices = tuple(jax.devices())
    if devices[0].platform != "cpu" or jax.process_count() > 1:
        return devices
    if len(devices) == 1:
        warnings.warn(
            "JAX was started with one CPU device before selfconsume: runs are computed one at a time, without using "
            f"{_default_devices()} devices, and their last bits may differ; make the Study before the first JAX "
            "computation, or set JAX_NUM_CPU_DEVICES",
            stacklevel=3,
        )
        return devices
    return devices if _start_devices() > len(devices) else devices[:-1]


@functools.cache
def cpu_model() -> str:
    """The processor's name, as the operating system gives it."""
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _join_hosts() -> None:
    if (coordinator := os.environ.get("SELFCONSUME_COORDINATOR")) and not jax.distributed.is_initialized():
        numbers = [os.environ.get(f"SELFCONSUME_{name}", "") for name in ("HOSTS", "HOST")]
        if coordinator != "auto" and not all(number.isdecimal() for number in numbers):
            raise ConfigError(f"SELFCONSUME_HOSTS, SELFCONSUME_HOST: expected two numbers, got {numbers}; set both")
        if coordinator == "auto":
            jax.distributed.initialize()
        else:
            jax.distributed.initialize(coordinator, int(numbers[0]), int(numbers[1]))


def _use_compilation_cache() -> None:
    if jax.config.values["jax_compilation_cache_dir"] is None:
        root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        if not os.path.isabs(root):  # A user without a home.
            return
        cpu = "".join(c if c.isalnum() else "-" for c in cpu_model())
        jax.config.update(
            "jax_compilation_cache_dir", os.path.join(root, "selfconsume", f"jax-{metadata.version('jaxlib')}-{cpu}")
        )
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


@functools.cache
def _start_devices() -> int:
    """Starts JAX's backends, unless they are running; the threads of XLA's CPU pool, at least one for each device."""
    devices = jax.config.values["jax_num_cpu_devices"]
    if devices < 1 and "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        devices = _default_devices()
    previous = os.environ.get(THREADS)
    try:
        # A change is refused once the backends run.
        jax.config.update("jax_num_cpu_devices", devices + 1)
        jax.config.update("jax_num_cpu_devices", devices)
    except RuntimeError:
        return int(previous) if previous and previous.isdecimal() else _cores()
    os.environ.setdefault(THREADS, str(max(devices, _default_devices()) + 1))
    try:
        jax.devices()
        return int(os.environ[THREADS])
    finally:
        if previous is None:
            del os.environ[THREADS]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _default_devices() -> int:
    return max(2, _cores())
