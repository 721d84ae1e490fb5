"""One prediction: the statistic of a metric that it is about, its values, its assumptions and its source."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

Statistic = Literal["mean", "mean_square", "mean_sqrt", "mean_log", "mean_spread"]
"""Statistic of a value x that is averaged over seeds: x, (x - centre)^2, sqrt x, log x, or x (1 - x)."""
Kind = Literal["exact", "limit", "asymptotic"]

END = np.array([np.inf])
"""The generations of a limit."""


class Prediction(NamedTuple):
    """The expected value, over seeds, of a statistic of one metric: a curve over generations, or a limit.

    Attributes:
        label: Quantity and regime in words.
        metric: Name in the tidy table.
        statistic: Statistic that is averaged over seeds, see `Statistic`.
        generations: Generations; a single `inf` for a limit.
        values: The expected value in each generation.
        kind: "exact": an equality at every n. "limit": the exact limit. "asymptotic": to first order in 1/n.
        assumptions: Its assumptions, all of which the run meets.
        citation: The papers.
        centre: Subtracted before squaring, for "mean_square".
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
    def expression(self) -> str:
        """The statistic in symbols, such as ``(mean.0 - 3)^2``."""
        centred = f"({self.metric} - {self.centre:.4g})" if self.centre else self.metric
        return {
            "mean": self.metric,
            "mean_square": f"{centred}^2",
            "mean_sqrt": f"sqrt {self.metric}",
            "mean_log": f"log {self.metric}",
            "mean_spread": f"{self.metric} (1 - {self.metric})",
        }[self.statistic]


class Basis(NamedTuple):
    """Assumptions and citation that several predictions share."""

    assumptions: str
    citation: str

    def prediction(
        self,
        label: str,
        metric: str,
        statistic: Statistic,
        generations: np.ndarray,
        values: np.ndarray | float,
        kind: Kind = "exact",
        centre: float = 0.0,
    ) -> Prediction:
        """A prediction with this basis; see `Prediction`."""
        array = np.asarray(values)
        return Prediction(label, metric, statistic, generations, array, kind, self.assumptions, self.citation, centre)
