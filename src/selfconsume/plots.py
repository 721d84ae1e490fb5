"""Figures of the tidy table: metric against generation, with bands over seeds. Nothing here runs a model.

Figures are made with matplotlib's object interface and leave its global state alone; save them with `Figure.savefig`, or as
a string for a web page with `svg`.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from selfconsume import views
from selfconsume.curves import Curve, curves_of
from selfconsume.grids import INK, MUTED, PALE, PALETTE, Panel, arrange, direct_labels, key, labels, selection
from selfconsume.scales import fit_axes

MOST_CELLS = 24
"""More cells than this are not told apart in one figure: an evenly spaced selection along the axes is drawn."""
MOST_MARKS = 30
"""Diverged seeds marked singly for each cell; their number is always in the label."""
DASHES = ("--", "-.", (0, (1, 1.5)), (0, (6, 2, 1, 2, 1, 2)))

STYLE = {
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#4d4d4d",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.titlesize": 8.5,
    "xtick.color": "#4d4d4d",
    "ytick.color": "#4d4d4d",
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "text.color": INK,
    "text.parse_math": False,
    "axes.unicode_minus": True,
}
BETTER = {"lower": "↓ lower is better", "higher": "↑ higher is better", None: ""}


class Prediction(NamedTuple):
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
    predictions: Sequence[Prediction] = (),
    level: float = 0.95,
) -> Figure:
    """A metric against the generation: one line a cell, its mean over seeds with the t interval of this mean.

    Up to 8 cells share one panel with a label at each line. More share it if they differ in one number (a sequential colour
    map), else they are split into small panels by the axes that the colour does not show; of more than `MOST_CELLS` an even
    selection along the axes is drawn. Rows named ``<metric>.floor`` become the grey level "real against real". Diverged
    seeds leave the mean; a cross marks the last finite value of each, and the label counts them. The axis is logarithmic if
    positive means span more than two decades, and says so.

    Args:
        frame: A tidy table, see `selfconsume.table.table`.
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
    floors = frame.filter(pl.col("metric") == f"{metric}.floor")
    cells = rows.select("run", *axes).unique(maintain_order=True).to_dicts()
    chosen = selection(cells, axes, MOST_CELLS)
    cells = [cells[i] for i in chosen]
    curves = curves_of(rows, floors, [cell["run"] for cell in cells], labels(cells, axes), level)
    layout = arrange(cells, axes)
    with matplotlib.rc_context(STYLE):
        figure, grid = _canvas(layout.panels)
        means = np.concatenate([c.mean for c in curves] + [np.array([c.floor[0]]) for c in curves if c.floor])
        lows, highs = (np.concatenate([getattr(c, side) for c in curves]) for side in ("low", "high"))
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
        notes += ["grey: real against real"] * (grey and len(layout.panels) > 1)
        _frame(figure, grid, layout.panels, metric + scale, BETTER[better], notes)
        if len(layout.panels) == 1:
            direct_labels(grid[0], _ends(layout.panels[0], curves))
        elif layout.legend:
            key(figure, layout.legend_title, layout.legend)
    return figure


