"""Cells of a study: every combination of the axes' values, as a run that has been checked."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any

from selfconsume import contracts, registry
from selfconsume.errors import ConfigError
from selfconsume.extractors.representation import code_source, extractor_for
from selfconsume.loop import coding, generation_zero
from selfconsume.loop.plans import check_plans
from selfconsume.loop.run import Run
from selfconsume.regimes.recorded import Recorded
from selfconsume.study import axes as grid
from selfconsume.study import data_scale, example_types, validation
from selfconsume.study.identity import identity
from selfconsume.study.settings import RUN, Settings
from selfconsume.types import Metric, Source


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of a study, seed aside, and its coordinates on the axes."""

    run: Run
    labels: dict[str, Any]
    """Axis name -> value, as the table shows it."""

    @functools.cached_property
    def id(self) -> str:
        """A hash of what the run is; the same in every directory and on every machine."""
        return identity(self.run)


def expand(base: Mapping[str, Any], settings: Settings, axes: grid.Axes) -> list[Cell]:
    """The grid: a cell for each combination of the axes' values, the last axis fastest.

    Args:
        base: Role -> recipe of the base run.
        settings: Settings of the base run.
        axes: Axes by dotted name.

    Raises:
        ConfigError: An axis or a value is wrong, or two cells are the same run.
    """
    grid.check_axes(axes)
    # Recipes first, so that an axis over a field of a recipe finds the field.
    names, order = list(axes), sorted(axes, key=lambda name: "." in name)
    labels_of: dict[Run, dict[str, Any]] = {}
    cells = []
    for combination in itertools.product(*(grid.values_of(name, axes) for name in names)):
        values = dict(zip(names, combination, strict=True))
        recipes, run_settings = dict(base), {name: getattr(settings, name) for name in RUN}
        for name in order:
            grid.assign(name, values[name].value, recipes, run_settings)
        validated = validation.validated(Settings, run_settings, "study")
        cell = Cell(
            Run(**recipes, **{name: getattr(validated, name) for name in RUN}),
            {name: value.label for name, value in values.items()},
        )
        if cell.run in labels_of:
            raise ConfigError(f"axes: {cell.labels} and {labels_of[cell.run]} are the same run; drop one")
        labels_of[cell.run] = cell.labels
        cells.append(cell)
    return cells


def check_run(run: Run, metrics: Sequence[Metric], generations: int) -> None:
    """Refuses a run that cannot be computed, before anything is.

    Raises:
        ConfigError: The data cannot be read, or recipes and settings contradict each other.
    """
    contracts.check_own(run.source)
    run.source.check()
    source = type(run.source)
    if run.source.fixed and source.fingerprint is Source.fingerprint:
        raise ConfigError(
            f"source: {registry.kind_of('source', source)!r} is fixed but has no fingerprint, so that changed data "
            "would give the results stored before; return the data's sha256 from fingerprint()"
        )
    data_scale.check(run.source)
    _check_recorded(run)
    for recipe in (run.family, run.regime, *metrics, *filter(None, (run.representation,))):
        contracts.check_own(recipe)
    example_types.check(run, metrics)
    if run.representation:
        run.representation.check(run.source)
    codes = code_source(run.source, run.representation)
    run.family.check(codes)
    run.regime.check(run.source, run.sample_size, generations)
    _check_plans(run, generations)
    for metric in metrics:
        extractor_for(metric, run.representation)
        metric.check(codes if metric.evaluates_generator else run.source, run.family)
    if run.curation:
        family = run.family
        if run.representation:
            family = coding.ExampleFamily(family, run.representation, run.source)
        run.curation.check(run.source, family, run.block)
    if run.extrapolation and not run.family.parametric:
        kind = registry.kind_of("family", type(run.family))
        raise ConfigError(f"study.extrapolation: {kind!r} has no weights to extrapolate; use 0")
    if run.start != "cold" and not run.can_start_warm:
        kind = registry.kind_of("family", type(run.family))
        raise ConfigError(f"study.start: {kind!r} cannot start from another generator; use 'cold'")
    if run.initial != "fit":
        _check_checkpoint(run.initial)
        generation_zero.initial_generator(run)


def _check_plans(run: Run, generations: int) -> None:
    """All plans of a regime of one's own; those of the package keep their contract, only their first ones are made."""
    if not type(run.regime).__module__.startswith("selfconsume."):
        check_plans(run.regime, generations - 1, run.source.size, run.sample_size)
    for t in range(1, min(4, generations)):
        run.plan(t)


def _check_recorded(run: Run) -> None:
    """Recorded samples have both kinds, and nothing beside them that would change them."""
    if run.is_recorded != isinstance(run.regime, Recorded):
        raise ConfigError("regime: family 'recorded' and regime 'recorded' go together; use `selfconsume evaluate`")
    if not run.is_recorded:
        return
    if not isinstance(run.regime, Recorded) or not run.regime.content or run.n_synthetic is None:
        raise ConfigError("regime: recorded samples need content and n_synthetic; use `selfconsume evaluate`")
    if run.curation is not None:
        raise ConfigError("curation: recorded samples are evaluated as they are; drop the curation")
    if run.representation is not None:
        raise ConfigError("representation: recorded samples are evaluated as they are; drop the representation")


def _check_checkpoint(path: str) -> None:
    """Opening a pipe or a device could wait forever."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise ConfigError(f"study.initial: {validation.short(path)} is not a regular file; give a checkpoint")
