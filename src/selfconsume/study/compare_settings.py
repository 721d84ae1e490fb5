"""The ``[compare]`` table of a study file: baseline, primary metric, margin and generation of its comparison."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.study import axes as grid
from selfconsume.study import validation
from selfconsume.study.cells import Cell
from selfconsume.study.settings import CompareSettings


def validated(table: Mapping[str, Any], cells: Sequence[Cell], generations: int) -> CompareSettings:
    """The settings of a comparison, checked against the study's cells.

    Raises:
        ConfigError: A field is unknown or wrong, no cell is the baseline, or the generation is not one of the study.
    """
    settings = parsed(table)
    if settings.generation is not None and settings.generation >= generations:
        raise ConfigError(
            f"compare.generation: expected 1 to {generations - 1}, the last generation of the study, got {settings.generation}"
        )
    if isinstance(settings.baseline, dict):
        axes = list(cells[0].labels)
        for axis, value in settings.baseline.items():
            if axis not in axes:
                hint = registry.suggest(axis, axes) if axes else "the study has no axes"
                raise ConfigError(f"compare.baseline: {axis!r} is no axis of the study; {hint}")
            labels = list(dict.fromkeys(cell.labels[axis] for cell in cells))
            # On an axis of mixed values the table shows them as text.
            if value not in labels and str(value) not in map(str, labels):
                shown = ", ".join(validation.short(label) for label in labels)
                raise ConfigError(
                    f"compare.baseline: no cell has {axis} = {validation.short(value)}; expected one of {shown}"
                )
    return settings


def parsed(table: Mapping[str, Any]) -> CompareSettings:
    """The settings of a comparison from plain values, without a study to check them against.

    Raises:
        ConfigError: A field is unknown or wrong.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"compare: expected a table [compare], got {validation.short(table)}")
    if isinstance(baseline := table.get("baseline"), Mapping):
        table = {**table, "baseline": grid.flatten(baseline)}
    return validation.validated(CompareSettings, table, "compare")


def table_of(settings: CompareSettings) -> dict[str, Any]:
    """The fields that are set, as a table of plain values."""
    return {name: value for name, value in dataclasses.asdict(settings).items() if value is not None}
