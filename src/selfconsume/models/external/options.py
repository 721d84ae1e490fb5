"""Options of classes outside of this package: a table of plain values as a hashable field of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

PLAIN = (bool, int, float, str, type(None))


def plain(value: Any) -> Any:
    """A value with lists as tuples.

    Raises:
        TypeError: It is neither a number, a text, a truth value, None nor a list of these.
    """
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    if not isinstance(value, PLAIN):
        raise TypeError(f"{value!r} is no plain value")
    return value


def _pairs(table: Any) -> tuple[tuple[str, Any], ...]:
    try:
        pairs = table.items() if isinstance(table, Mapping) else [(name, value) for name, value in table]
        return tuple(sorted((str(name), plain(value)) for name, value in pairs))
    except (TypeError, ValueError):
        raise PydanticCustomError("options", "Input should be a table of plain values") from None


Options = Annotated[
    tuple[tuple[str, Any], ...],
    BeforeValidator(_pairs),
    WithJsonSchema({"type": "object", "description": "Keyword arguments of the class."}),
]
"""Keyword arguments of a class, as sorted pairs; in a study file a table such as ``{n_components = 8}``."""


def keywords(options: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """The options as keyword arguments."""
    return dict(options)


def text(options: tuple[tuple[str, Any], ...]) -> str:
    """The options as a call shows them: ``n_components=8, tol=0.001``."""
    return ", ".join(f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in options)
