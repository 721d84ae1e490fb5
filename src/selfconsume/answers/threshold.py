"""The critical ratio of each run of a study: searched with twin lanes, beside theory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from selfconsume.analysis.critical_ratio import MAX_RATIO, Threshold, check, critical_ratio, search
from selfconsume.answers import notebook
from selfconsume.answers.text_table import TextTable
from selfconsume.execution.run_study import Progress
from selfconsume.plots import critical_ratio as plots
from selfconsume.regimes.mix import Mix
from selfconsume.study.cells import Cell
from selfconsume.study.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AXIS = "regime.ratio"


class CellThreshold(NamedTuple):
    """The critical ratio of one run.

    Attributes:
        cell: The run, whose own ratio does not count.
        threshold: Result of the search.
        theory: Critical ratio of theory and its reason; None where none applies.
    """

    cell: Cell
    threshold: Threshold
    theory: tuple[float, str] | None

    @property
    def text(self) -> str:
        """The outcome in words."""
        return _text(self.threshold)

    def figure(self) -> Figure:
        """Contraction rate against the ratio."""
        return plots.contraction_curve(self.threshold, self.theory[0] if self.theory else None)

    def facts(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return _facts(self.cell, self.threshold, self.theory)


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """The critical ratio of every run of a study."""

    cells: tuple[CellThreshold, ...]

    def facts(self) -> dict[str, Any]:
        """All runs as plain values, for JSON; those of a single run without an index too."""
        runs = [cell.facts() for cell in self.cells]
        return {**(runs[0] if len(runs) == 1 else {}), "runs": runs}

    def text(self) -> TextTable:
        """A row for each run: what was measured, and what theory gives."""
        rows = []
        for cell in self.cells:
            labels = ", ".join(f"{name} = {value}" for name, value in cell.cell.labels.items())
            value = "" if cell.theory is None else "∞" if math.isinf(cell.theory[0]) else f"{cell.theory[0]:.4g}"
            rows.append((labels or "the run", cell.text, value))
        return TextTable(("run", "largest stable ratio", "theory"), tuple(rows))

    def _repr_html_(self) -> str:
        return self.text().html()


def threshold(
    study: Study,
    *,
    max_ratio: float = MAX_RATIO,
    on_progress: Callable[[Progress], None] | None = None,
) -> Thresholds:
    """The largest synthetic / real ratio at which retraining is stable, with an interval, for each run of a study.

    Args:
        study: A study of the regime `mix`; its seeds and generations are used, its metrics are not, an axis of ratios is
            searched.
        max_ratio: Largest ratio to search.
        on_progress: Called with the progress; default: a bar in notebooks, else silent.

    Raises:
        ConfigError: A run has no ratio, or there are too few seeds, generations or rows.
    """
    with notebook.progress(on_progress) as callback:
        return Thresholds(tuple(thresholds(study, max_ratio, callback)))


def thresholds(study: Study, max_ratio: float, on_progress: Callable[[Progress], None]) -> Iterator[CellThreshold]:
    """The runs of `threshold`, each as soon as it is searched; all are checked first."""
    cells = _cells(study)
    for cell in cells:
        check(cell.run, study.seeds, study.settings.generations, max_ratio)
    for i, cell in enumerate(cells):
        where = f"run {i + 1} of {len(cells)}, " if len(cells) > 1 else ""

        def on_share(share: float, text: str, i: int = i, where: str = where) -> None:
            on_progress(Progress(i + share, len(cells), where + text))

        result = search(cell.run, study.seeds, study.settings.generations, max_ratio=max_ratio, on_progress=on_share)
        yield CellThreshold(cell, result, critical_ratio(cell.run))


def _cells(study: Study) -> list[Cell]:
    """The study's runs, those that differ in their ratio only once."""
    cells: dict[Any, Cell] = {}
    for cell in study.cells:
        regime, run = cell.run.regime, cell.run
        if isinstance(regime, Mix):
            run = dataclasses.replace(run, regime=dataclasses.replace(regime, ratio=1.0))
        cells.setdefault(run, Cell(run, {name: v for name, v in cell.labels.items() if name != AXIS}))
    return list(cells.values())


def _facts(cell: Cell, result: Threshold, theory: tuple[float, str] | None) -> dict[str, Any]:
    return {
        "labels": cell.labels,
        "outcome": result.outcome,
        "ratio": result.ratio,
        "low": result.low,
        "high": result.high,
        "searched": result.max_ratio,
        "text": _text(result),
        "judged": result.space,
        "theory": None if theory is None else _number(theory[0]),
        "theory_stable_at_every_ratio": None if theory is None else math.isinf(theory[0]),
        "theory_text": None if theory is None else theory[1],
        "points": [
            {
                "ratio": point.ratio,
                "verdict": point.verdict,
                **{name: _number(getattr(point.rate, name)) for name in ("rate", "low", "high")},
                "seeds": point.rate.seeds,
                "diverged": point.rate.diverged,
            }
            for point in result.points
        ],
    }


def _text(result: Threshold) -> str:
    if result.outcome == "stable":
        return f"stable up to the largest ratio searched, {result.max_ratio:.4g}"
    if result.outcome == "unstable":
        return f"none: unstable already at {result.points[0].ratio:.4g}, the smallest ratio searched"
    if result.outcome == "open":
        estimate = "" if result.ratio is None else f"about {result.ratio:.4g}, "
        return f"{estimate}shown stable up to {result.low:.4g}, not shown unstable up to {result.max_ratio:.4g}; more seeds may"
    return f"{result.ratio:.4g}, 95 % interval [{result.low:.4g}, {result.high:.4g}]"


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
