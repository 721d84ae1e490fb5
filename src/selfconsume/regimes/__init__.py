"""Regimes: weightings of the pool of real and synthetic data, one file for each kind; what they share in `schedules`.

Imports types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfconsume.regimes.accumulate import Accumulate as Accumulate
    from selfconsume.regimes.fresh import Fresh as Fresh
    from selfconsume.regimes.mix import Mix as Mix
    from selfconsume.regimes.real_only import RealOnly as RealOnly
    from selfconsume.regimes.recorded import Recorded as Recorded
    from selfconsume.regimes.replace import Replace as Replace
    from selfconsume.regimes.subsample import Subsample as Subsample
    from selfconsume.regimes.window import Window as Window

KINDS = {
    "real_only": "real_only:RealOnly",
    "mix": "mix:Mix",
    "replace": "replace:Replace",
    "accumulate": "accumulate:Accumulate",
    "window": "window:Window",
    "subsample": "subsample:Subsample",
    "fresh": "fresh:Fresh",
    "recorded": "recorded:Recorded",
}
"""Kind name -> file and class, in the order in which they are listed."""


def __getattr__(name: str) -> Any:
    from selfconsume import registry

    return registry.class_named(__name__, name)


def __dir__() -> list[str]:
    from selfconsume import registry

    return registry.class_names(__name__)
