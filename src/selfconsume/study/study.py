"""A study: one base run and axes, that is, the runs that a researcher compares.

The study file's key names are the interface; `Study` is the same thing in Python.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from selfconsume import contracts, registry
from selfconsume.errors import ConfigError
from selfconsume.loop import generation_zero
from selfconsume.loop.run import Run
from selfconsume.start_jax import start_jax
from selfconsume.study import validation
from selfconsume.study.identity import identity
from selfconsume.study.settings import PARTS, RUN, Settings
from selfconsume.types import Curation, Family, Metric, Regime, Source


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of a study, seed aside, and where it stands on the axes."""

    run: Run
    labels: dict[str, Any]
    """Axis name -> value, as the table shows it."""

    @functools.cached_property
    def id(self) -> str:
        """A hash of what the run is; the same in every directory and on every machine."""
        return identity(self.run)


class Study:
    """Runs to compare: a base run, axes, seeds, generations and metrics. Everything is checked here, once.

    Args:
        source: The real data.
        family: What is fitted.
        regime: How the pool is weighted.
        metrics: What is measured in every generation.
        axes: Field or whole object -> values: ``{"regime.ratio": [0.0, 0.5, 1.0]}``,
            ``{"regime": [Mix(0.5), Replace()]}``. Several axes make a grid.
        curation: Which samples are published; None: all. On an axis, "none" stands for None.
        settings: The fields of `Settings`: generations, seeds, initial, start, n_synthetic, extrapolation, keep.

    Raises:
        ConfigError: Anything in it is wrong or impossible, in one line.
    """

    def __init__(
        self,
        source: Source | Mapping[str, Any],
        family: Family | Mapping[str, Any],
        regime: Regime | Mapping[str, Any] | None = None,
        metrics: Sequence[Metric | Mapping[str, Any]] = (),
        axes: Mapping[str, Sequence[Any]] | None = None,
        curation: Curation | Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        start_jax()
        self.settings: Settings = validation.validated(Settings, settings, "study")
        if isinstance(self.settings.seeds, tuple) and len(set(self.settings.seeds)) < len(self.settings.seeds):
            seed, count = Counter(self.settings.seeds).most_common(1)[0]
            raise ConfigError(f"study.seeds: {seed} is there {count} times; give each seed once")
        self.base = {"source": source, "family": family}
        if not isinstance(axes or {}, Mapping):
            raise ConfigError(f"axes: expected a table of lists of values, got {axes!r}")
        if not isinstance(metrics, list | tuple):
            raise ConfigError(f"metrics: expected a list of metrics, got {metrics!r}")
        axes = flat(axes or {})
        if regime is not None:
            self.base["regime"] = regime
        elif "regime" not in axes:
            raise ConfigError("regime: missing; add a [regime] table or an axis of regimes")
        if curation is not None:
            self.base["curation"] = curation
        for role, given in self.base.items():
            if role not in axes:
                self.base[role] = validation.recipe(role, given, role)
        self.metrics = tuple(validation.recipe("metric", m, f"metrics[{i}]") for i, m in enumerate(metrics))
        for i, metric in enumerate(self.metrics):
            if validation.kinds_of(metric) in [validation.kinds_of(other) for other in self.metrics[:i]]:
                kind = " on ".join(repr(each) for each in validation.kinds_of(metric))
                raise ConfigError(f"metrics[{i}]: {kind} is there twice; a study has at most one metric of a kind")
        self.axes = axes
        self.cells = self._expand()
        self._check()

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
        for role, given in self.base.items():
            tables[role] = dict(given) if isinstance(given, Mapping) else validation.table_of(role, given)
        tables["metrics"] = [validation.table_of("metric", metric) for metric in self.metrics]
        tables["axes"] = {
            name: [validation.table_of(name, v) if dataclasses.is_dataclass(v) else v for v in values]
            for name, values in self.axes.items()
        }
        return tables

    def _expand(self) -> list[Cell]:
        for name, values in self.axes.items():
            if not isinstance(values, list | tuple) or not values:
                raise ConfigError(f"axes.{name}: expected a list of values, got {values!r}")
        cells = []
        names = list(self.axes)
        for values in itertools.product(*self.axes.values()):
            chosen = dict(zip(names, values, strict=True))
            parts = dict(self.base)
            settings = {name: getattr(self.settings, name) for name in RUN}
            labels = {}
            # Whole objects first, so that an axis over a field of them finds the field.
            for name in sorted(names, key=lambda name: "." in name):
                labels[name] = self._apply(name, chosen[name], parts, settings)
            for role in parts:
                parts[role] = validation.recipe(role, parts[role], role)
            settings = dataclasses.asdict(validation.validated(Settings, settings, "study"))
            run = Run(**parts, **{name: settings[name] for name in RUN})
            cells.append(Cell(run, {name: labels[name] for name in names}))
        seen: dict[Run, dict[str, Any]] = {}
        for cell in cells:
            if cell.run in seen:
                raise ConfigError(f"axes: {cell.labels} and {seen[cell.run]} are the same run; drop one")
            seen[cell.run] = cell.labels
        return cells

    def _apply(self, name: str, value: Any, parts: dict[str, Any], settings: dict[str, Any]) -> Any:
        role, _, field = name.partition(".")
        if role in PARTS and not field:
            if (role, value) == ("curation", "none"):
                parts.pop(role, None)
                return value
            parts[role] = validation.recipe(role, value, f"axes.{name}")
            others = [other for other in self.axes[name] if other != "none" or role != "curation"]
            beside = [validation.recipe(role, other, f"axes.{name}") for other in others]
            # A field that is an axis too has its value from there.
            elsewhere = [axis.removeprefix(f"{role}.") for axis in self.axes]
            return validation.label(role, parts[role], beside, elsewhere)
        if role in PARTS and field:
            if role not in parts:
                raise ConfigError(f"axes.{name}: there is no {role} it could belong to")
            table = validation.table_of(role, validation.recipe(role, parts[role], role))
            if field not in table or field == "kind":
                known = [each for each in table if each != "kind"]
                hint = registry.suggest(field, known) if known else "it has no fields"
                raise ConfigError(f"axes.{name}: {table['kind']!r} has no {field!r}; {hint}")
            parts[role] = validation.recipe(role, {**table, field: value}, role)
            return value if isinstance(value, str | int | float | bool) else json.dumps(value)
        setting = field if role == "study" else name
        if setting not in settings:
            known = [*PARTS, *(f"study.{each}" for each in settings)]
            raise ConfigError(f"axes: unknown {name!r}; {registry.suggest(name, known)}")
        settings[setting] = value
        return value

    def _check(self) -> None:
        for cell in self.cells:
            run = cell.run
            run.source.check()
            source = type(run.source)
            if run.source.fixed and source.fingerprint is Source.fingerprint:
                raise ConfigError(
                    f"source: {registry.kind_of('source', source)!r} is fixed but has no fingerprint, so that changed data "
                    "would give the results stored before; return the data's sha256 from fingerprint()"
                )
            run.family.check(run.source)
            for recipe in (run.source, run.family, run.regime, *self.metrics):
                contracts.check_own(recipe)
            run.regime.check(run.source, run.sample_size, self.settings.generations)
            # A plan that cannot be is refused before anything is computed; the first few show what a regime does.
            for t in range(1, min(4, self.settings.generations)):
                run.plan(t)
            for metric in self.metrics:
                metric.check(run.source, run.family)
            if run.curation:
                run.curation.check(run.source, run.family, run.block)
            if run.extrapolation and not run.family.parametric:
                kind = registry.kind_of("family", type(run.family))
                raise ConfigError(f"study.extrapolation: {kind!r} has no weights to extrapolate; use 0")
            if run.start != "cold" and not run.family.parametric:
                kind = registry.kind_of("family", type(run.family))
                raise ConfigError(f"study.start: {kind!r} cannot start from another generator; use 'cold'")
            if run.initial != "fit":
                generation_zero.initial_generator(run)


def flat(axes: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Axes by dotted name, whether the file quotes the dots or not."""
    found = {}
    for name, value in axes.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return found
