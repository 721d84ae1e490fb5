"""Contracts: what each role promises beyond its signatures, checked on tiny data.

Imports sources and everything below. Tests hold every kind of the package to it; a recipe of your own is checked where it is
registered or used in a study.
"""

from __future__ import annotations

import functools
from typing import Any

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.models.external.host_family import HostFamily
from selfconsume.types import Family, Metric, Regime, Representation, Source


def check(recipe: Any) -> None:
    """Checks a recipe of your own against the contract of its role; takes seconds for a neural family.

    A family must ignore rows of weight 0, weigh the others, be traceable and give finite samples; a regime must plan only
    blocks that its ``lookback`` keeps; a metric must be finite on a point mass; a source must keep training, held-out and
    fresh data apart and must be reproducible; a representation must find its codes again in decoded examples.

    Args:
        recipe: An instance of a source, representation, family, regime or metric.

    Raises:
        ConfigError: The first promise that is broken, in one line that names the class.
    """
    from selfconsume.contracts import family, host_family, metric, regime, representation, source

    modules = {HostFamily: host_family, Family: family, Metric: metric, Regime: regime, Source: source}
    modules[Representation] = representation
    for role, module in modules.items():
        if isinstance(recipe, role):
            return module.check(recipe)
    raise ConfigError(
        f"check: expected an instance of a source, representation, family, regime or metric, got {type(recipe).__name__}; "
        "make one, such as check(MyFamily())"
    )


@functools.lru_cache(maxsize=256)
def check_own(recipe: Any) -> None:
    """Checks a recipe, once in a process, unless its class is part of this package (which tests check)."""
    if not type(recipe).__module__.startswith("selfconsume."):
        check(recipe)


def register(role: str, kind: str, cls: type) -> None:
    """Makes a class of one's own a kind in this process. In a module of the entry-point group `selfconsume`, also for commands.

    The contract is checked on ``cls.tiny()`` where there is such a method, else on ``cls()`` where every field has a default,
    else when a study uses the class. A source is checked when a study uses it: its data may not be there yet.

    Raises:
        ConfigError: The name is taken by another class, the class is not of that role, or it breaks its contract, see `check`.
    """
    try:
        registry.check_name(role, kind, cls)
        if role in ("family", "metric", "regime", "representation"):
            try:
                recipe = getattr(cls, "tiny", cls)()
            except TypeError:
                recipe = None
            if recipe is not None:
                check_own(recipe)
    except Exception as error:
        if not registry.is_left_out(role, kind, error):
            raise
        return
    registry.register(role, kind, cls)
