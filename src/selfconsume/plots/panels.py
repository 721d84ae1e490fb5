"""Arrangement of cells into panels and colours, legends and direct labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from selfconsume.plots import colours as colour_contrast
from selfconsume.plots.style import PALETTE
from selfconsume.results.cell_labels import axis_label, cut, distinct, labels, text


class Panel(NamedTuple):
    """Cells (by index) of one panel with their colours, and context cells in grey."""

    title: str
    members: list[int]
    colours: list[Any]
    context: list[int]


class Arrangement(NamedTuple):
    """Panels of a figure, with a legend if the panels share their colours."""

    panels: list[Panel]
    legend_title: str = ""
    legend: tuple[tuple[str, Any], ...] = ()


def arrange(
    cells: Sequence[Mapping[str, Any]], axes: Sequence[str], among: Sequence[Mapping[str, Any]] | None = None
) -> Arrangement:
    """One panel for up to 8 cells or one numeric axis; else small multiples by the axes that are not coded by colour.

    Args:
        cells: The cells of the figure.
        axes: The study's axes.
        among: Cells of another figure beside it, these among them: a cell then has one colour in both. None: no other figure.
    """
    own = _arranged(cells, axes)
    if among is None:
        return own
    colour_of = colours(among, axes)
    shared = [
        panel._replace(colours=[colour_of.get(cells[i]["run"], PALETTE[0]) for i in panel.members])
        for panel in own.panels
    ]
    replacement = dict(
        pair for old, new in zip(own.panels, shared, strict=True) for pair in zip(old.colours, new.colours, strict=True)
    )
    return Arrangement(shared, own.legend_title, tuple((name, replacement[colour]) for name, colour in own.legend))


def _arranged(cells: Sequence[Mapping[str, Any]], axes: Sequence[str]) -> Arrangement:
    values = distinct(cells, axes)
    indices = list(range(len(cells)))
    numeric = [axis for axis, levels in values.items() if _is_numeric(levels) and len(levels) > 3]
    if len(values) == 1 and numeric:
        return Arrangement([Panel("", indices, _ramp(cells, numeric[0], values[numeric[0]]), [])])
    if len(cells) <= len(PALETTE):
        return Arrangement([Panel("", indices, list(PALETTE[: len(cells)]), [])])
    usable = numeric or [axis for axis, levels in values.items() if len(levels) <= len(PALETTE)]
    names = labels(cells, axes)
    if len(values) < 2 or not usable:
        return Arrangement([Panel(cut(names[i]), [i], [PALETTE[0]], [j for j in indices if j != i]) for i in indices])
    axis = max(usable, key=lambda name: len(values[name]))
    if axis in numeric:
        colours = _ramp(cells, axis, values[axis])
    else:
        colours = [PALETTE[values[axis].index(cell[axis])] for cell in cells]
    facet_axes = [name for name in values if name != axis]
    facets: dict[tuple, list[int]] = {}
    for i, cell in enumerate(cells):
        facets.setdefault(tuple(cell[name] for name in facet_axes), []).append(i)
    panels = [
        Panel(
            ", ".join(axis_label(n, v, list(values)) for n, v in zip(facet_axes, facet, strict=True)),
            members,
            [colours[i] for i in members],
            [],
        )
        for facet, members in facets.items()
    ]
    colour_of = {cell[axis]: colour for cell, colour in zip(cells, colours, strict=True)}
    order = sorted(colour_of, reverse=True) if axis in numeric else list(colour_of)
    return Arrangement(panels, axis, tuple((cut(text(value)), colour_of[value]) for value in order))


def colours(cells: Sequence[Mapping[str, Any]], axes: Sequence[str]) -> dict[str, Any]:
    """Run identity -> colour of its cell in figures of these cells."""
    colour_of = {}
    for panel in arrange(cells, axes).panels:
        colour_of |= {cells[i]["run"]: colour for i, colour in zip(panel.members, panel.colours, strict=True)}
    return colour_of


def legend(figure: Figure, title: str, entries: Sequence[tuple[str, Any]], dashed: bool) -> None:
    """Legend at the right of all panels, of lines with their dashes or without."""
    handles = [
        Line2D([], [], color=colour, ls=colour_contrast.dash(colour) if dashed else "-", lw=2, label=name)
        for name, colour in entries
    ]
    figure.legend(
        handles=handles,
        title=title,
        loc="center right",
        frameon=False,
        fontsize=8,
        title_fontsize=8,
        handlelength=2.4,
    )


def direct_labels(ax: Axes, ends: Sequence[tuple[tuple[float, float], str, Any]]) -> None:
    """Labels at the right of the axes, connected to the ends of their lines and spread to avoid overlaps.

    Args:
        ax: Axes with final limits.
        ends: Last point (nan without one), label and colour of each line.
    """
    from scipy.optimize import isotonic_regression

    cast(Figure, ax.figure).draw_without_rendering()
    line = 11.5 * ax.figure.dpi / 72 / ax.get_window_extent().height
    to_axes = ax.transData + ax.transAxes.inverted()
    bottom, top = ax.get_ylim()
    points = [(x, bottom if np.isnan(y) else float(np.clip(y, bottom, top))) for (x, y), _, _ in ends]
    at = np.array([to_axes.transform(point)[1] for point in points])
    order = np.argsort(at, kind="stable")
    steps = line * np.arange(len(ends))
    # Least-squares displacement with a minimum spacing of one line: isotonic regression after subtracting the spacing.
    spread = isotonic_regression(at[order] - steps).x
    spread = np.clip(spread, 0.0, max(0.0, 1.0 - steps[-1])) + steps
    for place, y in zip(order, spread, strict=True):
        _, label, colour = ends[place]
        ax.annotate(
            label,
            points[place],
            (1.035, y),
            textcoords="axes fraction",
            va="center",
            color=colour_contrast.readable(colour),
            fontsize=8,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5, "shrinkA": 1, "shrinkB": 3, "relpos": (0, 0.5)},
        )


def _is_numeric(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _ramp(cells: Sequence[Mapping[str, Any]], axis: str, values: Sequence[float]) -> list[Any]:
    """Colours by rank, dark to light, without the pale end of the colour map."""
    rank = {value: i for i, value in enumerate(sorted(values))}
    colours = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.86, len(values)))
    return [to_hex(colours[rank[cell[axis]]]) for cell in cells]
