"""Axes of a study: the values of a field or of a whole recipe, and their assignment to a run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.study import validation
from selfconsume.study.settings import OPTIONAL, PARTS, RUN

MAX_RUNS = 100_000
"""Largest grid: every run is built and checked before the first one is computed."""

Axes = Mapping[str, Sequence[Any]]
"""Dotted name of a field, or name of a recipe -> values."""


class AxisValue(NamedTuple):
    """A value of an axis, and its label in tables and figures."""

    value: Any
    label: Any


def flatten(axes: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Axes by dotted name, whether the file quotes the dots or not."""
    names: dict[str, Any] = {}
    for name, value in axes.items():
        names |= flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return names


def check_axes(axes: Axes) -> None:
    """Refuses axes that no run can have, and grids of more than `MAX_RUNS` runs, before anything is expanded.

    Raises:
        ConfigError: An axis has an unknown name or no list of values, or the grid is too large.
    """
    for name, values in axes.items():
        if not isinstance(values, list | tuple) or not values:
            raise ConfigError(f"axes.{name}: expected a list of values, got {validation.short(values)}")
        role, _, field = name.partition(".")
        if role not in PARTS and (field if role == "study" else name) not in RUN:
            names = [*PARTS, *(f"study.{setting}" for setting in RUN)]
            raise ConfigError(f"axes: unknown {name!r}; {registry.suggest(name, names)}")
    runs = math.prod(map(len, axes.values()))
    if runs > MAX_RUNS:
        sizes = " x ".join(f"{len(values)}" for values in axes.values())
        raise ConfigError(f"axes: {sizes} values are {runs} runs, at most {MAX_RUNS} are allowed; shorten an axis")


def values_of(name: str, axes: Axes) -> list[AxisValue]:
    """The values of an axis, recipes validated.

    Raises:
        ConfigError: A value is no recipe of the axis' role.
    """
    if name not in PARTS:
        is_setting = name.partition(".")[0] not in PARTS
        return [
            AxisValue(value, value if is_setting or isinstance(value, str | int | float | bool) else json.dumps(value))
            for value in axes[name]
        ]
    recipes = [
        None if name in OPTIONAL and value == "none" else validation.recipe(name, value, f"axes.{name}")
        for value in axes[name]
    ]
    siblings = [recipe for recipe in recipes if recipe is not None]
    # A field that is an axis too has its value from there.
    omit = [axis.removeprefix(f"{name}.") for axis in axes]
    return [
        AxisValue(recipe, "none" if recipe is None else validation.label(name, recipe, siblings, omit))
        for recipe in recipes
    ]


def assign(name: str, value: Any, recipes: dict[str, Any], settings: dict[str, Any]) -> None:
    """Sets the recipe, field or setting that an axis names.

    Args:
        name: The axis.
        value: One of its values, as `values_of` gives it.
        recipes: Role -> recipe of the run; changed.
        settings: Settings of the run; changed.

    Raises:
        ConfigError: The recipe has no such field, or the field not such a value.
    """
    role, _, field = name.partition(".")
    if role not in PARTS:
        settings[field or role] = value
    elif field:
        recipes[role] = _with_field(name, value, recipes)
    elif value is None:
        recipes.pop(role, None)
    else:
        recipes[role] = value


def _with_field(name: str, value: Any, recipes: Mapping[str, Any]) -> Any:
    role, _, field = name.partition(".")
    if role not in recipes:
        raise ConfigError(f"axes.{name}: there is no {role} it could belong to")
    table = validation.table_of(role, recipes[role])
    if field not in table or field == "kind":
        fields = [key for key in table if key != "kind"]
        hint = registry.suggest(field, fields) if fields else "it has no fields"
        raise ConfigError(f"axes.{name}: {table['kind']!r} has no {field!r}; {hint}")
    return validation.recipe(role, {**table, field: value}, role)
