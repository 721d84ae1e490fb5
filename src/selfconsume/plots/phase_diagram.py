"""Figure of a phase diagram: one tile per cell, with theory's boundary on top."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize, TwoSlopeNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.spines import Spine
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator
from scipy.interpolate import PchipInterpolator

from selfconsume.analysis.contraction_rate import Rate
from selfconsume.analysis.phase_diagram import Boundary, Plane
from selfconsume.analysis.verdicts import VERDICTS
from selfconsume.plots.style import INK, canvas, rc

COLOURS = {
    "stable": "#0072b2",
    "improved": "#56b4e9",
    "undecided": "#d9d9d9",
    "drifting": "#e69f00",
    "collapsed": "#d55e00",
    "diverged": "#882255",
    "": "#f6f6f6",
}
"""Cool colours for stable, warm for unstable, grey for undecided."""
MAX_ANNOTATED = 120
"""Values are printed on at most this number of tiles."""
DASHES = ("--", ":")
COARSE = (0.01, 0.03, 0.1, 0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0, 10.0, 30.0, 100.0)
DENSE = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5)
"""Ticks of contractions."""
FAR = 1e3
"""Contraction rates are clipped to this one, also for diverged seeds."""


def verdict_diagram(
    plane: Plane, words: Mapping[str, str], lines: Sequence[Boundary] = (), notes: Sequence[str] = ()
) -> Figure:
    """Gravest verdict of every cell.

    Args:
        plane: The plane.
        words: Run identity -> verdict.
        lines: Boundaries of theory.
        notes: Results of theory without a curve.
    """
    grid = plane.grid(words, "")
    with rc():
        figure, ax = _canvas(plane)
        _show_tiles(ax, np.array([[to_rgb(COLOURS[word]) for word in row] for row in grid]))
        _frame(ax, plane, lines, [*notes, "verdict over all metrics"])
        legend_words = [word for word in reversed(VERDICTS) if word in grid]
        _legend(figure, ax, [Patch(color=COLOURS[word], label=word) for word in legend_words], lines)
    return figure


def contraction_diagram(
    plane: Plane, rates: Mapping[str, Rate], lines: Sequence[Boundary] = (), notes: Sequence[str] = ()
) -> Figure:
    """Contraction per generation of every cell, on a logarithmic scale around 1; italic if the interval contains 1.

    Args:
        plane: The plane.
        rates: Run identity -> contraction rate.
        lines: Boundaries of theory.
        notes: Results of theory without a curve.
    """
    grid = plane.grid({name: _shown(rate) for name, rate in rates.items()})
    logs = np.log(np.clip(grid, 1 / FAR, FAR))
    bound = max(float(np.nanmax(np.abs(logs[np.isfinite(logs)]), initial=0.0)), 1e-3)
    # Differences far below 1 are clipped to resolve the neighbourhood of 1.
    bound = min(bound, max(float(np.nanmax(logs, initial=0.0)) * 1.5, math.log(2.0)))
    norm = TwoSlopeNorm(0.0, -bound, bound)
    with rc():
        figure, ax = _canvas(plane)
        image = _show_tiles(ax, logs, cmap="RdBu_r", norm=norm)
        doubtful = plane.grid(
            {name: float(not (rate.is_stable or rate.is_unstable)) for name, rate in rates.items()}, 0.0
        )
        _annotate_tiles(ax, grid, image, plane, doubtful)
        _frame(ax, plane, lines, [*notes, "italic: 1 is in the interval"] if doubtful.any() else notes)
        bar = figure.colorbar(image, ax=ax, pad=0.02, aspect=28, extend="both")
        ticks = [x for x in (COARSE if bound > math.log(1.6) else DENSE) if abs(math.log(x)) <= bound]
        bar.ax.yaxis.set_major_locator(FixedLocator([math.log(x) for x in ticks]))
        bar.ax.yaxis.set_minor_locator(NullLocator())
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{math.exp(value):.3g}"))
        cast(Spine, bar.outline).set_visible(False)
        bar.set_label("contraction per generation")
        _legend(figure, ax, [], lines)
    return figure


def value_diagram(
    plane: Plane, values: Mapping[str, float], metric: str, lines: Sequence[Boundary] = (), notes: Sequence[str] = ()
) -> Figure:
    """Final value of a metric in every cell; logarithmic if positive values span two decades.

    Args:
        plane: The plane.
        values: Run identity -> value; nan for a cell with a diverged seed.
        metric: Name of the metric.
        lines: Boundaries of theory.
        notes: Results of theory without a curve.
    """
    grid = plane.grid(values)
    finite = grid[np.isfinite(grid)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    norm = LogNorm(low, high) if low > 0 and high > 100 * low else Normalize(low, high if high > low else low + 1)
    with rc():
        figure, ax = _canvas(plane)
        ax.set_facecolor(COLOURS["diverged"])
        image = _show_tiles(ax, grid, cmap="viridis", norm=norm)
        _annotate_tiles(ax, grid, image, plane)
        has_diverged = len(finite) < grid.size
        _frame(ax, plane, lines, [*notes, "wine: a seed diverged"] if has_diverged else notes)
        bar = figure.colorbar(image, ax=ax, pad=0.02, aspect=28)
        cast(Spine, bar.outline).set_visible(False)
        bar.set_label(f"{metric}, mean over seeds in the last generation")
        _legend(figure, ax, [], lines)
    return figure


def _show_tiles(ax: Axes, values: np.ndarray, cmap: str | None = None, norm: Normalize | None = None) -> AxesImage:
    return ax.imshow(values, cmap=cmap, norm=norm, origin="lower", aspect="auto", interpolation="nearest")


def _canvas(plane: Plane) -> tuple[Figure, Axes]:
    width = 2.6 + 0.46 * min(max(len(plane.xs), 6), 16)
    height = 1.3 + 0.34 * min(max(len(plane.ys), 7), 16)
    figure = canvas((width, height), layout="constrained", fixed=False)
    return figure, figure.subplots()


def _frame(ax: Axes, plane: Plane, lines: Sequence[Boundary], notes: Sequence[str]) -> None:
    for values, axis, name in ((plane.xs, ax.xaxis, plane.x), (plane.ys, ax.yaxis, plane.y)):
        step = max(1, -(-len(values) // 16))
        axis.set_major_locator(FixedLocator(range(0, len(values), step)))
        axis.set_major_formatter(FuncFormatter(lambda at, _, values=values: f"{values[round(at)]:g}"))
        axis.set_minor_locator(FixedLocator([i + 0.5 for i in range(len(values) - 1)]))
        axis.set_minor_formatter(NullFormatter())
        axis.set_label_text(name)
    # White lines between tiles, at the minor ticks.
    ax.grid(which="minor", color="white", lw=1.2)
    ax.tick_params(which="both", length=0)
    for side in ax.spines.values():
        side.set_visible(False)
    if len(plane.xs) > 8:
        ax.tick_params(axis="x", labelrotation=45)
    limits = ax.get_xlim(), ax.get_ylim()
    for line, dash in zip(lines, DASHES, strict=False):
        at = _positions(line.x, plane.xs), _positions(line.y, plane.ys)
        ax.plot(*at, color="white", lw=3.2, solid_capstyle="butt")
        ax.plot(*at, color=INK, lw=1.5, ls=dash)
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])
    ax.set_title("   ·   ".join(notes), loc="right", color="#666666", fontsize=8)


def _positions(x: np.ndarray, values: Sequence[float]) -> np.ndarray:
    """Axis values as tile positions, up to half a tile beyond the outer tiles; nan farther out."""
    at = np.array(values)
    if len(at) == 1:
        return np.where(x == at[0], 0.0, np.nan)
    knots = np.concatenate([[at[0] - (at[1] - at[0]) / 2], at, [at[-1] + (at[-1] - at[-2]) / 2]])
    place = np.concatenate([[-0.5], np.arange(len(at)), [len(at) - 0.5]])
    # Monotone and smooth: linear interpolation would add a kink wherever the spacing of the values changes.
    return PchipInterpolator(knots, place, extrapolate=False)(x)


def _annotate_tiles(
    ax: Axes, grid: np.ndarray, image: AxesImage, plane: Plane, doubtful: np.ndarray | None = None
) -> None:
    """Prints the value on each tile of a small plane."""
    if grid.size > MAX_ANNOTATED or len(plane.xs) > 14:
        return
    for (j, i), value in np.ndenumerate(grid):
        if np.isnan(value):
            continue
        shade = image.cmap(image.norm(cast(Any, float(cast(np.ndarray, image.get_array())[j, i]))))
        dark = np.dot(shade[:3], (0.299, 0.587, 0.114)) < 0.5
        slant = "italic" if doubtful is not None and doubtful[j, i] else "normal"
        text = "div." if np.isinf(value) else f"{value:.2g}" if abs(value) < 0.995 else f"{value:.3g}"
        ax.text(
            i,
            j,
            text,
            ha="center",
            va="center",
            fontsize=7,
            color="white" if dark else INK,
            style=slant,
            zorder=5,
            path_effects=[withStroke(linewidth=2.2, foreground=shade)],
        )


def _legend(figure: Figure, ax: Axes, tiles: Sequence[Patch], lines: Sequence[Boundary]) -> None:
    curves = [
        Line2D([], [], color=INK, lw=1.5, ls=dash, label=line.label) for line, dash in zip(lines, DASHES, strict=False)
    ]
    if tiles:
        ax.legend(handles=tiles, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
    if curves:
        figure.legend(handles=curves, loc="outside lower center", ncols=2, frameon=False, fontsize=8, handlelength=3)


def _shown(rate: Rate) -> float:
    return rate.rate if math.isfinite(rate.high) else math.inf
