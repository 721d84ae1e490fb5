"""Panels of samples: scatter, histogram, bars or image sheet, on axes fixed by the real data.

The plot is chosen and scaled once, from the real data, and used for every generation and regime, so that panels are
comparable. Without real data, generation 0 is used.
"""

from __future__ import annotations

import abc
import dataclasses
import io
import textwrap
from collections.abc import Mapping
from typing import cast

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave

from selfconsume.plots.style import INK, PALE, PALETTE, canvas, rc

INCHES = 1.7
"""Side of one panel."""
DPI = 160
REAL = "#b4b4b4"
"""Colour of real data in the background."""
ALONE = "#6e6e6e"
"""Colour of real data alone."""


class SamplePlot(abc.ABC):
    """A plot of examples ``(n, *shape)``; `note` is its caption."""

    note: str = ""
    aspect: float = 1.0
    """Width of a panel divided by its height."""

    @abc.abstractmethod
    def draw(self, ax: Axes, rows: np.ndarray, real: np.ndarray | None, colour: str) -> None:
        """Plots examples, which may be empty, over the optional real data."""

    def png(self, rows: np.ndarray, real: np.ndarray | None = None, colour: str = ALONE) -> bytes:
        """The panel as the content of a PNG file."""
        figure = canvas((INCHES, INCHES / self.aspect), dpi=DPI)
        with matplotlib.rc_context({"font.size": 7, "axes.linewidth": 0.5}):
            self.draw(figure.add_axes((0.01, 0.01, 0.98, 0.98)), rows, real, colour)
            return _png(figure)


@dataclasses.dataclass(frozen=True, eq=False)
class Scatter(SamplePlot):
    """Two coordinates, or the first two principal components."""

    origin: np.ndarray
    axes: np.ndarray
    centre: np.ndarray
    half: float
    note: str

    @classmethod
    def of(cls, real: np.ndarray) -> Scatter:
        """Square limits around the real data with a margin of a quarter of its extent."""
        d = real.shape[1]
        origin, axes = np.zeros(d), np.eye(d)[:2]
        note = "Grey: real data."
        if d > 2:
            origin = real.mean(axis=0)
            _, size, axes = np.linalg.svd(real[:2000] - origin, full_matrices=False)
            share = (size[:2] ** 2).sum() / max((size**2).sum(), np.finfo(float).tiny)
            axes = np.vstack([axes, np.zeros((2, d))])[:2]
            note = f"First two principal components of the real data ({100 * share:.0f} % of its variance). Grey: real data."
        plane = (real - origin) @ axes.T
        low, high = plane.min(axis=0), plane.max(axis=0)
        half = 0.625 * float((high - low).max()) or 1.0
        return cls(origin, axes, (low + high) / 2, half, note)

    def draw(self, ax: Axes, rows: np.ndarray, real: np.ndarray | None, colour: str) -> None:
        _bare(ax)
        for points, tone in ((real, REAL), (rows, colour)):
            if points is not None and len(points):
                plane = (flat(points) - self.origin) @ self.axes.T
                size = np.clip(1500 / len(points), 3.0, 12.0)
                ax.scatter(*plane.T, s=size, color=tone, alpha=0.55, lw=0, rasterized=True)
        for set_limits, centre in ((ax.set_xlim, self.centre[0]), (ax.set_ylim, self.centre[1])):
            set_limits(centre - self.half, centre + self.half)
        ax.set_aspect("equal")
        if len(rows):
            plane = (flat(rows) - self.origin) @ self.axes.T
            _outside(ax, (np.abs(plane - self.centre) > self.half).any(axis=1).mean())


