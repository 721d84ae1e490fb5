"""Which cells share a figure, in which colours and panels, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from selfconsume.plots.style import PALETTE
from selfconsume.results.cell_labels import _named, cut, distinct, labels, text


class Panel(NamedTuple):
    """Cells (by index) drawn together, each in its colour, and cells that stand behind them in grey."""

    title: str
    members: list[int]
    colours: list[Any]
    behind: list[int]


class Arrangement(NamedTuple):
    """The panels of a figure and, where the panels share their colours, what these mean."""

    panels: list[Panel]
    legend_title: str = ""
    legend: tuple[tuple[str, Any], ...] = ()


def arrange(cells: Sequence[Mapping[str, Any]], axes: Sequence[str]) -> Arrangement:
    """One panel for up to 8 cells or one number's values; else small panels by the axes that colour does not show."""
    values = distinct(cells, axes)
    everything = list(range(len(cells)))
    numeric = [axis for axis, found in values.items() if _numeric(found) and len(found) > 3]
    if len(values) == 1 and numeric:
        return Arrangement([Panel("", everything, _ramp(cells, numeric[0], values[numeric[0]]), [])])
    if len(cells) <= len(PALETTE):
        return Arrangement([Panel("", everything, list(PALETTE[: len(cells)]), [])])
    usable = numeric or [axis for axis, found in values.items() if len(found) <= len(PALETTE)]
    names = labels(cells, axes)
    if len(values) < 2 or not usable:
        return Arrangement(
            [Panel(cut(names[i]), [i], [PALETTE[0]], [j for j in everything if j != i]) for i in everything]
        )
    axis = max(usable, key=lambda name: len(values[name]))
    if axis in numeric:
        colours = _ramp(cells, axis, values[axis])
    else:
        colours = [PALETTE[values[axis].index(cell[axis])] for cell in cells]
    others = [name for name in values if name != axis]
    facets: dict[tuple, list[int]] = {}
    for i, cell in enumerate(cells):
        facets.setdefault(tuple(cell[name] for name in others), []).append(i)
    panels = [
        Panel(
            ", ".join(_named(n, v, list(values)) for n, v in zip(others, facet, strict=True)),
            members,
            [colours[i] for i in members],
            [],
        )
        for facet, members in facets.items()
    ]
    shown = {cell[axis]: colour for cell, colour in zip(cells, colours, strict=True)}
    order = sorted(shown, reverse=True) if axis in numeric else list(shown)
    return Arrangement(panels, axis, tuple((cut(text(value)), shown[value]) for value in order))


def colours(cells: Sequence[Mapping[str, Any]], axes: Sequence[str]) -> dict[str, Any]:
    """Run identity -> the colour that its cell has in figures of these cells."""
    found = {}
    for panel in arrange(cells, axes).panels:
        found |= {cells[i]["run"]: colour for i, colour in zip(panel.members, panel.colours, strict=True)}
    return found


def key(figure: Figure, title: str, entries: Sequence[tuple[str, Any]]) -> None:
    """A legend at the right of all panels."""
    handles = [Line2D([], [], color=colour, lw=2, label=name) for name, colour in entries]
    figure.legend(
        handles=handles,
        title=title,
        loc="center right",
        frameon=False,
        fontsize=8,
        title_fontsize=8,
        handlelength=1.4,
    )


def direct_labels(ax: Axes, ends: Sequence[tuple[tuple[float, float], str, Any]]) -> None:
    """Labels at the right of the axes, joined to the ends of their lines and moved apart where lines meet.

    Args:
        ax: Axes whose limits are final.
        ends: Point (nan where there is none), label and colour of each line.
    """
    from scipy.optimize import isotonic_regression

    ax.figure.draw_without_rendering()
    line = 11.5 * ax.figure.dpi / 72 / ax.get_window_extent().height
    to_axes = ax.transData + ax.transAxes.inverted()
    bottom, top = ax.get_ylim()
    points = [(x, bottom if np.isnan(y) else float(np.clip(y, bottom, top))) for (x, y), _, _ in ends]
    at = np.array([to_axes.transform(point)[1] for point in points])
    order = np.argsort(at, kind="stable")
    steps = line * np.arange(len(ends))
    # The least displaced places that are a line apart: an isotonic regression once the steps are taken off.
    moved = isotonic_regression(at[order] - steps).x
    moved = np.clip(moved, 0.0, max(0.0, 1.0 - steps[-1])) + steps
    for place, y in zip(order, moved, strict=True):
        _, label, colour = ends[place]
        ax.annotate(
            label,
            points[place],
            (1.035, y),
            textcoords="axes fraction",
            va="center",
            color=colour,
            fontsize=8,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5, "shrinkA": 1, "shrinkB": 3, "relpos": (0, 0.5)},
        )


def _numeric(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _ramp(cells: Sequence[Mapping[str, Any]], axis: str, values: Sequence[float]) -> list[Any]:
    """Colours by rank, dark to light, without the map's pale end."""
    rank = {value: i for i, value in enumerate(sorted(values))}
    colours = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.86, len(values)))
    return [matplotlib.colors.to_hex(colours[rank[cell[axis]]]) for cell in cells]
