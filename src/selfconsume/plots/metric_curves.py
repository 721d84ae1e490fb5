"""Figures of the tidy table: metric against generation, with bands over seeds. Nothing here runs a model.

Figures are made with matplotlib's object interface and leave its global state alone; save them with `Figure.savefig`, or as
a string for a web page with `svg`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from selfconsume.plots.axis_limits import fit_axes
from selfconsume.plots.curves import Curve, curves_of
from selfconsume.plots.panels import Arrangement, Panel, arrange, direct_labels, key
from selfconsume.plots.sample_panels import sample_grid
from selfconsume.plots.style import INK, MUTED, PALE, STYLE
from selfconsume.results.cell_labels import labels, selection
from selfconsume.results.format import FLOOR

__all__ = ["PredictedCurve", "metric_curves", "sample_grid", "svg"]

MOST_CELLS = 24
"""More cells than this are not told apart in one figure: an evenly spaced selection along the axes is drawn."""
WIDE = 11.2
"""Inches across a figure of several panels; a single panel is half as wide."""
MOST_MARKS = 30
"""Diverged seeds marked singly for each cell; their number is always in the label."""
DASHES = ("--", "-.", (0, (1, 1.5)), (0, (6, 2, 1, 2, 1, 2)))

BETTER = {"lower": "↓ lower is better", "higher": "↑ higher is better", None: ""}


class PredictedCurve(NamedTuple):
    """A curve of theory, drawn over what was measured.

    Attributes:
        label: What it is; shown once, however many cells it is drawn for.
        generations: Where it is known.
        values: Its values there.
        run: Identity of the cell that it belongs to; None draws it in black for all cells.
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
) -> Figure:
    """A metric against the generation: one line a cell, its mean over seeds with the t interval of this mean.

    Up to 8 cells share one panel with a label at each line. More share it if they differ in one number (a sequential colour
    map), else they are split into small panels by the axes that the colour does not show; of more than `MOST_CELLS` an even
    selection along the axes is drawn. Rows named ``<metric>.floor`` become the grey level "real against real". Diverged
    seeds leave the mean; a cross marks the last finite value of each, and the label counts them. The axis is logarithmic if
    positive means span more than two decades, and says so.

    Args:
        frame: A tidy table, see `selfconsume.results.table.table`.
        metric: Name of the values.
        axes: The columns that tell cells apart.
        better: "lower", "higher" or None.
        predictions: Curves of theory.
        level: Coverage of the bands.

    Raises:
        ValueError: The table has no such metric.
    """
    rows = frame.filter(pl.col("metric") == metric)
    if rows.is_empty():
        raise ValueError(f"metric_curves: no metric {metric!r}; there are {frame['metric'].unique().sort().to_list()}")
    floors = frame.filter(pl.col("metric") == f"{metric}{FLOOR}")
    cells = rows.select("run", *axes).unique(maintain_order=True).to_dicts()
    chosen = selection(cells, axes, MOST_CELLS)
    cells = [cells[i] for i in chosen]
    curves = curves_of(rows, floors, [cell["run"] for cell in cells], labels(cells, axes), level)
    layout = arrange(cells, axes)
    with matplotlib.rc_context(STYLE):
        figure, grid = _canvas(layout)
        means = np.concatenate([c.mean for c in curves] + [np.array([c.floor[0]]) for c in curves if c.floor])
        lows, highs = (np.concatenate([getattr(c, side) for c in curves]) for side in ("low", "high"))
        first, last = (float(f([f(c.t) for c in curves])) for f in (np.min, np.max))
        room = 0.02 * (last - first) or 0.5
        grid[0].set_xlim(first - room, last + room)
        scale = fit_axes(grid, means, lows, highs, positive=(rows["value"] < 0).sum() == 0)
        dashes: dict[str, object] = {}
        for prediction in predictions:
            dashes.setdefault(prediction.label, DASHES[len(dashes) % len(DASHES)])
        for ax, panel in zip(grid, layout.panels, strict=False):
            _panel(ax, panel, curves, len(layout.panels) > 1)
            _predict(ax, panel, [cell["run"] for cell in cells], predictions, dashes)
        notes = [f"{_name(dash)}: {label}" for label, dash in dashes.items()]
        grey, dotted = (any(len(_floors(p, curves)) in some for p in layout.panels) for some in ((1,), range(2, 99)))
        notes += ["dotted: real against real"] * dotted
        notes += ["×: seeds that diverged"] * any(curve.lost for curve in curves)
        notes += ["grey: real against real"] * (grey and len(layout.panels) > 1)
        losses = [sum(len(curves[i].lost) for i in panel.members) for panel in layout.panels]
        _frame(figure, grid, layout.panels, losses, metric + scale, BETTER[better], notes)
        if len(layout.panels) == 1:
            direct_labels(grid[0], _ends(layout.panels[0], curves))
        elif layout.legend:
            key(figure, layout.legend_title, layout.legend)
        if len(layout.panels) == 1:
            # Laid out once, so that saving it twice gives the same file.
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
    return figure


