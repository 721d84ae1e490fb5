"""selfconsume: what happens to a generative model that is retrained on data it made itself.

Names are imported when they are first used, so that the command line answers at once.
"""

from __future__ import annotations

import importlib
from typing import Any

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
    return getattr(importlib.import_module(f"selfconsume.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
