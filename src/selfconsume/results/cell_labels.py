"""Labels of the cells of a study, from the axes on which the cells differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

LONGEST = 30
"""Longer names are cut in figures; tables show them whole."""


def distinct(cells: Sequence[Mapping[str, Any]], axes: Sequence[str]) -> dict[str, list[Any]]:
    """Axis -> its values in order of first appearance, for axes with more than one."""
    values = {axis: list(dict.fromkeys(cell[axis] for cell in cells)) for axis in axes}
    return {axis: labels for axis, labels in values.items() if len(labels) > 1}


def labels(cells: Sequence[Mapping[str, Any]], axes: Sequence[str]) -> list[str]:
    """A short name for each cell: its values on the axes that vary, such as ``mix(ratio=0.5), n = 100``."""
    varying = list(distinct(cells, axes))
    if not varying:
        return ["mean over seeds"] * len(cells)
    return [", ".join(axis_label(axis, cell[axis], varying) for axis in varying) for cell in cells]


def selection(cells: Sequence[Mapping[str, Any]], axes: Sequence[str], most: int) -> list[int]:
    """Indices of at most ``most`` cells, an evenly spaced subset of the grid.

    The axis with the most values is thinned first; as long as it has two values, its first and its last stay.
    """
    values = {axis: list(dict.fromkeys(cell[axis] for cell in cells)) for axis in axes}
    subset = {axis: list(labels) for axis, labels in values.items()}

    def members() -> list[int]:
        return [i for i, cell in enumerate(cells) if all(cell[axis] in subset[axis] for axis in axes)]

    indices = members()
    while len(indices) > most and any(len(labels) > 1 for labels in subset.values()):
        axis = max(axes, key=lambda name: len(subset[name]))
        cells_per_value = max(1, len(indices) // len(subset[axis]))
        size = min(len(subset[axis]) - 1, max(1, most // cells_per_value))
        places = np.linspace(0, len(values[axis]) - 1, size).round().astype(int)
        subset[axis] = [values[axis][i] for i in places]
        indices = members()
    return indices


def cut(name: str) -> str:
    """A name as figures show it."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def text(value: Any) -> str:
    """An axis value as figures and tables show it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def axis_label(axis: str, value: Any, among: Sequence[str]) -> str:
    """Label of one axis value, with the full axis name where its last part is ambiguous."""
    if axis in ("regime", "source", "family", "curation"):
        return text(value)
    short = axis.rpartition(".")[2]
    name = axis if sum(name.rpartition(".")[2] == short for name in among) > 1 else short
    return f"{name} = {text(value)}"
