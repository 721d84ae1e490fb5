"""A phase diagram: what becomes of every combination of two numbers of a study, with theory's boundary over it.

What is shown of a cell is its gravest verdict, the contraction of its twins, or the last value of a metric; see `verdict` and
`theory.twins`. Nothing here draws: see `phase_plot`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from selfconsume import registry
from selfconsume.analysis import twins
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
FINE = 200
"""Points of theory's boundary where the other axis is a continuous number."""


class Plane(NamedTuple):
    """Two axes of a study, their values in ascending order, and the cell at each pair of values."""

    x: str
    y: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    cells: Mapping[tuple[float, float], Cell]

    def grid(self, values: Mapping[str, Any], missing: Any = math.nan) -> np.ndarray:
        """Values by run identity as an array, ``(y, x)``."""
        rows = [[values.get(self.cells[x, y].id, missing) for x in self.xs] for y in self.ys]
        return np.array(rows, dtype=object if isinstance(missing, str) else float)


class Boundary(NamedTuple):
    """A curve of theory in the plane."""

    label: str
    x: np.ndarray
    y: np.ndarray


def plane(study: Study, x: str | None = None, y: str | None = None) -> Plane:
    """The plane of two axes, by default the study's only two of numbers.

    Raises:
        ConfigError: The axes are not there, not two, or not of numbers; or there are others beside them.
    """
    numeric = [name for name, values in study.axes.items() if _numbers(values)]
    if x is None and y is None:
        if len(numeric) != 2:
            raise ConfigError(
                f"phase: expected two axes of numbers, there are {len(numeric)}; name them by --x and --y"
            )
        x, y = numeric
    x, y = (name or next((other for other in numeric if other != given), None) for name, given in ((x, y), (y, x)))
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
    others = [name for name, values in study.axes.items() if name not in (x, y) and len(values) > 1]
    if others:
        raise ConfigError(f"axes: a phase diagram has two; give {', '.join(others)} a single value")
    xs, ys = (tuple(sorted(float(value) for value in study.axes[name])) for name in (x, y))
    return Plane(x, y, xs, ys, {(float(c.labels[x]), float(c.labels[y])): c for c in study.cells})


def contractions(
    there: Plane,
    seeds: Sequence[int],
    generations: int,
    *,
    layout: DeviceLayout | None = None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> dict[str, twins.Rate]:
    """Run identity -> the contraction of its twins; cells that share their programs run together."""
    layout = layout or DeviceLayout.default()
    cells = list(there.cells.values())
    runs = {cell.id: _levelled(cell.run, [other.run for other in cells]) for cell in cells}
    groups: dict[Any, list[str]] = {}
    for name, run in runs.items():
        groups.setdefault(cohort_of(run), []).append(name)
    found: dict[str, twins.Rate] = {}
    for names in groups.values():
        own = [runs[name] for name in names]

        def told(share: float, done: int = len(found), some: int = len(names)) -> None:
            on_progress((done + share * some) / len(cells))

        paths = twins.follow(own, twins.begin(own, seeds, layout), seeds, generations, layout=layout, on_progress=told)
        found |= {name: paths.rate(i) for i, name in enumerate(names)}
    return found


def last_values(frame: pl.DataFrame, metric: str) -> dict[str, float]:
    """Run identity -> the mean over seeds of a metric in the last generation; nan where a seed has diverged.

    Raises:
        ConfigError: There is no such metric.
    """
    names = frame["metric"].unique(maintain_order=True).to_list()
    if metric not in names:
        raise ConfigError(
            f"--show {metric}: no metric of the study; {registry.suggest(metric, ['verdict', 'contraction', *names])}"
        )
    rows = frame.filter((pl.col("metric") == metric) & (pl.col("generation") == pl.col("generation").max()))
    return dict(rows.group_by("run").agg(pl.col("value").mean()).iter_rows())


def boundaries(there: Plane) -> tuple[list[Boundary], list[str]]:
    """Theory's curves over the plane, and notes on what it knows without a curve.

    Where one axis is the ratio: the critical ratio of the population map, and below which ratio Theorem 1 guarantees
    stability, for the runs where the two are known.
    """
    if RATIO not in (there.x, there.y):
        return [], []
    other, values = (there.x, there.xs) if there.y == RATIO else (there.y, there.ys)
    base = next(iter(there.cells.values())).run
    fine = np.array(values)
    if isinstance(_field(base, other), float) and len(values) > 1:
        # Up to the edges of the outer tiles.
        ends = [values[0] - (values[1] - values[0]) / 2, values[-1] + (values[-1] - values[-2]) / 2]
        fine = np.unique(np.concatenate([np.linspace(*ends, FINE), values]))
    runs = [_with(base, other, value) for value in fine.tolist()]
    known = [critical_ratio(run) for run in runs]
    lines, notes = [], []
    critical = np.array([math.nan if each is None else each[0] for each in known])
    if np.isfinite(critical).sum() > 1:
        lines.append(Boundary("critical ratio of theory", fine, critical))
    elif np.isinf(critical).all():
        notes.append("theory: contracts at every ratio")
    sure = np.array([_guaranteed(run) for run in runs])
    if np.isfinite(sure).sum() > 1:
        lines.append(Boundary("Theorem 1 guarantees stability below", fine, sure))
    if there.x == RATIO:
        lines = [Boundary(each.label, each.y, each.x) for each in lines]
    return lines, notes


def _levelled(run: Run, beside: Sequence[Run]) -> Run:
    """The run with blocks as long as those of the others of its size, so that ratios share their programs."""
    if not isinstance(run.regime, Mix) or run.curation is not None:
        return run
    most = max(other.block for other in beside if other.source.size == run.source.size)
    return dataclasses.replace(run, n_synthetic=most)


def _guaranteed(run: Run) -> float:
    """The ratio below which Theorem 1 holds for certain: exponential families, for which L = 0."""
    family = family_facts(run.family)
    if critical_ratio(run) is None or family is None or not family.is_exponential or family.temperature != 1:
        return math.nan
    return bounds.bertrand(0.0, 1.0, 0.0, 0.0).critical_ratio / run.regime.weight


def _numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _field(run: Run, name: str) -> Any:
    role, _, field = name.partition(".")
    return getattr(getattr(run, role), field) if role in PARTS and field else getattr(run, field or role)


def _with(run: Run, name: str, value: float) -> Run:
    role, _, field = name.partition(".")
    kept = int(value) if isinstance(_field(run, name), int) else value
    if role in PARTS and field:
        return dataclasses.replace(run, **{role: dataclasses.replace(getattr(run, role), **{field: kept})})
    return dataclasses.replace(run, **{field or role: kept})
