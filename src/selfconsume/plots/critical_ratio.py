"""Figure of a critical ratio: contraction rate of twins against the ratio, with the interval of the crossing with 1."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from selfconsume.analysis.critical_ratio import Point, Threshold
from selfconsume.plots.style import INK, MUTED, PALETTE, canvas, rc

UNSTABLE = PALETTE[1]
MARKS = {
    "stable": (PALETTE[0], "stable"),
    "unstable": (UNSTABLE, "unstable"),
    "undecided": (MUTED, "not shown either way"),
}
"""Verdict of a point -> colour and label."""


def contraction_curve(threshold: Threshold, theory: float | None = None) -> Figure:
    """Contraction per generation at every evaluated ratio, with 95 % t intervals over seeds.

    Args:
        threshold: Result of the search.
        theory: Critical ratio of theory; no line for inf or None.
    """
    points = [point for point in threshold.points if math.isfinite(point.rate.high)]
    diverged = [point.ratio for point in threshold.points if not math.isfinite(point.rate.high)]
    has_interval = threshold.outcome in ("found", "open")
    with rc():
        figure = canvas((5.2, 3.4), layout="constrained", fixed=False)
        ax = figure.subplots()
        ax.axhline(1.0, color=MUTED, lw=0.8)
        if has_interval:
            end = threshold.max_ratio if threshold.high is None else threshold.high
            ax.axvspan(threshold.low, end, color="#dfe7ee", lw=0, zorder=0.5)
        if theory is not None and math.isfinite(theory):
            ax.axvline(theory, color=INK, ls="--", lw=1.1, zorder=1)
        ax.plot([p.ratio for p in points], [p.rate.rate for p in points], color=MUTED, lw=0.8, zorder=1.5)
        for verdict, (colour, label) in MARKS.items():
            _mark_points(ax, [point for point in points if point.verdict == verdict], colour, label)
        if diverged:
            ax.plot(
                diverged, [ax.get_ylim()[1]] * len(diverged), "x", color=UNSTABLE, ms=5, label="diverged", clip_on=False
            )
        ax.set_xlim(0, threshold.max_ratio * 1.02)
        ax.set_ylim(bottom=0)
        ax.set_xlabel("ratio, synthetic / real")
        ax.set_ylabel("contraction per generation")
        notes = ["shaded: 95 % interval"] * has_interval
        notes += [f"dashed: theory, {theory:.4g}"] * (theory is not None and math.isfinite(theory))
        ax.set_title("   ·   ".join(notes), loc="right", color="#666666", fontsize=8)
        ax.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def _mark_points(ax: Axes, points: Sequence[Point], colour: str, label: str) -> None:
    if not points:
        return
    x = np.array([point.ratio for point in points])
    rate, low, high = (np.array([getattr(p.rate, name) for p in points]) for name in ("rate", "low", "high"))
    error = np.stack([rate - low, high - rate])
    ax.errorbar(x, rate, error, fmt="o", ms=3.2, mew=0, color=colour, elinewidth=0.9, capsize=0, label=label)
