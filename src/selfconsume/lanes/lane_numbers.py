"""Lane numbers: the fields of a recipe that are data of a compiled program."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from selfconsume.types import Number

Recipe = TypeVar("Recipe")


@functools.cache
def number_names(cls: type) -> tuple[str, ...]:
    """Names of the fields annotated with `Number`."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return tuple(field.name for field in dataclasses.fields(cls) if _is_number(hints[field.name]))


def numbers(recipe: Any) -> dict[str, float]:
    """The lane numbers of a recipe. An annotated field that holds a rule or None is static."""
    values = {name: getattr(recipe, name) for name in number_names(type(recipe))}
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float)}


def static(recipe: Recipe) -> Recipe:
    """The recipe with `Number` in place of its lane numbers: hashable, equal for recipes that share a compiled program."""
    return fill(recipe, dict.fromkeys(numbers(recipe), Number))


def fill(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with the given fields replaced, by traced numbers for instance."""
    return dataclasses.replace(cast(Any, recipe), **values) if values else recipe


def _is_number(hint: Any) -> bool:
    if Number in getattr(hint, "__metadata__", ()):
        return True
    return any(_is_number(part) for part in typing.get_args(hint))
