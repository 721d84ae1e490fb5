"""Phase diagram: verdict, contraction rate or final metric over two numeric axes of a study, with theory's boundary.

The value of a cell is its gravest verdict (`analysis.verdicts`), the contraction rate of its twins (`analysis.twins`), or the
last value of a metric. Figures are in `plots.phase_diagram`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import polars as pl

from selfconsume import registry
from selfconsume.analysis import twins
from selfconsume.analysis.contraction_rate import Rate
from selfconsume.analysis.critical_ratio import critical_ratio
from selfconsume.errors import ConfigError
from selfconsume.lanes.cohorts import cohort_of
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.loop.run import Run
from selfconsume.regimes.mix import Mix
from selfconsume.study.cells import Cell
from selfconsume.study.settings import PARTS
from selfconsume.study.study import Study
from selfconsume.theory.run_facts import family_facts
from selfconsume.theory.stability import bounds

RATIO = "regime.ratio"
BOUNDARY_POINTS = 200
"""Points of theory's boundary along a continuous axis."""


class Plane(NamedTuple):
    """Two numeric axes of a study, their ascending values, and the cell at each pair of values."""

    x: str
    y: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    cells: Mapping[tuple[float, float], Cell]

    def grid(self, values: Mapping[str, Any], missing: Any = math.nan) -> np.ndarray:
        """Values by run identity as a ``(y, x)`` array."""
        rows = [[values.get(self.cells[x, y].id, missing) for x in self.xs] for y in self.ys]
        return np.array(rows, dtype=object if isinstance(missing, str) else float)


class Boundary(NamedTuple):
    """A boundary of theory in the plane."""

    label: str
    x: np.ndarray
    y: np.ndarray


def plane(study: Study, x: str | None = None, y: str | None = None) -> Plane:
    """The plane of two axes, by default the study's only two numeric ones.

    Raises:
        ConfigError: The axes are missing, not two, or not numeric; or further axes have several values.
    """
    x, y = _axis_names(study, x, y)
    further = [name for name, values in study.axes.items() if name not in (x, y) and len(values) > 1]
    if further:
        raise ConfigError(f"axes: a phase diagram has two; give {', '.join(further)} a single value")
    xs, ys = (tuple(sorted(float(value) for value in study.axes[name])) for name in (x, y))
    return Plane(x, y, xs, ys, {(float(c.labels[x]), float(c.labels[y])): c for c in study.cells})


def _axis_names(study: Study, x: str | None, y: str | None) -> tuple[str, str]:
    """Names of the two axes, with a missing one inferred; refuses names that are no numeric axis."""
    numeric = [name for name, values in study.axes.items() if _is_numeric(values)]
    if x is None and y is None:
        if len(numeric) != 2:
            raise ConfigError(
                f"phase: expected two axes of numbers, there are {len(numeric)}; name them by --x and --y"
            )
        x, y = numeric
    x = x or next((name for name in numeric if name != y), None)
    y = y or next((name for name in numeric if name != x), None)
    for flag, name in (("--x", x), ("--y", y)):
        if name is None:
            raise ConfigError(f"{flag}: missing; the study has no other axis of numbers")
        if name not in study.axes:
            hint = registry.suggest(name, study.axes) if study.axes else "the study has none"
            raise ConfigError(f"{flag} {name}: no axis of the study; {hint}, or add --set 'axes.{name}=[...]'")
        if name not in numeric:
            raise ConfigError(f"{flag} {name}: expected an axis of numbers, got {list(study.axes[name])!r}")
    if x == y:
        raise ConfigError(f"--y {y}: the same axis as --x; name another one")
    return cast(str, x), cast(str, y)


