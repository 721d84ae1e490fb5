"""Limits, scale and tick text of an axis of values, for values that may run away or stay put."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, SymmetricalLogLocator

DECADES = 2
"""Positive means that span more than this are drawn on a logarithmic axis."""
RUNAWAY = 1000
"""Means of both signs are drawn logarithmically from their median on if the largest is this many times the median."""


def fit_axes(grid: Sequence[Axes], means: np.ndarray, lows: np.ndarray, highs: np.ndarray, positive: bool) -> str:
    """Sets the common scale and limits of axes that share their values.

    Limits cover all means; bands may at most double the range, or two seeds would hide every mean.

    Args:
        grid: The axes, of which all follow the first's limits.
        means: What must be seen.
        lows: Lower ends of bands.
        highs: Upper ends.
        positive: Whether no single value is negative: then the axis ends at 0, although a symmetric interval of a mean may
            reach below.

    Returns:
        What the axis label has to say about the scale.
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
        room = (high / low) ** 0.04
        grid[0].set_ylim(low / room, high * room)
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
    room = 0.04 * (high - low) or 0.05 * span
    grid[0].set_ylim(low - room, high + room)
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
