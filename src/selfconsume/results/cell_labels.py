"""Labels of the cells of a study: which axes tell them apart, and how their values are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

LONGEST = 30
"""Longer names are cut in figures; tables show them whole."""


def distinct(cells: Sequence[Mapping[str, Any]], axes: Sequence[str]) -> dict[str, list[Any]]:
    """Axis -> its values in order of first appearance, for axes with more than one."""
    values = {axis: list(dict.fromkeys(cell[axis] for cell in cells)) for axis in axes}
    return {axis: found for axis, found in values.items() if len(found) > 1}


def labels(cells: Sequence[Mapping[str, Any]], axes: Sequence[str]) -> list[str]:
    """A short name for each cell: what tells it from the others, such as ``mix(ratio=0.5), n = 100``."""
    varying = list(distinct(cells, axes))
    if not varying:
        return ["mean over seeds"] * len(cells)
    return [", ".join(_named(axis, cell[axis], varying) for axis in varying) for cell in cells]


def selection(cells: Sequence[Mapping[str, Any]], axes: Sequence[str], most: int) -> list[int]:
    """Indices of at most ``most`` cells: the axis with the most values is thinned evenly until they are few enough.

    The first and the last value of an axis stay as long as it keeps two.
    """
    values = {axis: list(dict.fromkeys(cell[axis] for cell in cells)) for axis in axes}
    kept = {axis: list(found) for axis, found in values.items()}

    def left() -> list[int]:
        return [i for i, cell in enumerate(cells) if all(cell[axis] in kept[axis] for axis in axes)]

    chosen = left()
    while len(chosen) > most and any(len(found) > 1 for found in kept.values()):
        axis = max(axes, key=lambda name: len(kept[name]))
        others = max(1, len(chosen) // len(kept[axis]))
        size = min(len(kept[axis]) - 1, max(1, most // others))
        places = np.linspace(0, len(values[axis]) - 1, size).round().astype(int)
        kept[axis] = [values[axis][i] for i in places]
        chosen = left()
    return chosen


def cut(name: str) -> str:
    """A name as figures show it."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def text(value: Any) -> str:
    """An axis value as figures and tables show it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _named(axis: str, value: Any, among: Sequence[str]) -> str:
    if axis in ("regime", "source", "family", "curation"):
        return text(value)
    short = axis.rpartition(".")[2]
    name = axis if sum(other.rpartition(".")[2] == short for other in among) > 1 else short
    return f"{name} = {text(value)}"
