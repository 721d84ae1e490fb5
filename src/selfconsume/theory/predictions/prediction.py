"""One prediction of theory: what it is of, its values, and what it rests on."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

Statistic = Literal["mean", "mean_square", "mean_sqrt", "mean_log", "mean_spread"]
"""What is averaged over seeds, of a value x: x itself, (x - centre)^2, sqrt x, log x, or x (1 - x)."""
Kind = Literal["exact", "limit", "asymptotic"]

END = np.array([np.inf])
"""The generations of a limit."""


class Prediction(NamedTuple):
    """A number, or a curve, that the mean over seeds of a statistic of one metric should follow.

    Attributes:
        label: What it is, and in which regime.
        metric: Name in the tidy table.
        statistic: What is averaged, see `Statistic`.
        generations: Generations; a single `inf` for what is reached in the end.
        values: The value in each of them.
        kind: "exact": an equality at every n. "limit": the exact limit. "asymptotic": to first order in 1/n.
        assumptions: What it rests on, all of it true of the run it was made for.
        citation: Where it is from.
        centre: What is subtracted first, for "mean_square".
    """

    label: str
    metric: str
    statistic: Statistic
    generations: np.ndarray
    values: np.ndarray
    kind: Kind
    assumptions: str
    citation: str
    centre: float = 0.0

    @property
    def what(self) -> str:
        """The statistic in symbols, such as ``(mean.0 - 3)^2``."""
        centred = f"({self.metric} - {self.centre:.4g})" if self.centre else self.metric
        return {
            "mean": self.metric,
            "mean_square": f"{centred}^2",
            "mean_sqrt": f"sqrt {self.metric}",
            "mean_log": f"log {self.metric}",
            "mean_spread": f"{self.metric} (1 - {self.metric})",
        }[self.statistic]