def sample_grid(
    samples: Mapping[str, Mapping[int, np.ndarray]],
    shape: tuple[int, ...],
    *,
    real: np.ndarray | Mapping[str, np.ndarray] | None = None,
    image: tuple[int, int] | None = None,
    ink: bool = False,
    most: int = 500,
) -> Figure:
    """Examples by cell (rows) and generation (columns), the real data in the first column and behind the others.

    Scatters in two dimensions, histograms in one, bars of frequencies for one-hot rows, sheets of images, else the first two
    principal components of the real data; on axes that the real data fixes for all panels.

    Args:
        samples: Label of a cell -> generation -> examples ``(n, *shape)``.
        shape: Shape of one example.
        real: Real examples, the same for all cells or by label; without them generation 0 fixes the axes.
        image: Height and width of examples that are images laid flat.
        ink: Whether grey images are shown as ink on paper.
        most: Examples drawn in a panel.
    """
    by_label = real if isinstance(real, Mapping) else dict.fromkeys(samples, real)
    generations = sorted({t for each in samples.values() for t in each})
    known = [rows[:most].reshape(-1, *shape) for rows in by_label.values() if rows is not None]
    view = views.view(
        np.concatenate(known) if known else next(iter(samples.values()))[generations[0]].reshape(-1, *shape),
        image=image,
        ink=ink,
    )
    columns = ([] if not known else [None]) + generations
    figure = Figure((1.15 * len(columns) + 1.4, 1.15 * len(samples) + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(samples), len(columns), squeeze=False)
    with matplotlib.rc_context(STYLE):
        for i, (label, each) in enumerate(samples.items()):
            for ax, t in zip(grid[i], columns, strict=True):
                base = None if by_label[label] is None else by_label[label][:most]
                if t is None:
                    view.draw(ax, np.zeros((0, *shape)) if base is None else base, None, views.ALONE)
                else:
                    rows = each.get(t, np.zeros((0, *shape)))[:most]
                    view.draw(ax, rows, base, PALETTE[i % len(PALETTE)])
                if i == 0:
                    ax.set_title("real data" if t is None else f"generation {t}", fontsize=8)
            wrapped = textwrap.fill(label, 18)
            grid[i, 0].text(-0.1, 0.5, wrapped, transform=grid[i, 0].transAxes, ha="right", va="center", fontsize=8)
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


def _canvas(panels: Sequence[Panel]) -> tuple[Figure, list[Axes]]:
    columns = min(4, len(panels))
    lines = -(-len(panels) // columns)
    most = max(len(panel.members) for panel in panels)
    size = (5.6, max(3.3, 0.16 * most + 0.9)) if len(panels) == 1 else (11.2, max(3.0, 2.1 * lines + 0.7))
    figure = Figure(size, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for ax in grid[len(panels) :]:
        ax.set_axis_off()
    return figure, list(grid[: len(panels)])


def _floors(panel: Panel, curves: Sequence[Curve]) -> set[tuple[float, float, float]]:
    """The different floors of a panel: one is drawn in grey, several dotted in the colours of their cells."""
    return {floor for i in panel.members if (floor := curves[i].floor) is not None}


def _panel(ax: Axes, panel: Panel, curves: Sequence[Curve], small: bool) -> None:
    floors = _floors(panel, curves)
    if len(floors) == 1:
        _floor(ax, *floors, MUTED, "-", PALE)
    faint = 0.06 if len(panel.members) > 6 else 0.17
    for i in panel.behind:
        ax.plot(curves[i].t, curves[i].mean, color="#dcdcdc", lw=0.8, zorder=1.5)
    low, high = ax.get_ylim()
    for i, colour in zip(panel.members, panel.colours, strict=True):
        curve = curves[i]
        if len(floors) > 1 and curve.floor:
            _floor(ax, curve.floor, colour, ":", None)
        if len(curve.t) == 1:
            err = [curve.mean - curve.low, curve.high - curve.mean]
            ax.errorbar(curve.t, curve.mean, np.nan_to_num(err), fmt="o", ms=4, color=colour, capsize=2, lw=1)
            continue
        ax.fill_between(curve.t, curve.low, curve.high, color=colour, alpha=faint, lw=0)
        marker = "o" if len(curve.t) <= 25 and not small else None
        ax.plot(curve.t, curve.mean, color=colour, lw=1.5, marker=marker, ms=2.6, mew=0)
        marks = [(t, np.clip(v, low, high)) for t, v in curve.lost[:MOST_MARKS] if t >= 0]
        if marks:
            ax.scatter(*zip(*marks, strict=True), marker="x", s=22, lw=1.1, color=colour, zorder=3, clip_on=False)


def _floor(ax: Axes, floor: tuple[float, float, float], colour: str, dash: str, fill: str | None) -> None:
    mean, low, high = floor
    if fill and np.isfinite(low) and np.isfinite(high):
        ax.axhspan(low, high, color=fill, lw=0, zorder=0.5)
    ax.axhline(mean, color=colour, lw=1.0, ls=dash, zorder=1, alpha=1 if fill else 0.8)


def _predict(ax: Axes, panel: Panel, runs: list[str], predictions: Sequence[Prediction], dashes: dict) -> None:
    colours = {runs[i]: colour for i, colour in zip(panel.members, panel.colours, strict=True)}
    for each in predictions:
        if each.run is None or each.run in colours:
            colour = INK if each.run is None else colours[each.run]
            ax.plot(each.generations, each.values, color=colour, ls=dashes[each.label], lw=1.1, zorder=2.5)


def _frame(
    figure: Figure, grid: Sequence[Axes], panels: Sequence[Panel], label: str, better: str, notes: Sequence[str]
) -> None:
    for ax, panel in zip(grid, panels, strict=True):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8 if len(panels) == 1 else 5, steps=[1, 2, 5, 10]))
        ax.tick_params(length=3, labelsize=8)
        ax.margins(x=0.02)
        if panel.title:
            ax.set_title(panel.title, loc="left")
    head = "      ".join([*notes, better]).strip()
    if len(panels) == 1:
        grid[0].set_xlabel("generation")
        grid[0].set_ylabel(label)
        grid[0].set_title(head, loc="right", color="#666666", fontsize=8)
        return
    figure.supxlabel("generation", fontsize=8.5)
    figure.supylabel(label, fontsize=8.5)
    figure.suptitle(head, fontsize=8, color="#666666", x=0.99, ha="right")


def _ends(panel: Panel, curves: Sequence[Curve]) -> list[tuple[tuple[float, float], str, object]]:
    """The last finite point of each curve, its label and colour."""
    ends = []
    for i, colour in zip(panel.members, panel.colours, strict=True):
        curve = curves[i]
        finite = np.flatnonzero(np.isfinite(curve.mean))
        at = finite[-1] if len(finite) else -1
        ends.append(((float(curve.t[at]), float(curve.mean[at])), curve.label, colour))
    floors = _floors(panel, curves)
    if len(floors) == 1:
        right = max(float(curves[i].t[-1]) for i in panel.members)
        ends.append(((right, floors.pop()[0]), "real against real", MUTED))
    return ends


def _name(dash: object) -> str:
    return {0: "dashed", 1: "dash-dotted", 2: "dotted", 3: "long-dashed"}[DASHES.index(dash)]
