"""The contract of regimes: every plan is possible, and agrees with ``lookback`` and ``fixed_block_use``."""

from __future__ import annotations

from selfconsume.errors import ConfigError
from selfconsume.loop.plans import check_plans
from selfconsume.types import Regime

SIZES = ((10, 10), (7, 25), (25, 7))
"""Real and synthetic examples of the plans that are looked at."""
HORIZON = 6
"""Generations that are looked at; a study looks at all of its own."""


def check(regime: Regime) -> None:
    """Looks at the plans of the first generations for several sizes.

    Raises:
        ConfigError: A plan uses what is not in the pool, changes where it must not, or trains on nothing.
    """
    lookback = regime.lookback
    if lookback is not None and (not isinstance(lookback, int) or lookback < 1):
        raise ConfigError(
            f"regime {type(regime).__name__}: lookback is {lookback!r}; expected the number of latest generations that a plan "
            "may use, at least 1, or None for all"
        )
    for n_real, n_synthetic in SIZES:
        check_plans(regime, HORIZON, n_real, n_synthetic)
