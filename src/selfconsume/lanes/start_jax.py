"""JAX's configuration: virtual CPU devices, several hosts and the persistent compilation cache."""

from __future__ import annotations

import contextlib
import functools
import os
import platform

import jax
import jaxlib

from selfconsume.errors import ConfigError


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
            raise ConfigError(f"SELFCONSUME_HOSTS, SELFCONSUME_HOST: expected two numbers, got {numbers}; set both")
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
