"""The ``[claim]`` table of a study file: what its paper states, as numbers and relations that a finished run is held to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, MinLen

from selfconsume.errors import ConfigError
from selfconsume.study import axes as grid
from selfconsume.study import validation

Label = bool | int | float | str
Reduction = Literal[
    "mean", "mean_square", "mean_sqrt", "mean_log", "mean_spread", "median", "share_above", "contraction"
]
"""What is taken over seeds: the mean of a statistic, the median, the share of seeds above `threshold`, or the contraction rate
of the run (`analysis.against_theory.estimate_contraction`), which has no metric."""


@dataclasses.dataclass(frozen=True)
class Place:
    """A cell and a generation that a check reads.

    Attributes:
        cell: Axis -> value of the cell, as the table shows it.
        generation: The generation; default: the last.
    """

    cell: dict[str, Label] = dataclasses.field(default_factory=dict)
    generation: Annotated[int, Ge(0)] | None = None


@dataclasses.dataclass(frozen=True)
class Check:
    """One number or one relation of a claim.

    Attributes:
        says: The statement in words.
        metric: Name of the values in the table; "" for "contraction".
        statistic: What is taken over seeds.
        cell: Axis -> value of the cell.
        generation: The generation; default: the last.
        centre: Subtracted before squaring, for "mean_square".
        threshold: Of "share_above".
        scale: Factor of every value after its statistic.
        expected: The number; or `less` or `greater`.
        formula: The expected number in symbols.
        within: Largest half width of an interval that may count as agreement; with `approximate`, the margin.
        approximate: Whether `expected` is a limit or an approximation: the whole interval must then lie within the margin.
            Otherwise the interval must contain it.
        less: The values are smaller than those at this place, by pairs of seeds.
        greater: The values are larger than those at this place, by pairs of seeds.
    """

    says: str
    metric: str = ""
    statistic: Reduction = "mean"
    cell: dict[str, Label] = dataclasses.field(default_factory=dict)
    generation: Annotated[int, Ge(0)] | None = None
    centre: float = 0.0
    threshold: float = 0.0
    scale: Annotated[float, Gt(0)] = 1.0
    expected: float | None = None
    formula: str = ""
    within: Annotated[float, Gt(0)] | None = None
    approximate: bool = False
    less: Place | None = None
    greater: Place | None = None

    @property
    def place(self) -> Place:
        """The cell and the generation."""
        return Place(self.cell, self.generation)

    @property
    def reference(self) -> Place | None:
        """The place that a relation compares with."""
        return self.less or self.greater


@dataclasses.dataclass(frozen=True)
class Claim:
    """The claim of a paper.

    Attributes:
        statement: The claim in words.
        source: Its place in the paper: theorem, proposition or figure.
        checks: Numbers and relations that show it.
    """

    statement: str
    source: str
    checks: Annotated[tuple[Check, ...], MinLen(1)]


def parsed(table: Any) -> Claim:
    """The claim of a ``[claim]`` table. Whether the study has its cells is seen when the claim is checked.

    Raises:
        ConfigError: A field is unknown or wrong, or a check has no number and no relation, or several.
    """
    if not isinstance(table, Mapping) or not isinstance(table.get("checks", []), list):
        raise ConfigError(f"claim: expected a table [claim] with [[claim.checks]], got {validation.short(table)}")
    checks = [_flat(check, i) for i, check in enumerate(table.get("checks", []))]
    claim = validation.validated(Claim, {**table, "checks": checks}, "claim")
    for i, check in enumerate(claim.checks):
        _check_complete(check, f"claim.checks[{i}]")
    return claim


def _flat(check: Any, i: int) -> dict[str, Any]:
    """A check's table with the dotted names of axes as keys of one level, and its unknown fields refused."""
    where = f"claim.checks[{i}]"
    if not isinstance(check, Mapping):
        raise ConfigError(f"{where}: expected a table, got {validation.short(check)}")
    table = dict(check)
    for name in ("less", "greater"):
        if isinstance(table.get(name), Mapping):
            table[name] = _with_flat_cell(table[name])
    table = _with_flat_cell(table)
    validation.validated(Check, table, where)
    return table


def _with_flat_cell(table: Mapping[str, Any]) -> dict[str, Any]:
    return {**table, "cell": grid.flatten(table["cell"])} if isinstance(table.get("cell"), Mapping) else dict(table)


def _check_complete(check: Check, where: str) -> None:
    forms = [check.expected is not None, check.less is not None, check.greater is not None]
    if sum(forms) != 1:
        raise ConfigError(f"{where}: expected one of 'expected', 'less' and 'greater', got {sum(forms)}; give one")
    if (check.expected is None) != (check.within is None):
        raise ConfigError(f"{where}.within: goes with 'expected', and 'expected' with it; give both or neither")
    if check.reference is not None and check.statistic in ("median", "contraction"):
        raise ConfigError(f"{where}.statistic: {check.statistic!r} has no pairs of seeds; use a mean")
    if (check.metric == "") != (check.statistic == "contraction"):
        raise ConfigError(f"{where}.metric: every statistic but 'contraction' needs one, and that has none")