def svg(figure: Figure, salt: str = "") -> str:
    """The figure as an ``<svg>`` element to be put into a page: text stays text and takes the page's font.

    Args:
        figure: Any figure.
        salt: Makes the element's internal names differ from those of other figures of the page.
    """
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt or "selfconsume"}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    body = text.getvalue()
    body = re.sub(r"<metadata>.*?</metadata>", "", body[body.index("<svg") :], flags=re.DOTALL)
    # Only definitions are referred to; the names of groups would repeat from figure to figure.
    return re.sub(r'<g id="[^"]*"', "<g", body)


def _canvas(layout: Arrangement) -> tuple[Figure, list[Axes]]:
    """A figure with empty panels: laid out by matplotlib if there is one, else by hand, which is much faster."""
    panels = layout.panels
    columns = min(4, len(panels))
    lines = -(-len(panels) // columns)
    if len(panels) == 1:
        figure = Figure((5.6, max(3.3, 0.16 * len(panels[0].members) + 0.9)), layout="constrained")
    else:
        height = max(1.8 * lines, 0.17 * len(layout.legend) + 0.3) + 1.0
        figure = Figure((WIDE, height))
        right = 0.5 + 0.07 * max(len(name) for name, _ in [*layout.legend, (layout.legend_title, None)])
        figure.subplots_adjust(
            left=0.75 / WIDE,
            right=1 - (right if layout.legend else 0.15) / WIDE,
            bottom=0.5 / height,
            top=1 - 0.5 / height,
            wspace=0.08,
            hspace=0.3,
        )
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for ax in grid[len(panels) :]:
        ax.set_axis_off()
    for ax in grid[max(0, len(panels) - columns) : len(panels)]:
        ax.tick_params(labelbottom=True)
    return figure, list(grid[: len(panels)])


def _floors(panel: Panel, curves: Sequence[Curve]) -> set[tuple[float, float, float]]:
    """The different floors of a panel: one is drawn in grey, several dotted in the colours of their cells."""
    return {floor for i in panel.members if (floor := curves[i].floor) is not None}


def _panel(ax: Axes, panel: Panel, curves: Sequence[Curve], small: bool) -> None:
    floors = _floors(panel, curves)
    if len(floors) == 1:
        _floor(ax, *floors, MUTED, "-", PALE)
    faint = min(0.17, 0.5 / len(panel.members))
    for i in panel.behind:
        ax.plot(curves[i].t, curves[i].mean, color="#dcdcdc", lw=0.8, zorder=1.5)
    low, high = ax.get_ylim()
    for i, colour in zip(panel.members, panel.colours, strict=True):
        curve = curves[i]
        if len(floors) > 1 and curve.floor:
            _floor(ax, curve.floor, colour, ":", None)
        if len(curve.t) == 1:
            error = np.nan_to_num([curve.mean - curve.low, curve.high - curve.mean])
            x = curve.t + _beside(panel, curves, i)
            ax.errorbar(x, curve.mean, error, fmt="o", ms=4, color=colour, capsize=2, lw=1)
            continue
        ax.fill_between(curve.t, curve.low, curve.high, color=colour, alpha=faint, lw=0)
        marker = "o" if len(curve.t) <= 25 and not small else None
        ax.plot(curve.t, curve.mean, color=colour, lw=1.5, marker=marker, ms=2.6, mew=0)
        marks = [(t, np.clip(v, low, high)) for t, v in curve.lost[:MOST_MARKS] if t >= 0]
        if marks:
            ax.scatter(*zip(*marks, strict=True), marker="x", s=22, lw=1.1, color=colour, zorder=3, clip_on=False)


def _beside(panel: Panel, curves: Sequence[Curve], i: int) -> float:
    """How far a point is moved sideways: where there is a single generation, intervals would hide each other."""
    if any(len(curves[j].t) > 1 for j in panel.members):
        return 0.0
    return 0.5 * ((panel.members.index(i) + 0.5) / len(panel.members) - 0.5)


def _floor(ax: Axes, floor: tuple[float, float, float], colour: str, dash: str, fill: str | None) -> None:
    mean, low, high = floor
    if fill and np.isfinite(low) and np.isfinite(high):
        ax.axhspan(low, high, color=fill, lw=0, zorder=0.5)
    ax.axhline(mean, color=colour, lw=1.0, ls=dash, zorder=1, alpha=1 if fill else 0.8)


def _predict(ax: Axes, panel: Panel, runs: list[str], predictions: Sequence[PredictedCurve], dashes: dict) -> None:
    colours = {runs[i]: colour for i, colour in zip(panel.members, panel.colours, strict=True)}
    for each in predictions:
        if each.run is None or each.run in colours:
            # Darker than what was measured, or a prediction that holds could not be seen.
            colour = INK if each.run is None else [0.55 * part for part in to_rgb(colours[each.run])]
            ax.plot(each.generations, each.values, color=colour, ls=dashes[each.label], lw=1.2, zorder=2.5)


def _frame(
    figure: Figure,
    grid: Sequence[Axes],
    panels: Sequence[Panel],
    losses: Sequence[int],
    label: str,
    better: str,
    notes: Sequence[str],
) -> None:
    for ax, panel, lost in zip(grid, panels, losses, strict=True):
        low, high = ax.get_xlim()
        if high - low <= 1:
            ax.set_xticks([round((low + high) / 2)])
        else:
            ax.xaxis.set_major_locator(
                MaxNLocator(integer=True, nbins=8 if len(panels) == 1 else 5, steps=[1, 2, 5, 10])
            )
        ax.tick_params(length=3, labelsize=8)
        if panel.title:
            ax.set_title(f"{panel.title}  × {lost}" if lost else panel.title, loc="left")
    head = "   ·   ".join(note for note in (*notes, better) if note)
    if len(panels) == 1:
        grid[0].set_xlabel("generation")
        grid[0].set_ylabel(label)
        grid[0].set_title(head, loc="right", color="#666666", fontsize=8)
        return
    height = figure.get_figheight()
    figure.supxlabel("generation", fontsize=8.5, y=0.08 / height, va="bottom")
    figure.supylabel(label, fontsize=8.5, x=0.1 / WIDE, ha="left")
    figure.suptitle(head, fontsize=8, color="#666666", x=0.99, ha="right", y=1 - 0.06 / height)


def _ends(panel: Panel, curves: Sequence[Curve]) -> list[tuple[tuple[float, float], str, object]]:
    """The last finite point of each curve, its label and colour."""
    ends = []
    for i, colour in zip(panel.members, panel.colours, strict=True):
        curve = curves[i]
        finite = np.flatnonzero(np.isfinite(curve.mean))
        at = finite[-1] if len(finite) else -1
        x = float(curve.t[at]) + _beside(panel, curves, i)
        ends.append(((x, float(curve.mean[at])), curve.label, colour))
    floors = _floors(panel, curves)
    if len(floors) == 1:
        right = max(float(curves[i].t[-1]) for i in panel.members)
        ends.append(((right, floors.pop()[0]), "real against real", MUTED))
    return ends


def _name(dash: object) -> str:
    return {0: "dashed", 1: "dash-dotted", 2: "dotted", 3: "long-dashed"}[DASHES.index(dash)]
