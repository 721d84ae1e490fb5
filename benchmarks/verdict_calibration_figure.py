"""The figure of docs/verdicts.md, from the tables of docs/verdict-calibration.md.

python benchmarks/verdict_calibration_figure.py
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib.figure import Figure

from selfconsume.plots.style import MUTED, PALETTE, STYLE

DOCS = Path(__file__).parents[1] / "docs"
DRIFTS = {"replace, n = 100": (6, 11, 21, 51)}
STABLE = ("real_only, n = 100", "fresh, half synthetic, n = 100", "mix 0.5, n = 100", "mix 1, n = 100")
DASHES = ("-", "--", "-.", ":")


class Row(NamedTuple):
    """One set of simulated studies; shares in percent with their intervals."""

    regime: str
    truth: str
    generations: int
    seeds: int
    drifting: tuple[float, float, float]
    stable: tuple[float, float, float]


def rows(text: str) -> list[Row]:
    """The rows of the table on the real loop."""
    table = re.findall(r"^\| ([^|]+) \| (stationary|stable|ever slower|drifts) \|([^\n]*)\|$", text, re.MULTILINE)
    found = []
    for regime, truth, rest in table:
        generations, seeds, _, *shares = (cell.strip() for cell in rest.split("|"))
        values = [tuple(float(number) for number in re.findall(r"[\d.]+", share)) for share in shares]
        found.append(Row(regime, truth, int(generations), int(seeds), values[0], values[1]))
    return found


def figure(table: list[Row]) -> Figure:
    """False alarms, power, and shown stability against the number of seeds."""
    with matplotlib.rc_context({**STYLE, "font.size": 9}):
        canvas = Figure((9.6, 3.3), layout="constrained")
        left, middle, right = canvas.subplots(1, 3, sharex=True)
        for i, regime in enumerate(STABLE):
            part = [row for row in table if row.regime == regime and row.generations == 21]
            _line(left, part, [row.drifting for row in part], i, regime)
            _line(right, part, [row.stable for row in part], i, regime)
        for i, generations in enumerate(DRIFTS["replace, n = 100"]):
            part = [row for row in table if row.regime == "replace, n = 100" and row.generations == generations]
            _line(middle, part, [row.drifting for row in part], i, f"{generations} generations")
        left.axhline(5, color=MUTED, lw=0.8)
        left.annotate("allowed", (20, 5), (0, 3), textcoords="offset points", ha="right", color=MUTED)
        heads = (
            "nothing drifts: called drifting, %",
            "replace, n = 100: called drifting, %",
            "stable: called stable, %",
        )
        for ax, head, top in zip((left, middle, right), heads, (12, 105, 105), strict=True):
            ax.set_title(head, loc="left")
            ax.set(ylim=(0, top), xlabel="seeds", xticks=[3, 5, 10, 20])
            ax.legend(frameon=False, fontsize=7.5, handlelength=2.6)
    return canvas


def _line(ax, part: list[Row], shares, i: int, label: str) -> None:
    seeds, means = [row.seeds for row in part], [share[0] for share in shares]
    errors = [[m - low for m, low, _ in shares], [high - m for m, _, high in shares]]
    style = {"color": PALETTE[i], "ls": DASHES[i], "marker": "o", "ms": 3, "lw": 1.3, "capsize": 2, "label": label}
    # Apart by a little, so that intervals do not hide each other.
    ax.errorbar([s + 0.18 * (i - 1.5) for s in seeds], means, errors, **style)


if __name__ == "__main__":
    content = (DOCS / "verdict-calibration.md").read_text()
    figure(rows(content)).savefig(DOCS / "figures" / "verdict-calibration.png", dpi=160)
