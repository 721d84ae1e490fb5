"""Plans that a pool can fulfil: every plan of a regime is checked before anything is trained on it."""

from __future__ import annotations

import math
import numbers
from typing import Any

from selfconsume.errors import ConfigError
from selfconsume.types import Plan, Regime


def checked_plan(regime: Regime, t: int, n_real: int, n_synthetic: int) -> Plan:
    """The regime's plan of generation ``t >= 1``.

    Raises:
        ConfigError: It uses what is not in the pool, or trains on nothing.
    """
    plan: Any = regime.plan(t, n_real, n_synthetic)
    if not isinstance(plan, Plan):
        refuse(regime, t, f"it is a {type(plan).__name__}; return selfconsume.types.Plan(counts, weight)")
    _check_numbers(regime, plan, t)
    _check_blocks(regime, plan, t, n_real, n_synthetic)
    return plan


def check_plans(regime: Regime, generations: int, n_real: int, n_synthetic: int) -> None:
    """Checks the plans of generations 1 to ``generations`` one by one, and against each other.

    Raises:
        ConfigError: A plan is impossible, its budget or fresh data change, or a block is used by other rows than before
            although the regime says `fixed_block_use`.
    """
    first = checked_plan(regime, 1, n_real, n_synthetic)
    uses: list[int] = []
    for t in range(1, generations + 1):
        plan = checked_plan(regime, t, n_real, n_synthetic)
        for field in ("budget", "fresh"):
            if getattr(plan, field) != getattr(first, field):
                refuse(regime, t, f"its {field} changes with the generation; give the same in every plan")
        if regime.fixed_block_use:
            uses.append([*plan.counts[1:], 0][0])
            _check_fixed_use(regime, uses, plan, t)


def refuse(regime: Regime, t: int, reason: str) -> None:
    """Raises `ConfigError` for the plan of a generation."""
    raise ConfigError(f"regime {type(regime).__name__}, plan of generation {t}: {reason}")


def _check_numbers(regime: Regime, plan: Plan, t: int) -> None:
    """Counts, weights and budget are numbers of the right kind, one of each for every block."""
    if len(plan.counts) != len(plan.weight):
        lengths = f"{len(plan.counts)} counts and {len(plan.weight)} weights"
        refuse(regime, t, f"{lengths}; give one of each for every block")
    # Distinct values only: a plan that accumulates has a thousand blocks in generation 1,000.
    pairs = set(zip(plan.counts, plan.weight, strict=True))
    if any(not _is_whole(count) or count < 0 for count, _ in pairs):
        refuse(regime, t, f"counts are {_short(plan.counts)}; give whole numbers that are not negative")
    if any(not math.isfinite(weight) or weight < 0 for _, weight in pairs):
        refuse(regime, t, f"weights are {_short(plan.weight)}; give finite numbers that are not negative")
    if not any(count * weight > 0 for count, weight in pairs):
        refuse(regime, t, "no example has a weight; something must be trained on")
    if plan.budget is not None and (not _is_whole(plan.budget) or plan.budget < 1):
        refuse(regime, t, f"budget is {plan.budget!r}; give a whole number of examples above 0, or None for all")


def _check_blocks(regime: Regime, plan: Plan, t: int, n_real: int, n_synthetic: int) -> None:
    """The pool keeps every block that is used, and each is large enough."""
    reach = t if regime.lookback is None else min(t, regime.lookback)
    block = regime.block(n_real, n_synthetic)
    real = regime.real(n_real) if plan.fresh else n_real
    if not _is_whole(block) or block < n_synthetic:
        refuse(regime, t, f"a block has {block!r} samples; metrics see {n_synthetic}: give at least these, whole")
    if any(plan.counts[1 + reach :]):
        used = f"{len(plan.counts) - 1} synthetic blocks are used, but {reach} are kept"
        refuse(regime, t, f"{used}; raise lookback or use fewer")
    if plan.counts[0] > real or max(plan.counts[1:], default=0) > block:
        sizes = f"{real} real and {block} synthetic examples"
        refuse(regime, t, f"counts {_short(plan.counts)} exceed blocks of {sizes}; use what is there")


def _check_fixed_use(regime: Regime, uses: list[int], plan: Plan, t: int) -> None:
    """Whether every block is used by as many samples as when it was new, ``uses`` by generation, or not at all."""
    for age, count in enumerate(plan.counts[1:], 1):
        if count not in (0, uses[t - age]):
            change = f"{count} samples of generation {t - age} are used, but {uses[t - age]} were used before"
            refuse(regime, t, f"{change}; set fixed_block_use = False")


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _short(values: Any) -> str:
    text = repr(tuple(values))
    return text if len(text) <= 60 else f"{text[:60]}..."
