"""Colours, fonts and line styles that all figures share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

INK = "#1a1a1a"
MUTED = "#7d7d7d"
PALE = "#e8e8e8"
STYLE: dict[RcKeyType, Any] = {
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
"""matplotlib settings of all figures."""
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#882255", "#e69f00", "#56b4e9", "#cc79a7", "#000000")
"""Okabe and Ito's colours, told apart by colour-blind readers, with a dark wine in place of their yellow."""
