"""The contract of regimes: every plan is possible, and agrees with ``lookback`` and ``fixed_block_use``."""

from __future__ import annotations

import math

from selfconsume.errors import ConfigError
from selfconsume.types import Plan, Regime

SIZES = ((10, 10), (7, 25), (25, 7))
"""Real and synthetic examples of the plans that are looked at."""
HORIZON = 6
"""Generations that are looked at."""


def check(regime: Regime) -> None:
    """Looks at the plans of the first generations for several sizes.

    Raises:
        ConfigError: A plan uses what is not in the pool, changes where it must not, or trains on nothing.
    """
    for n_real, n_synthetic in SIZES:
        plans = [regime.plan(t, n_real, n_synthetic) for t in range(1, HORIZON + 1)]
        for t, plan in enumerate(plans, 1):
            _check_plan(regime, plan, t, n_real, n_synthetic)
        for field in ("budget", "fresh"):
            if len({getattr(plan, field) for plan in plans}) > 1:
                _refuse(regime, 1, f"its {field} changes with the generation; give the same in every plan")
        if regime.fixed_block_use:
            _check_fixed_use(regime, plans)


def _check_plan(regime: Regime, plan: Plan, t: int, n_real: int, n_synthetic: int) -> None:
    reach = math.inf if regime.lookback is None else regime.lookback
    block = regime.block(n_real, n_synthetic)
    real = regime.real(n_real) if plan.fresh else n_real
    if len(plan.counts) != len(plan.weight):
        _refuse(
            regime, t, f"{len(plan.counts)} counts and {len(plan.weight)} weights; give one of each for every block"
        )
    if len(plan.counts) > 1 + min(t, reach) and any(plan.counts[1 + int(min(t, reach)) :]):
        _refuse(
            regime,
            t,
            f"{len(plan.counts) - 1} synthetic blocks are used, but {int(min(t, reach))} are kept; raise lookback or use fewer",
        )
    if any(not isinstance(count, int) or count < 0 for count in plan.counts):
        _refuse(regime, t, f"counts are {tuple(plan.counts)!r}; give whole numbers that are not negative")
    if plan.counts[0] > real or any(count > block for count in plan.counts[1:]):
        _refuse(regime, t, f"counts {tuple(plan.counts)!r} exceed blocks of {real} real and {block} synthetic examples")
    if any(not math.isfinite(weight) or weight < 0 for weight in plan.weight):
        _refuse(regime, t, f"weights are {tuple(plan.weight)!r}; give finite numbers that are not negative")
    if not any(count * weight > 0 for count, weight in zip(plan.counts, plan.weight, strict=True)):
        _refuse(regime, t, "no example has a weight; something must be trained on")


def _check_fixed_use(regime: Regime, plans: list[Plan]) -> None:
    """Whether every block, once used, is used by the same number of samples or not at all."""
    for newest, plan in enumerate(plans, 1):
        first = [*plan.counts[1:], 0][0]
        for t in range(newest + 1, HORIZON + 1):
            age = 1 + t - newest
            count = plans[t - 1].counts[age] if age < len(plans[t - 1].counts) else 0
            if count not in (0, first):
                _refuse(
                    regime,
                    t,
                    f"{count} samples of generation {newest - 1} are used, but {first} were used before; set "
                    "fixed_block_use = False",
                )


def _refuse(regime: Regime, t: int, reason: str) -> None:
    raise ConfigError(f"regime {type(regime).__name__}, plan of generation {t}: {reason}")
