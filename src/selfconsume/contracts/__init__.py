"""Contracts: what each role promises beyond its signatures, checked on tiny data.

Imports sources and everything below. Tests hold every kind of the package to it; a recipe of your own is checked where it is
registered or used in a study.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.models.external.host_family import HostFamily
from selfconsume.tracing import own_place
from selfconsume.types import Curation, Extractor, Family, Metric, Regime, Representation, Source


def check(recipe: Any) -> None:
    """Checks a recipe of your own against the contract of its role; takes seconds for a neural family.

    A family must ignore rows of weight 0, weigh the others, be traceable and give finite samples of the data's shape; a regime
    must plan only blocks that its ``lookback`` keeps; a metric must be finite on a point mass; a source must keep training,
    held-out and fresh data apart and must be reproducible; a curation must publish as many samples as it is asked for; an
    extractor must give features of each row for itself; a representation must find its codes again in decoded examples.

    Args:
        recipe: An instance of a source, representation, family, regime, curation, extractor or metric.

    Raises:
        ConfigError: The first promise that is broken, in one line that names the class.
    """
    from selfconsume.contracts import curation, extractor, family, host_family, metric, regime, representation, source

    # The more special role first: a representation is an extractor.
    modules: dict[type, Any] = {HostFamily: host_family, Family: family, Metric: metric, Regime: regime, Source: source}
    modules |= {Curation: curation, Representation: representation, Extractor: extractor}
    for role, module in modules.items():
        if isinstance(recipe, role):
            _check_recipe(role, recipe)
            with _explained(role, recipe):
                return module.check(recipe)
    raise ConfigError(
        f"check: expected an instance of one of the roles {', '.join(registry.roles())}, got {type(recipe).__name__}; "
        "make one, such as check(MyFamily())"
    )


def check_own(recipe: Any) -> None:
    """Checks a recipe, once in a process, unless its class is part of this package (which tests check)."""
    if not type(recipe).__module__.startswith("selfconsume."):
        role = next((role for role in registry.ROLES.values() if isinstance(recipe, role)), type(recipe))
        _check_recipe(role, recipe)
        _check_once(recipe)


@functools.lru_cache(maxsize=256)
def _check_once(recipe: Any) -> None:
    check(recipe)


def _check_recipe(role: type, recipe: Any) -> None:
    """Recipes are compared and hashed by their fields: programs and stored results are found by them."""
    name = f"{role.__name__.lower()} {type(recipe).__name__}"
    cls = type(recipe)
    # A subclass may only override methods and still be one; fields of its own would be ignored.
    annotations = {} if "__dataclass_params__" in vars(cls) else vars(cls).get("__annotations__", {})
    fields = [field for field, annotation in annotations.items() if "ClassVar" not in str(annotation)]
    if fields or not dataclasses.is_dataclass(cls) or not cls.__dataclass_params__.frozen:  # pyright: ignore[reportAttributeAccessIssue]
        raise ConfigError(
            f"{name}: expected a frozen dataclass; write @dataclasses.dataclass(frozen=True) above the class"
        )
    if recipe.takes not in ("numbers", "sequences", "any"):
        raise ConfigError(f"{name}: takes is {recipe.takes!r}; expected 'numbers', 'sequences' or 'any'")
    try:
        hash(recipe)
    except TypeError:
        values = [(field.name, getattr(recipe, field.name)) for field in dataclasses.fields(recipe)]
        unhashable = [f"{field} ({type(value).__name__})" for field, value in values if type(value).__hash__ is None]
        raise ConfigError(
            f"{name}: fields must be hashable, got {', '.join(unhashable) or 'one that is not'}; use tuples in place of lists, "
            "and keep arrays in files or functions"
        ) from None


@contextlib.contextmanager
def _explained(role: type, recipe: Any) -> Iterator[None]:
    """Turns any exception of a recipe's own code into one line that says where it was raised."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        place = own_place(error) or "its check"
        raise ConfigError(
            f"{role.__name__.lower()} {type(recipe).__name__}: {place} failed on tiny data with {reason[:160]}; mend it, and "
            "see selfconsume.check"
        ) from error


def register(role: str, kind: str, cls: type) -> None:
    """Makes a class of one's own a kind in this process. In a module of the entry-point group `selfconsume`, also for commands.

    The contract is checked on ``cls.tiny()`` where there is such a method, else on ``cls()`` where every field has a default,
    else when a study uses the class. A source is checked when a study uses it: its data may not be there yet.

    Raises:
        ConfigError: The name is taken by another class, the class is not of that role, or it breaks its contract, see `check`.
    """
    try:
        registry.check_name(role, kind, cls)
        if role != "source" and (recipe := _smallest(role, cls)) is not None:
            check_own(recipe)
    except Exception as error:
        if not registry.is_left_out(role, kind, error):
            raise
        return
    registry.register(role, kind, cls)


def _smallest(role: str, cls: type) -> Any:
    """An instance to check; None if fields have no defaults, or an abstract class is refused by name."""
    if missing := sorted(getattr(cls, "__abstractmethods__", ())):
        raise ConfigError(f"register: {role} {cls.__name__} lacks {', '.join(missing)}; define what its role asks for")
    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
    required = [field for field in fields if field.init and _lacks_default(field)]
    make = getattr(cls, "tiny", None)
    if make is None and required:
        return None
    try:
        return (make or cls)()
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"register: {role} {cls.__name__}: its tiny instance failed with {reason[:160]}") from error


def _lacks_default(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
