"""selfconsume: generative models that are retrained, generation after generation, on their own samples.

Names are imported at first use, so that the command line answers at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfconsume import curations, extractors, families, metrics, regimes, representations, sources
    from selfconsume.answers.phase import phase
    from selfconsume.answers.side_by_side import compare
    from selfconsume.answers.theory import theory
    from selfconsume.answers.threshold import threshold
    from selfconsume.api import (
        Results,
        curation,
        evaluate,
        family,
        load_results,
        merge,
        metric,
        regime,
        representation,
        run,
        source,
        track,
    )
    from selfconsume.contracts import check, register
    from selfconsume.errors import ConfigError
    from selfconsume.loop.run import Run
    from selfconsume.loop.step import retrain, step
    from selfconsume.models.checkpoints.pytrees import load_generator, save_generator
    from selfconsume.models.training.sufficient_statistics import SufficientStatisticsFamily
    from selfconsume.plots.style import style
    from selfconsume.study.study import Study
    from selfconsume.study.toml_file import load
    from selfconsume.types import (
        Curation,
        Density,
        Extractor,
        Family,
        FitState,
        Generation,
        Generator,
        Metric,
        Number,
        Plan,
        Regime,
        Representation,
        Source,
    )

_NAMES = {
    "api": "Results curation evaluate family load_results merge metric regime representation run source track",
    "answers.phase": "phase",
    "answers.side_by_side": "compare",
    "answers.threshold": "threshold",
    "loop.run": "Run",
    "loop.step": "retrain step",
    "study.study": "Study",
    "plots.style": "style",
    "study.toml_file": "load",
    "models.checkpoints.pytrees": "load_generator save_generator",
    "models.training.sufficient_statistics": "SufficientStatisticsFamily",
    "contracts": "check register",
    "errors": "ConfigError",
    "types": "Curation Density Extractor Family FitState Generation Generator Metric Number Plan Regime Representation "
    "Source",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}

_PACKAGES = ("curations", "extractors", "families", "metrics", "regimes", "representations", "sources", "theory")

__all__ = [
    "ConfigError",
    "Curation",
    "Density",
    "Extractor",
    "Family",
    "FitState",
    "Generation",
    "Generator",
    "Metric",
    "Number",
    "Plan",
    "Regime",
    "Representation",
    "Results",
    "Run",
    "Source",
    "Study",
    "SufficientStatisticsFamily",
    "check",
    "compare",
    "curation",
    "curations",
    "evaluate",
    "extractors",
    "families",
    "family",
    "load",
    "load_generator",
    "load_results",
    "merge",
    "metric",
    "metrics",
    "phase",
    "regime",
    "regimes",
    "register",
    "representation",
    "representations",
    "retrain",
    "run",
    "save_generator",
    "source",
    "sources",
    "step",
    "style",
    "theory",
    "threshold",
    "track",
]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"selfconsume.{name}")
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("selfconsume")
    if name not in _HOME:
        raise AttributeError(f"module 'selfconsume' has no attribute {name!r}")
    return getattr(importlib.import_module(f"selfconsume.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