@dataclasses.dataclass(frozen=True, eq=False)
class Histogram(SamplePlot):
    """Histogram of a scalar, with bins fixed by the real data."""

    edges: np.ndarray
    top: float
    note: str
    aspect = 1.5

    @classmethod
    def of(cls, real: np.ndarray, n: int) -> Histogram:
        """Bins over 1.5 times the real range, about ``2 n^(1/3)`` of them inside it (Rice rule)."""
        low, high = float(real.min()), float(real.max())
        extent = high - low or 1.0
        size = 1.5 * extent / (1.5 * np.clip(round(2 * min(n, len(real)) ** (1 / 3)), 6, 40)).round()
        count = round(1.5 * extent / size)
        edges = (low + high) / 2 + 0.75 * extent * np.linspace(-1, 1, count + 1)
        peak = np.histogram(real, edges)[0].max() / len(real)
        note = (
            f"Grey: real data. All panels span {edges[0]:.3g} to {edges[-1]:.3g} on the same vertical scale; bars above "
            "2.5 times the real peak are cut."
        )
        return cls(edges, 2.5 * peak, note.replace(" -", " −"))

    def draw(self, ax: Axes, rows: np.ndarray, real: np.ndarray | None, colour: str) -> None:
        _bare(ax, "bottom")
        for points, fill, line in ((real, "#dedede", REAL), (rows, colour, colour)):
            if points is not None and len(points):
                shares = np.histogram(points.ravel(), self.edges)[0] / len(points)
                ax.stairs(shares, self.edges, fill=True, color=fill, alpha=1.0 if points is real else 0.35)
                ax.stairs(shares, self.edges, color=line, lw=0.9)
        ax.set_xlim(self.edges[0], self.edges[-1])
        ax.set_ylim(0, self.top)
        if len(rows):
            _outside(ax, ((rows < self.edges[0]) | (rows > self.edges[-1])).mean())


@dataclasses.dataclass(frozen=True, eq=False)
class Bars(SamplePlot):
    """Frequencies of one-hot categories."""

    top: float
    aspect = 1.5
    note = "Grey: real data. Bars are frequencies, on the same scale in all panels; higher ones are cut."

    @classmethod
    def of(cls, real: np.ndarray) -> Bars:
        """Up to 2.5 times the highest real frequency."""
        return cls(min(1.02, 2.5 * float(real.mean(axis=0).max())))

    def draw(self, ax: Axes, rows: np.ndarray, real: np.ndarray | None, colour: str) -> None:
        _bare(ax, "bottom")
        for points, tone, width in ((real, "#d4d4d4", 0.9), (rows, colour, 0.5)):
            if points is not None and len(points):
                ax.bar(np.arange(points.shape[1]), flat(points).mean(axis=0), width, color=tone)
        ax.set_ylim(0, self.top)
        ax.set_xlim(-0.8, (rows if real is None else real).shape[1] - 0.2)


