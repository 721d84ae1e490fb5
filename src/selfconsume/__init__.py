"""selfconsume: what happens to a generative model that is retrained on data it made itself.

Names are imported when they are first used, so that the command line answers at once.
"""

from __future__ import annotations

import importlib
import os
from typing import Any


def _prepare() -> None:
    """Settings that JAX reads from the environment when it starts, which may be soon after this import."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    devices = max(2, cores)
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        # Lanes are spread over at least two virtual devices: see `selfconsume.lanes.layout`.
        os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(devices))
    # Every device occupies a thread of XLA's pool while its lanes run, and a batched linear-algebra call inside a lane
    # waits for another one: without a thread more than devices, it waits for ever.
    os.environ.setdefault("PJRT_NPROC", str(devices + 1))


_prepare()
# A failed check inside a compiled lane must give NaN in that lane, not an exception in all of them. Equinox reads this
# when it is imported.
os.environ.setdefault("EQX_ON_ERROR", "nan")

_NAMES = {
    "api": "Results curation family metric open regime run source",
    "loop.run": "Run",
    "registry": "register",
    "loop.step": "retrain step",
    "study.study": "Study",
    "study.toml_file": "load",
    "models.checkpoints.pytrees": "load_generator save_generator",
    "models.training.sufficient_statistics": "Summarised",
    "errors": "ConfigError",
    "types": "Curation Density Extractor Family FitState Generation Generator Metric Number Plan Regime Source",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'selfconsume' has no attribute {name!r}")
    importlib.import_module("selfconsume.lanes.start_jax").start_jax()
    return getattr(importlib.import_module(f"selfconsume.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
