"""A study: one base run and axes, that is, the runs that a researcher compares.

The study file's key names are the interface; `Study` is the same thing in Python.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from selfconsume.errors import ConfigError
from selfconsume.start_jax import start_jax
from selfconsume.study import compare_settings, own_code, validation
from selfconsume.study.axes import flatten
from selfconsume.study.cells import check_run, expand
from selfconsume.study.settings import OPTIONAL, PARTS, CompareSettings, Settings
from selfconsume.types import Curation, Family, Metric, Regime, Representation, Source


class Study:
    """Runs to compare: a base run, axes, seeds, generations and metrics. Everything is checked here, once.

    Attributes:
        text: The study file that says the same, whose question and claim are shown with the results; None without one.

    Args:
        source: The real data; None where it is an axis.
        family: What is fitted; None where it is an axis.
        regime: How the pool is weighted; None where it is an axis.
        metrics: What is measured in every generation.
        axes: Field or whole object -> values: ``{"regime.ratio": [0.0, 0.5, 1.0]}``,
            ``{"regime": [Mix(0.5), Replace()]}``. Several axes make a grid.
        curation: Which samples are published; None: all. On an axis, "none" stands for None.
        representation: What the family is fitted to in place of the examples; None: the examples. Likewise.
        compare: What the study is to answer, the fields of `CompareSettings`: baseline, primary, margin, generation.
        settings: The fields of `Settings`: generations, seeds, initial, start, n_synthetic, extrapolation, keep.

    Raises:
        ConfigError: Anything in it is wrong or impossible, in one line.
    """

    def __init__(
        self,
        /,
        source: Source | Mapping[str, Any] | None,
        family: Family | Mapping[str, Any] | None,
        regime: Regime | Mapping[str, Any] | None = None,
        metrics: Sequence[Metric | Mapping[str, Any]] = (),
        axes: Mapping[str, Sequence[Any]] | None = None,
        curation: Curation | Mapping[str, Any] | None = None,
        representation: Representation | Mapping[str, Any] | None = None,
        compare: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        start_jax()
        self.text: str | None = None
        self.settings: Settings = validation.validated(Settings, settings, "study")
        _check_seeds(self.settings.seeds)
        if not isinstance(axes or {}, Mapping):
            raise ConfigError(f"axes: expected a table of lists of values, got {validation.short(axes)}")
        if not isinstance(metrics, list | tuple):
            raise ConfigError(f"metrics: expected a list of metrics, got {validation.short(metrics)}")
        self.axes = flatten(axes or {})
        recipes = (source, family, regime, curation, representation)
        self.base = _base(dict(zip(PARTS, recipes, strict=True)), self.axes)
        self.metrics = _metrics(metrics)
        self.cells = expand(self.base, self.settings, self.axes)
        self.compare: CompareSettings = compare_settings.validated(compare or {}, self.cells, self.settings.generations)
        own_code.remember(cell.run for cell in self.cells)
        for cell in self.cells:
            check_run(cell.run, self.metrics, self.settings.generations)

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds."""
        seeds = self.settings.seeds
        return tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)

    @property
    def last(self) -> int:
        """The last generation."""
        return self.settings.generations - 1

    def table(self) -> dict[str, Any]:
        """The study as tables of plain values: what is stored beside the results."""
        tables: dict[str, Any] = {"study": dataclasses.asdict(self.settings)}
        for role, recipe in self.base.items():
            tables[role] = validation.table_of(role, recipe)
        tables["metrics"] = [validation.table_of("metric", metric) for metric in self.metrics]
        tables["axes"] = {
            name: [validation.table_of(name, v) if dataclasses.is_dataclass(v) else v for v in values]
            for name, values in self.axes.items()
        }
        if compare := compare_settings.table_of(self.compare):
            tables["compare"] = compare
        return tables

    def __repr__(self) -> str:
        parts = [validation.label(role, recipe) for role, recipe in self.base.items()]
        runs = f"{len(self.cells)} run{'s' * (len(self.cells) > 1)}"
        size = f"{runs} x {len(self.seeds)} seeds x {self.settings.generations} generations"
        return f"Study({'; '.join([*parts, *(f'axis {axis}' for axis in self.axes), size])})"

    def _repr_html_(self) -> str:
        """A notebook's view: the base run, and a line for each axis and setting."""
        rows = [(role, validation.label(role, recipe)) for role, recipe in self.base.items()]
        rows += [(axis, ", ".join(dict.fromkeys(str(cell.labels[axis]) for cell in self.cells))) for axis in self.axes]
        rows += [("metrics", ", ".join(".".join(reversed(validation.kinds_of(metric))) for metric in self.metrics))]
        rows += [("runs", f"{len(self.cells)} x {len(self.seeds)} seeds x {self.settings.generations} generations")]
        lines = (
            f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows
        )
        return f"<table>{''.join(lines)}</table>"


def _check_seeds(seeds: int | tuple[int, ...]) -> None:
    if isinstance(seeds, tuple) and len(set(seeds)) < len(seeds):
        seed, count = Counter(seeds).most_common(1)[0]
        raise ConfigError(f"study.seeds: {seed} is there {count} times; give each seed once")


def _base(values: Mapping[str, Any], axes: Mapping[str, Any]) -> dict[str, Any]:
    """The validated recipes of the base run, without those that only an axis gives."""
    recipes: dict[str, Any] = {}
    for role, value in values.items():
        if value is not None:
            recipes[role] = validation.recipe(role, value, role)
            if role in axes:
                raise ConfigError(
                    f"{role}: the table [{role}] would have no effect beside the axis axes.{role}, which gives every run its "
                    "own; remove the table, or the axis"
                )
        elif role not in (*axes, *OPTIONAL):
            more = " or an axis of regimes" if role == "regime" else " with a kind"
            raise ConfigError(f"{role}: missing; add a [{role}] table{more}")
    return recipes


def _metrics(values: Sequence[Metric | Mapping[str, Any]]) -> tuple[Metric, ...]:
    metrics = tuple(validation.recipe("metric", value, f"metrics[{i}]") for i, value in enumerate(values))
    kinds = [validation.kinds_of(metric) for metric in metrics]
    for i, kind in enumerate(kinds):
        if kind in kinds[:i]:
            name = " on ".join(map(repr, kind))
            raise ConfigError(f"metrics[{i}]: {name} is there twice; a study has at most one metric of a kind")
    return metrics
