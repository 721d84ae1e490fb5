"""Paired t test and TOST of one cell and metric against its baseline, and the word that they give; see `analysis.compare`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from selfconsume.analysis import hypothesis_tests
from selfconsume.analysis.power import seeds_to_decide
from selfconsume.analysis.stability_tests import equivalence_margin
from selfconsume.results.format import FLOOR

NUMBERS = ("value", "base", "difference", "low", "high", "margin", "p", "p_holm", "p_equivalence")
"""Columns of numbers of a comparison."""


def pair_statistics(
    pairs: pl.DataFrame,
    frame: pl.DataFrame,
    better: Mapping[str, str | None],
    margins: Mapping[str, float],
    alpha: float,
) -> list[dict[str, Any]]:
    """Uncorrected test statistics of every cell and metric.

    Args:
        pairs: See `baselines.paired`, of one generation.
        frame: The whole tidy table, for the margins.
        better: Metric -> "lower" or "higher".
        margins: Metric -> equivalence margin; others come from the noise floor.
        alpha: Level of the intervals.
    """
    tests = []
    for (run, metric, base), part in pairs.group_by("run", "metric", "base_run", maintain_order=True):
        values, base_values = part["value"].to_numpy(), part["base"].to_numpy()
        finite = np.isfinite(values - base_values)
        differences = (values - base_values)[finite]
        margin = margins.get(str(metric), math.nan)
        if math.isnan(margin):
            margin = default_margin(frame, str(base), str(metric), better[str(metric)])
        test = dict.fromkeys(NUMBERS, math.nan) | {"run": run, "metric": metric, "margin": margin}
        test |= {"pairs": len(differences), "diverged": int((~np.isfinite(values)).sum()), "seeds": len(values)}
        test |= {"std": float(differences.std(ddof=1)) if len(differences) > 1 else math.nan}
        if finite.any():
            test |= {"value": float(values[finite].mean()), "base": float(base_values[finite].mean())}
        if len(differences) > 1:
            mean = hypothesis_tests.mean_of(differences)
            low, high = hypothesis_tests.t_interval(mean, 1 - alpha)
            test |= {"difference": mean.mean, "low": low, "high": high, "p": hypothesis_tests.t_test(mean)}
            test |= {"p_equivalence": hypothesis_tests.tost(mean, margin)}
        tests.append(test)
    return tests


def default_margin(frame: pl.DataFrame, run: str, metric: str, better: str | None) -> float:
    """The verdicts' margin from the noise floor and generation 0 of the baseline."""
    rows = frame.filter(pl.col("run") == run)
    floor = rows.filter(pl.col("metric") == metric + FLOOR)["value"].to_numpy()
    start = rows.filter((pl.col("metric") == metric) & (pl.col("generation") == 0))["value"].to_numpy()
    return equivalence_margin(floor[np.isfinite(floor)], start[np.isfinite(start)], better)[1]


def decide_family(family: Sequence[dict[str, Any]], role: str, better: Mapping[str, str | None], alpha: float) -> None:
    """Adds `role`, `p_holm`, `word`, `seeds_needed` and `text` to the tests of one family, which Holm corrects together."""
    adjusted = hypothesis_tests.holm(np.array([test["p"] for test in family]))
    for test, p_holm in zip(family, adjusted, strict=True):
        sign = 1 if better[test["metric"]] == "lower" else -1
        test |= {"role": role, "p_holm": float(p_holm), "seeds_needed": None}
        test["word"] = word_of(test, sign, alpha)
        std, seeds = test.pop("std"), test.pop("seeds")
        if test["word"] == "undecided" and test["pairs"] > 1:
            test["seeds_needed"] = seeds_to_decide(test["difference"], std, test["margin"], alpha, len(family))
        test["text"] = _text(test, sign, seeds)


def word_of(test: Mapping[str, Any], sign: int, alpha: float) -> str:
    """First match of the list in `analysis.compare`; ``sign`` is 1 where lower is better, -1 where higher is."""
    if test["diverged"] and 2 * test["diverged"] >= test["seeds"]:
        return "diverged"
    if test["pairs"] < 2:
        return "undecided"
    if test["p_equivalence"] <= alpha and not test["diverged"]:
        return "equal"
    if test["p_holm"] <= alpha:
        if sign * test["difference"] > 0:
            return "worse"
        return "undecided" if test["diverged"] else "better"
    return "undecided"


def _text(test: Mapping[str, Any], sign: int, seeds: int) -> str:
    """The word with the size of the difference, its interval and direction, or the reason for no decision."""
    if test["word"] == "diverged" or test["pairs"] < 2:
        reason = (
            f"{test['diverged']} of {seeds} seeds diverged" if test["diverged"] else "fewer than two pairs of seeds"
        )
        return reason if test["word"] == "diverged" else f"undecided: {reason}"
    oriented = 1 if test["difference"] >= 0 else -1
    low, high = sorted((oriented * test["low"], oriented * test["high"]))
    size = f"{abs(test['difference']):.2g} [{low:.2g}, {high:.2g}]"
    direction = "worse" if sign * oriented > 0 else "better"
    if test["word"] == "equal":
        return f"equal, {size} {direction}" if low > 0 else f"equal, within {test['margin']:.2g}"
    if test["word"] == "undecided":
        needed = test["seeds_needed"]
        return f"undecided, {size} {direction}" + (f"; about {needed} seeds would decide" if needed else "")
    return f"{test['word']} by {size}"
