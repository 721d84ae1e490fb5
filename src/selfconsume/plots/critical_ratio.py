"""The figure of a threshold: the contraction of twins against the ratio, with the interval of where it crosses 1."""

from __future__ import annotations

import math

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from selfconsume.analysis.critical_ratio import Threshold
from selfconsume.plots.style import INK, MUTED, PALETTE, STYLE

STABLE, UNSTABLE = PALETTE[0], PALETTE[1]


def contraction_curve(found: Threshold, theory: float | None = None) -> Figure:
    """Contraction per generation at every ratio that was tried, with 95 % intervals over seeds.

    Args:
        found: A threshold.
        theory: The critical ratio of theory; inf or None draws none.
    """
    points = [each for each in found.points if math.isfinite(each.rate.high)]
    x = np.array([each.ratio for each in points])
    rate, low, high = (np.array([getattr(each.rate, name) for each in points]) for name in ("rate", "low", "high"))
    with matplotlib.rc_context(STYLE):
        figure = Figure((5.2, 3.4), layout="constrained")
        FigureCanvasAgg(figure)
        ax = figure.subplots()
        ax.axhline(1.0, color=MUTED, lw=0.8)
        if found.outcome in ("found", "open") and found.low is not None:
            end = found.searched if found.high is None else found.high
            ax.axvspan(found.low, end, color="#dfe7ee", lw=0, zorder=0.5)
        if theory is not None and math.isfinite(theory):
            ax.axvline(theory, color=INK, ls="--", lw=1.1, zorder=1)
        ax.plot(x, rate, color=MUTED, lw=0.8, zorder=1.5)
        for each, colour, name in (("stable", STABLE, "stable"), ("unstable", UNSTABLE, "unstable")):
            _marks(ax, points, x, rate, low, high, each, colour, name)
        _marks(ax, points, x, rate, low, high, "undecided", MUTED, "not shown either way")
        gone = [each.ratio for each in found.points if not math.isfinite(each.rate.high)]
        if gone:
            ax.plot(gone, [ax.get_ylim()[1]] * len(gone), "x", color=UNSTABLE, ms=5, label="diverged", clip_on=False)
        ax.set_xlim(0, found.searched * 1.02)
        ax.set_ylim(bottom=0)
        ax.set_xlabel("ratio, synthetic / real")
        ax.set_ylabel("contraction per generation")
        notes = ["shaded: 95 % interval"] * (found.outcome in ("found", "open"))
        notes += [f"dashed: theory, {theory:.4g}"] * (theory is not None and math.isfinite(theory))
        ax.set_title("   ·   ".join(notes), loc="right", color="#666666", fontsize=8)
        ax.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def _marks(ax, points, x, rate, low, high, verdict, colour, name) -> None:
    here = np.array([each.verdict == verdict for each in points], bool)
    if here.any():
        error = np.stack([(rate - low)[here], (high - rate)[here]])
        ax.errorbar(
            x[here], rate[here], error, fmt="o", ms=3.2, mew=0, color=colour, elinewidth=0.9, capsize=0, label=name
        )
