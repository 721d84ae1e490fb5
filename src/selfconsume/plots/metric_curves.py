"""Metric against generation with bands over seeds, from the tidy table.

Figures use matplotlib's object interface and do not change its global state; save them with `Figure.savefig`, or as a string
for a web page with `web_figure.svg`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from selfconsume.plots import colours
from selfconsume.plots.axis_limits import fit_axes
from selfconsume.plots.curves import Curve, curves_of
from selfconsume.plots.panels import Arrangement, Panel, arrange, direct_labels, legend
from selfconsume.plots.sample_panels import sample_grid
from selfconsume.plots.style import INK, MUTED, PALE, canvas, rc
from selfconsume.results.cell_labels import labels, selection
from selfconsume.results.format import FLOOR

__all__ = ["PredictedCurve", "describe", "metric_curves", "sample_grid"]

MAX_CELLS = 24
"""Of more cells an evenly spaced selection along the axes is plotted."""
WIDE = 11.2
"""Inches across a figure of several panels; a single panel is half as wide."""
MAX_MARKS = 30
"""Diverged seeds marked per cell; the label counts all of them."""
DASHES = ("--", "-.", (0, (1, 1.5)), (0, (6, 2, 1, 2, 1, 2)))

BETTER = {"lower": "↓ lower is better", "higher": "↑ higher is better", None: ""}


class PredictedCurve(NamedTuple):
    """A predicted curve, plotted over the measurements.

    Attributes:
        label: Name in the title; printed once for all cells.
        generations: Generations of the values.
        values: Predicted values.
        run: Identity of its cell; None plots it in black for all cells.
    """

    label: str
    generations: Sequence[int]
    values: Sequence[float]
    run: str | None = None


def metric_curves(
    frame: pl.DataFrame,
    metric: str,
    axes: Sequence[str],
    better: str | None = None,
    *,
    predictions: Sequence[PredictedCurve] = (),
    level: float = 0.95,
    among: Sequence[Mapping[str, Any]] | None = None,
) -> Figure:
    """A metric against the generation: mean over seeds of each cell with its t interval.

    Up to 8 cells share one panel with a label at each line, and dashes beside their colours unless there are predictions; more
    share it if they differ in one number (a sequential colour map), otherwise small multiples by the axes that are not coded
    by colour. Rows named ``<metric>.floor`` give the grey level "real against real". Diverged seeds are excluded from the
    mean; a cross marks the last finite value of each, and the label counts them. The axis is logarithmic if positive means
    span more than two decades.

    Args:
        frame: A tidy table, see `selfconsume.results.table.table`.
        metric: Name of the values.
        axes: Columns that identify cells.
        better: "lower", "higher" or None.
        predictions: Predicted curves.
        level: Coverage of the bands.
        among: Cells of a figure beside this one, which gives them their colours, see `panels.arrange`.

    Raises:
        ValueError: The table has no metric of this name.
    """
    rows = frame.filter(pl.col("metric") == metric)
    if rows.is_empty():
        raise ValueError(f"metric_curves: no metric {metric!r}; there are {frame['metric'].unique().sort().to_list()}")
    floors = frame.filter(pl.col("metric") == f"{metric}{FLOOR}")
    cells = rows.select("run", *axes).unique(maintain_order=True).to_dicts()
    chosen = selection(cells, axes, MAX_CELLS)
    cells = [cells[i] for i in chosen]
    curves = curves_of(rows, floors, [cell["run"] for cell in cells], labels(cells, axes), level)
    layout = arrange(cells, axes, among)
    with rc():
        figure, grid = _canvas(layout)
        means = np.concatenate([c.mean for c in curves] + [np.array([c.floor[0]]) for c in curves if c.floor])
        lows, highs = (np.concatenate([getattr(c, side) for c in curves]) for side in ("low", "high"))
        first, last = float(min(c.t.min() for c in curves)), float(max(c.t.max() for c in curves))
        padding = 0.02 * (last - first) or 0.5
        grid[0].set_xlim(first - padding, last + padding)
        scale = fit_axes(grid, means, lows, highs, positive=(rows["value"] < 0).sum() == 0)
        dashes: dict[str, Any] = {}
        for prediction in predictions:
            dashes.setdefault(prediction.label, DASHES[len(dashes) % len(DASHES)])
        for ax, panel in zip(grid, layout.panels, strict=False):
            _draw_curves(ax, panel, curves, len(layout.panels) > 1, not predictions)
            _draw_predictions(ax, panel, [cell["run"] for cell in cells], predictions, dashes)
        notes = _notes(layout, curves, dashes)
        diverged = [sum(len(curves[i].diverged) for i in panel.members) for panel in layout.panels]
        _label_panels(grid, layout.panels, diverged)
        _label_axes(figure, grid, metric + scale, [*notes, BETTER[better]])
        _label_curves(figure, grid, layout, curves, not predictions)
    return figure


def describe(frame: pl.DataFrame, metric: str, axes: Sequence[str]) -> str:
    """A figure of `metric_curves` in words: the means over seeds of its cells, in generation 0 and the last one."""
    rows = frame.filter(pl.col("metric") == metric)
    floors = frame.filter(pl.col("metric") == f"{metric}{FLOOR}")
    cells = rows.select("run", *axes).unique(maintain_order=True).to_dicts()
    cells = [cells[i] for i in selection(cells, axes, MAX_CELLS)]
    curves = curves_of(rows, floors, [cell["run"] for cell in cells], labels(cells, axes), 0.95)
    parts = [f"{c.label or 'all'} from {c.mean[0]:.3g} to {c.mean[-1]:.3g}" for c in curves]
    floor = next((f"; real against real {c.floor[0]:.3g}" for c in curves if c.floor), "")
    span = f"from generation {min(c.t.min() for c in curves)} to {max(c.t.max() for c in curves)}"
    return f"{metric}, mean over seeds, {span}: {', '.join(parts)}{floor}"


def _canvas(layout: Arrangement) -> tuple[Figure, list[Axes]]:
    """Figure with empty panels; fixed margins for several panels, because matplotlib's layout engine is slow."""
    panels = layout.panels
    columns = min(4, len(panels))
    lines = -(-len(panels) // columns)
    if len(panels) == 1:
        height = max(3.3, 0.16 * len(panels[0].members) + 0.9)
        figure = canvas((5.6, height), layout="constrained", fixed=False)
    else:
        height = max(1.8 * lines, 0.17 * len(layout.legend) + 0.3) + 1.0
        figure = canvas((WIDE, height))
        right = 0.5 + 0.07 * max(len(name) for name, _ in [*layout.legend, (layout.legend_title, None)])
        figure.subplots_adjust(
            left=0.75 / WIDE,
            right=1 - (right if layout.legend else 0.15) / WIDE,
            bottom=0.5 / height,
            top=1 - 0.5 / height,
            wspace=0.08,
            hspace=0.3,
        )
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for ax in grid[len(panels) :]:
        ax.set_axis_off()
    for ax in grid[max(0, len(panels) - columns) : len(panels)]:
        ax.tick_params(labelbottom=True)
    return figure, list(grid[: len(panels)])


def _floors(panel: Panel, curves: Sequence[Curve]) -> set[tuple[float, float, float]]:
    """Distinct noise floors of a panel: a single one is grey, several are dotted in the colours of their cells."""
    return {floor for i in panel.members if (floor := curves[i].floor) is not None}


def _draw_curves(ax: Axes, panel: Panel, curves: Sequence[Curve], small: bool, dashed: bool) -> None:
    """Means, bands and marks; dashes repeat what colours say, unless they mean predictions."""
    floors = _floors(panel, curves)
    if len(floors) == 1:
        _draw_floor(ax, next(iter(floors)), MUTED, "-", PALE)
    faint = min(0.17, 0.5 / len(panel.members))
    for i in panel.context:
        ax.plot(curves[i].t, curves[i].mean, color="#dcdcdc", lw=0.8, zorder=1.5)
    low, high = ax.get_ylim()
    for i, colour in zip(panel.members, panel.colours, strict=True):
        curve = curves[i]
        if len(floors) > 1 and curve.floor:
            _draw_floor(ax, curve.floor, colour, ":", None)
        if len(curve.t) == 1:
            error = np.nan_to_num([curve.mean - curve.low, curve.high - curve.mean])
            x = curve.t + _offset(panel, curves, i)
            ax.errorbar(x, curve.mean, error, fmt="o", ms=4, color=colour, capsize=2, lw=1)
            continue
        ax.fill_between(curve.t, curve.low, curve.high, color=colour, alpha=faint, lw=0)
        marker = "o" if len(curve.t) <= 25 and not small else None
        dash = colours.dash(colour) if dashed else "-"
        ax.plot(curve.t, curve.mean, color=colour, ls=dash, lw=1.5, marker=marker, ms=2.6, mew=0)
        marks = [(t, np.clip(v, low, high)) for t, v in curve.diverged[:MAX_MARKS] if t >= 0]
        if marks:
            ax.scatter(*zip(*marks, strict=True), marker="x", s=22, lw=1.1, color=colour, zorder=3, clip_on=False)


def _offset(panel: Panel, curves: Sequence[Curve], i: int) -> float:
    """Horizontal offset of a point: with a single generation, intervals would overlap."""
    if any(len(curves[j].t) > 1 for j in panel.members):
        return 0.0
    return 0.5 * ((panel.members.index(i) + 0.5) / len(panel.members) - 0.5)


def _draw_floor(ax: Axes, floor: tuple[float, float, float], colour: str, dash: str, fill: str | None) -> None:
    mean, low, high = floor
    if fill and np.isfinite(low) and np.isfinite(high):
        ax.axhspan(low, high, color=fill, lw=0, zorder=0.5)
    ax.axhline(mean, color=colour, lw=1.0, ls=dash, zorder=1, alpha=1 if fill else 0.8)


def _draw_predictions(
    ax: Axes, panel: Panel, runs: list[str], predictions: Sequence[PredictedCurve], dashes: dict[str, Any]
) -> None:
    colours = {runs[i]: colour for i, colour in zip(panel.members, panel.colours, strict=True)}
    for prediction in predictions:
        if prediction.run is None or prediction.run in colours:
            # Darker than the measured curve, which would hide an accurate prediction.
            colour = INK if prediction.run is None else [0.55 * part for part in to_rgb(colours[prediction.run])]
            dash = dashes[prediction.label]
            ax.plot(prediction.generations, prediction.values, color=colour, ls=dash, lw=1.2, zorder=2.5)


def _label_curves(
    figure: Figure, grid: Sequence[Axes], layout: Arrangement, curves: Sequence[Curve], dashed: bool
) -> None:
    """Direct labels in a single panel, otherwise a legend."""
    if len(layout.panels) == 1:
        direct_labels(grid[0], _ends(layout.panels[0], curves))
        # A fixed layout, so that saving twice gives the same file.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    elif layout.legend:
        legend(figure, layout.legend_title, layout.legend, dashed)


def _notes(layout: Arrangement, curves: Sequence[Curve], dashes: dict[str, Any]) -> list[str]:
    """Explanations of line styles and marks for the title."""
    floors = [len(_floors(panel, curves)) for panel in layout.panels]
    notes = [f"{_name(dash)}: {label}" for label, dash in dashes.items()]
    notes += ["dotted: real against real"] * any(count > 1 for count in floors)
    notes += ["×: seeds that diverged"] * any(curve.diverged for curve in curves)
    notes += ["grey: real against real"] * (1 in floors and len(layout.panels) > 1)
    return notes


def _label_panels(grid: Sequence[Axes], panels: Sequence[Panel], diverged: Sequence[int]) -> None:
    """Generation ticks, and titles with the number of diverged seeds."""
    for ax, panel, count in zip(grid, panels, diverged, strict=True):
        low, high = ax.get_xlim()
        if high - low <= 1:
            ax.set_xticks([round((low + high) / 2)])
        else:
            ax.xaxis.set_major_locator(
                MaxNLocator(integer=True, nbins=8 if len(panels) == 1 else 5, steps=[1, 2, 5, 10])
            )
        ax.tick_params(length=3, labelsize=8)
        if panel.title:
            ax.set_title(f"{panel.title}  × {count}" if count else panel.title, loc="left")


def _label_axes(figure: Figure, grid: Sequence[Axes], label: str, notes: Sequence[str]) -> None:
    head = "   ·   ".join(note for note in notes if note)
    if len(grid) == 1:
        grid[0].set_xlabel("generation")
        grid[0].set_ylabel(label)
        grid[0].set_title(head, loc="right", color="#666666", fontsize=8)
        return
    height = figure.get_figheight()
    figure.supxlabel("generation", fontsize=8.5, y=0.08 / height, va="bottom")
    figure.supylabel(label, fontsize=8.5, x=0.1 / WIDE, ha="left")
    figure.suptitle(head, fontsize=8, color="#666666", x=0.99, ha="right", y=1 - 0.06 / height)


def _ends(panel: Panel, curves: Sequence[Curve]) -> list[tuple[tuple[float, float], str, object]]:
    """Last finite point of each curve with its label and colour."""
    ends = []
    for i, colour in zip(panel.members, panel.colours, strict=True):
        curve = curves[i]
        finite = np.flatnonzero(np.isfinite(curve.mean))
        at = finite[-1] if len(finite) else -1
        x = float(curve.t[at]) + _offset(panel, curves, i)
        ends.append(((x, float(curve.mean[at])), curve.label, colour))
    floors = _floors(panel, curves)
    if len(floors) == 1:
        right = max(float(curves[i].t[-1]) for i in panel.members)
        ends.append(((right, floors.pop()[0]), "real against real", MUTED))
    return ends


def _name(dash: Any) -> str:
    return {0: "dashed", 1: "dash-dotted", 2: "dotted", 3: "long-dashed"}[DASHES.index(dash)]