def contractions(
    plane: Plane,
    seeds: Sequence[int],
    generations: int,
    *,
    layout: DeviceLayout | None = None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> dict[str, Rate]:
    """Run identity -> contraction rate of its twins; cells that share compiled programs run together."""
    layout = layout or DeviceLayout.default()
    cells = list(plane.cells.values())
    runs = {cell.id: _with_common_block(cell.run, [cell.run for cell in cells]) for cell in cells}
    groups: dict[Any, list[str]] = {}
    for name, run in runs.items():
        groups.setdefault(cohort_of(run), []).append(name)
    rates: dict[str, Rate] = {}
    for names in groups.values():
        cohort = [runs[name] for name in names]

        def report_share(share: float, finished: int = len(rates), size: int = len(names)) -> None:
            on_progress((finished + share * size) / len(cells))

        start = twins.fit_generation_zero(cohort, seeds, layout)
        paths = twins.follow(cohort, start, seeds, generations, layout=layout, on_progress=report_share)
        rates |= {name: paths.rate(i) for i, name in enumerate(names)}
    return rates


def last_values(frame: pl.DataFrame, metric: str) -> dict[str, float]:
    """Run identity -> mean over seeds of a metric in the last generation; nan with a diverged seed.

    Raises:
        ConfigError: The study has no metric of this name.
    """
    names = frame["metric"].unique(maintain_order=True).to_list()
    if metric not in names:
        raise ConfigError(
            f"--show {metric}: no metric of the study; {registry.suggest(metric, ['verdict', 'contraction', *names])}"
        )
    rows = frame.filter((pl.col("metric") == metric) & (pl.col("generation") == pl.col("generation").max()))
    return dict(rows.group_by("run").agg(pl.col("value").mean()).iter_rows())


def boundaries(plane: Plane) -> tuple[list[Boundary], list[str]]:
    """Boundaries of theory over the plane, and notes for results without a curve.

    If one axis is the ratio: the critical ratio of the population map, and the ratio below which Theorem 1 guarantees
    stability, for runs with a closed form.
    """
    if RATIO not in (plane.x, plane.y):
        return [], []
    axis, values = (plane.x, plane.xs) if plane.y == RATIO else (plane.y, plane.ys)
    base = next(iter(plane.cells.values())).run
    fine = np.array(values)
    if isinstance(_field(base, axis), float) and len(values) > 1:
        # To the edges of the outer tiles.
        low, high = values[0] - (values[1] - values[0]) / 2, values[-1] + (values[-1] - values[-2]) / 2
        fine = np.unique(np.concatenate([np.linspace(low, high, BOUNDARY_POINTS), values]))
    runs = [_with(base, axis, value) for value in fine.tolist()]
    lines, notes = [], []
    critical = np.array([math.nan if (theory := critical_ratio(run)) is None else theory[0] for run in runs])
    if np.isfinite(critical).sum() > 1:
        lines.append(Boundary("critical ratio of theory", fine, critical))
    elif np.isinf(critical).all():
        notes.append("theory: contracts at every ratio")
    guaranteed = np.array([_guaranteed_ratio(run) for run in runs])
    if np.isfinite(guaranteed).sum() > 1:
        lines.append(Boundary("Theorem 1 guarantees stability below", fine, guaranteed))
    if plane.x == RATIO:
        lines = [Boundary(line.label, line.y, line.x) for line in lines]
    return lines, notes


def _with_common_block(run: Run, runs: Sequence[Run]) -> Run:
    """The run with the largest block of all runs of its size, so that ratios share their compiled programs."""
    if not isinstance(run.regime, Mix) or run.curation is not None:
        return run
    block = max(sibling.block for sibling in runs if sibling.source.size == run.source.size)
    return dataclasses.replace(run, n_synthetic=block)


def _guaranteed_ratio(run: Run) -> float:
    """Ratio below which Theorem 1 guarantees stability: exponential families, for which L = 0."""
    family = family_facts(run.family)
    if not isinstance(run.regime, Mix) or critical_ratio(run) is None:
        return math.nan
    if family is None or not family.is_exponential or family.temperature != 1:
        return math.nan
    return bounds.bertrand(0.0, 1.0, 0.0, 0.0).critical_ratio / run.regime.weight


def _is_numeric(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _field(run: Run, name: str) -> Any:
    role, _, field = name.partition(".")
    return getattr(getattr(run, role), field) if role in PARTS and field else getattr(run, field or role)


def _with(run: Run, name: str, value: float) -> Run:
    role, _, field = name.partition(".")
    typed = int(value) if isinstance(_field(run, name), int) else value
    if role in PARTS and field:
        return dataclasses.replace(run, **{role: dataclasses.replace(getattr(run, role), **{field: typed})})
    return dataclasses.replace(run, **{field or role: typed})