@dataclasses.dataclass(frozen=True, eq=False)
class Images(SamplePlot):
    """Square sheet of images, pixel by pixel."""

    shape: tuple[int, int, int]
    side: int
    ink: bool
    """Whether grey images are inverted: 0 is white."""

    def sheet(self, rows: np.ndarray) -> np.ndarray:
        """``(height, width, 3)`` in [0, 1], images separated by one pixel; missing images are blank."""
        height, width, channels = self.shape
        images = rows[: self.side**2].reshape(-1, height, width, channels).astype(np.float64)
        images = np.clip(np.nan_to_num(images / 255.0 if rows.dtype == np.uint8 else images), 0.0, 1.0)
        images = np.repeat(1 - images if self.ink else images, 3 // channels, axis=3)
        gap = 0.9 if self.ink else 1.0
        sheet = np.full((self.side * (height + 1) + 1, self.side * (width + 1) + 1, 3), gap)
        for i, image in enumerate(images):
            top, left = (i // self.side) * (height + 1) + 1, (i % self.side) * (width + 1) + 1
            sheet[top : top + height, left : left + width] = image
        return sheet

    def draw(self, ax: Axes, rows: np.ndarray, real: np.ndarray | None, colour: str) -> None:
        del real, colour
        ax.set_axis_off()
        ax.imshow(self.sheet(rows), interpolation="nearest")

    def png(self, rows: np.ndarray, real: np.ndarray | None = None, colour: str = ALONE) -> bytes:
        sheet = self.sheet(rows)
        # Small images are magnified, because many viewers blur on magnification.
        factor = max(1, round(INCHES * DPI / sheet.shape[0])) if sheet.size < 30_000 else 1
        data = io.BytesIO()
        imsave(data, sheet.repeat(factor, axis=0).repeat(factor, axis=1), format="png", pil_kwargs={"optimize": True})
        return data.getvalue()


def choose_plot(
    real: np.ndarray, *, image: tuple[int, int] | None = None, ink: bool = False, side: int = 5
) -> SamplePlot:
    """The plot for the type of data, with axes fixed by the real data.

    Args:
        real: Real data or its substitute, ``(n, *shape)`` with ``n >= 1``.
        image: Height and width of flattened images.
        ink: Whether grey images are inverted: 0 is white.
        side: Images along the side of a sheet.
    """
    shape = real.shape[1:]
    if len(shape) == 3 and shape[2] in (1, 3):
        return Images(shape, side, ink)
    if image is not None:
        return Images((*image, 1), side, ink)
    rows = flat(real)
    if rows.shape[1] == 1:
        return Histogram.of(rows, len(rows))
    if ((rows == 0) | (rows == 1)).all() and (rows.sum(axis=1) == 1).all():
        return Bars.of(rows)
    return Scatter.of(rows)


def sample_grid(
    samples: Mapping[str, Mapping[int, np.ndarray]],
    shape: tuple[int, ...],
    *,
    real: np.ndarray | Mapping[str, np.ndarray | None] | None = None,
    image: tuple[int, int] | None = None,
    ink: bool = False,
    max_examples: int = 500,
) -> Figure:
    """Examples by cell (rows) and generation (columns), with the real data in the first column and in the background.

    Scatter plots in two dimensions, histograms in one, frequencies of one-hot examples, image sheets, otherwise the first two
    principal components of the real data; all panels share the axes fixed by the real data.

    Args:
        samples: Label of a cell -> generation -> examples ``(n, *shape)``.
        shape: Shape of one example.
        real: Real examples, common or by label; without them generation 0 fixes the axes.
        image: Height and width of flattened images.
        ink: Whether grey images are inverted: 0 is white.
        max_examples: Largest number of examples per panel.
    """
    real_of = dict(real) if isinstance(real, Mapping) else {} if real is None else dict.fromkeys(samples, real)
    real_of = {label: rows[:max_examples] for label, rows in real_of.items() if rows is not None}
    generations = sorted({t for by_generation in samples.values() for t in by_generation})
    scaling = [rows.reshape(-1, *shape) for rows in real_of.values()]
    scaling = scaling or [_first(samples, generations).reshape(-1, *shape)]
    plot = choose_plot(np.concatenate(scaling), image=image, ink=ink)
    columns = ([None] if real_of else []) + generations
    empty = np.zeros((0, *shape))
    figure = canvas((1.15 * len(columns) + 1.4, 1.15 * len(samples) + 0.3), layout="constrained")
    grid = figure.subplots(len(samples), len(columns), squeeze=False)
    with rc():
        for i, (label, by_generation) in enumerate(samples.items()):
            background = real_of.get(label)
            for ax, t in zip(grid[i], columns, strict=True):
                if t is None:
                    plot.draw(ax, empty if background is None else background, None, ALONE)
                else:
                    rows = by_generation.get(t, empty)[:max_examples]
                    plot.draw(ax, rows, background, PALETTE[i % len(PALETTE)])
                if i == 0:
                    ax.set_title("real data" if t is None else f"generation {t}", fontsize=8)
            wrapped = textwrap.fill(label, 18)
            grid[i, 0].text(-0.1, 0.5, wrapped, transform=grid[i, 0].transAxes, ha="right", va="center", fontsize=8)
    return figure


def _first(samples: Mapping[str, Mapping[int, np.ndarray]], generations: list[int]) -> np.ndarray:
    """Examples of the earliest stored generation."""
    first = generations[0]
    return next(by_generation[first] for by_generation in samples.values() if first in by_generation)


def flat(rows: np.ndarray) -> np.ndarray:
    """Examples as float64 vectors."""
    return np.asarray(rows, np.float64).reshape(len(rows), -1)


def _png(figure: Figure) -> bytes:
    """The content of a PNG file with a palette of 32 colours."""
    from PIL import Image

    canvas = cast(FigureCanvasAgg, figure.canvas)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    data = io.BytesIO()
    image.quantize(32, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(data, "png", optimize=True)
    return data.getvalue()


def _bare(ax: Axes, *spines: str) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    for name, spine in ax.spines.items():
        spine.set_visible(not spines or name in spines)
        spine.set_color("#9a9a9a" if spines else PALE)


def _outside(ax: Axes, share: float) -> None:
    if share > 0:
        text = f"{100 * share:.0f} % outside" if share >= 0.005 else "< 1 % outside"
        ax.text(0.98, 0.97, text, transform=ax.transAxes, ha="right", va="top", color=INK, fontsize=6.5)
