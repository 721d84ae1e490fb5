"""Limits, scale and tick labels of a value axis, robust to diverging and constant values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, SymmetricalLogLocator

DECADES = 2
"""Positive means that span more decades than this get a logarithmic axis."""
RUNAWAY = 1000
"""Means of both signs get a symmetric logarithmic axis if the largest exceeds their median by this factor."""


def fit_axes(grid: Sequence[Axes], means: np.ndarray, lows: np.ndarray, highs: np.ndarray, positive: bool) -> str:
    """Sets the common scale and limits of shared value axes.

    Limits cover all means; bands at most double the range, so that wide intervals of few seeds do not flatten the means.

    Args:
        grid: Axes that share the limits of the first.
        means: Values inside the limits.
        lows: Lower ends of bands.
        highs: Upper ends of bands.
        positive: Whether no value is negative: then the axis starts at 0, although an interval may extend below.

    Returns:
        Note on the scale for the axis label.
    """
    means = means[np.isfinite(means)]
    if not len(means):
        grid[0].set_ylim(0, 1)
        return ""
    lows, highs = (np.append(side[np.isfinite(side)], means) for side in (lows, highs))
    size = np.abs(means[means != 0])
    if means.min() > 0 and means.max() > means.min() * 10**DECADES:
        low = max(lows[lows > 0].min(), means.min() / 10)
        high = min(highs.max(), means.max() * 10)
        for ax in grid:
            ax.set_yscale("log")
            ax.yaxis.set_major_locator(LogLocator(numticks=7))
            ax.yaxis.set_major_formatter(FuncFormatter(power_of_ten))
        padding = (high / low) ** 0.04
        grid[0].set_ylim(low / padding, high * padding)
        return " (log scale)"
    if len(size) and means.min() < 0 and size.max() > RUNAWAY * np.median(size):
        threshold = float(np.median(size))
        for ax in grid:
            ax.set_yscale("symlog", linthresh=threshold, linscale=0.7)
            ax.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=threshold))
            ax.yaxis.set_major_formatter(FuncFormatter(power_of_ten))
        return f" (log scale beyond ±{threshold:.2g})"
    span = means.max() - means.min() or abs(means.max()) or 1.0
    low, high = max(lows.min(), means.min() - span / 2), min(highs.max(), means.max() + span / 2)
    low = max(low, 0.0) if positive else low
    padding = 0.04 * (high - low) or 0.05 * span
    grid[0].set_ylim(low - padding, high + padding)
    return ""


def power_of_ten(value: float, _: int | None = None) -> str:
    """A power of ten as 0.01, 1, 1000 or 10⁻⁶; other values get no label."""
    if value == 0:
        return "0"
    exponent = np.log10(abs(value))
    if abs(exponent - round(exponent)) > 1e-6:
        return ""
    sign = "−" if value < 0 else ""
    if -3 <= exponent <= 4:
        return f"{sign}{abs(value):g}"
    return f"{sign}10{str(round(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
