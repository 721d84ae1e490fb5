"""Claims against a finished run: each number by an interval over seeds, each relation by a paired test.

A number that is exact is confirmed where the interval contains it and is narrow enough to say something; one that is a limit
or an approximation, where the whole interval lies within a margin of it (an equivalence test). A relation is confirmed where
the t interval of the paired differences excludes 0. Nothing is confirmed where the interval itself cannot be trusted: a
diverged seed, too few seeds, or values too skewed for a t interval. All checks of a claim hold jointly at the level
(Bonferroni).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy import stats

from selfconsume.analysis import intervals
from selfconsume.analysis.against_theory import MIN_SEEDS, estimate_contraction, is_skewed, statistic_of
from selfconsume.errors import ConfigError
from selfconsume.results.format import seeds_of
from selfconsume.results.store import Store
from selfconsume.results.stored_study import built
from selfconsume.results.table import table
from selfconsume.study.cells import Cell
from selfconsume.study.claim import Check, Claim, Place
from selfconsume.study.toml_file import claim_of


class Outcome(NamedTuple):
    """One check of a claim.

    Attributes:
        check: The check.
        measured: The statistic over seeds; of a relation, its mean at the place itself.
        reference: Of a relation, the mean at the place that it is compared with; else nan.
        low: Lower end of the interval of `measured`; of a relation, of the mean paired difference.
        high: Upper end.
        seeds: Number of seeds, or of pairs.
        problem: Why the check does not hold; "" if it does.
    """

    check: Check
    measured: float
    reference: float
    low: float
    high: float
    seeds: int
    problem: str

    @property
    def holds(self) -> bool:
        """Whether the claim is confirmed."""
        return not self.problem


class Judged(NamedTuple):
    """The claim of a stored study, held to its results.

    Attributes:
        claim: The claim.
        outcomes: One outcome for each check; none where they cannot be computed.
        problem: Why they cannot; "" if they can.
    """

    claim: Claim
    outcomes: list[Outcome]
    problem: str

    @property
    def holds(self) -> bool:
        """Whether every check holds."""
        return not self.problem and all(outcome.holds for outcome in self.outcomes)

    @property
    def summary(self) -> str:
        """Whether the claim holds, in a sentence."""
        if self.problem:
            return f"cannot be checked: {self.problem}"
        failing = sum(not outcome.holds for outcome in self.outcomes)
        numbers = f"{len(self.outcomes)} checks, 95 % for all jointly"
        return f"fails {failing} of {numbers}" if failing else f"holds in {numbers}"


def of_store(store: Store) -> Judged | None:
    """The claim of the latest study file in a directory, held to the results.

    None where the file states none or was not kept, as of a study changed on the command line: its numbers may be others.
    """
    stored = store.study
    try:
        claim = claim_of(stored["text"] or "", "the study file")
    except ConfigError:
        return None
    if claim is None:
        return None
    frame, last = table(store), stored["generations"] - 1
    done = frame.filter(pl.col("generation") == last).select("run", "seed").unique()
    if len(done) < len(stored["cells"]) * len(seeds_of(stored)):
        return Judged(claim, [], f"not all runs have reached generation {last}")
    study, problem = built(store)
    if study is None:
        return Judged(claim, [], problem)
    try:
        return Judged(claim, check_claim(frame, study.cells, claim), "")
    except ConfigError as error:
        return Judged(claim, [], str(error))


def numbers_of(outcome: Outcome) -> str:
    """What was measured beside what is expected, with the interval."""
    check, interval = outcome.check, f"[{outcome.low:.4g}, {outcome.high:.4g}]"
    if check.expected is None:
        return f"{outcome.measured:.4g} beside {outcome.reference:.4g}, difference {interval}"
    formula = f" = {check.formula}" if check.formula else ""
    return f"{outcome.measured:.4g} {interval}, expected {check.expected:.4g}{formula}"


def check_claim(frame: pl.DataFrame, cells: Sequence[Cell], claim: Claim, level: float | None = None) -> list[Outcome]:
    """What a finished run says of each check of a claim.

    Args:
        frame: The tidy table of the run, see `selfconsume.results.table.table`.
        cells: The cells of the study.
        claim: The claim.
        level: Coverage of each interval; default: 95 % for all checks of the claim together.

    Raises:
        ConfigError: A check names no cell, or several, or values that the table does not have.
    """
    level = 1 - 0.05 / len(claim.checks) if level is None else level
    return [_outcome(frame, cells, check, level) for check in claim.checks]


def _outcome(frame: pl.DataFrame, cells: Sequence[Cell], check: Check, level: float) -> Outcome:
    if check.statistic == "contraction":
        return _contraction(frame, _cell(cells, check.place, check), check, level)
    values = _values(frame, cells, check.place, check)
    if check.reference is not None:
        return _relation(values, _values(frame, cells, check.reference, check), check, level)
    numbers = values["value"].to_numpy()
    measured, low, high = _interval(numbers, check, level)
    problem = _untrusted(_per_seed(numbers, check), is_mean=check.statistic not in ("median", "share_above"))
    return Outcome(check, measured, np.nan, low, high, len(numbers), problem or _disagreement(check, low, high))


def _contraction(frame: pl.DataFrame, cell: Cell, check: Check, level: float) -> Outcome:
    rate = estimate_contraction(frame, cell, level)
    if rate is None:
        return Outcome(check, np.nan, np.nan, np.nan, np.nan, 0, "no contraction rate is defined for this run")
    problem = _disagreement(check, rate.low, rate.high)
    return Outcome(check, rate.rate, np.nan, rate.low, rate.high, rate.seeds, problem)


def _relation(values: pl.DataFrame, references: pl.DataFrame, check: Check, level: float) -> Outcome:
    pairs = values.join(references, on="seed")
    first, second = (_per_seed(pairs[name].to_numpy(), check) for name in ("value", "value_right"))
    difference = first - second
    _, low, high = (float(bound) for bound in intervals.interval(difference, level))
    problem = _untrusted(difference, is_mean=True)
    if not problem and not (high < 0 if check.less is not None else low > 0):
        word = "smaller" if check.less is not None else "larger"
        problem = f"not shown to be {word}: difference in [{low:.3g}, {high:.3g}]"
    return Outcome(check, float(first.mean()), float(second.mean()), low, high, len(pairs), problem)


def _interval(values: np.ndarray, check: Check, level: float) -> tuple[float, float, float]:
    """The statistic over seeds with its interval: of t, of order statistics (median), or of Clopper and Pearson (share)."""
    if check.statistic == "median":
        ordered, n = np.sort(check.scale * values), len(values)
        rank = int(stats.binom.ppf((1 - level) / 2, n, 0.5))
        if rank < 1:
            return float(np.median(ordered)), -np.inf, np.inf
        return float(np.median(ordered)), float(ordered[rank - 1]), float(ordered[n - rank])
    if check.statistic == "share_above":
        count = int((values > check.threshold).sum())
        bounds = stats.binomtest(count, len(values)).proportion_ci(level)
        return check.scale * count / len(values), check.scale * bounds.low, check.scale * bounds.high
    mean, low, high = intervals.interval(_per_seed(values, check), level)
    return float(mean), float(low), float(high)


def _per_seed(values: np.ndarray, check: Check) -> np.ndarray:
    """The number of each seed whose mean a statistic is."""
    if check.statistic == "share_above":
        return check.scale * (values > check.threshold)
    if check.statistic in ("median", "contraction"):
        return check.scale * values
    return check.scale * statistic_of(values, check.statistic, check.centre)


def _untrusted(values: np.ndarray, *, is_mean: bool) -> str:
    if not np.isfinite(values).all():
        return f"{int((~np.isfinite(values)).sum())} of {len(values)} seeds have no finite value"
    if len(values) < MIN_SEEDS:
        return f"{len(values)} seeds are too few: expected at least {MIN_SEEDS}"
    if is_mean and is_skewed(values):
        return "the values are too skewed for a t interval: more seeds, or another statistic"
    return ""


def _disagreement(check: Check, low: float, high: float) -> str:
    expected, within = check.expected, check.within
    if expected is None or within is None:
        return ""
    if check.approximate:
        is_within = expected - within <= low and high <= expected + within
        return "" if is_within else f"[{low:.4g}, {high:.4g}] is not within {within:g} of {expected:g}"
    if not low <= expected <= high:
        # Values without spread agree up to float32.
        if high - low <= 1e-5 * abs(expected) and abs(expected - low) <= 1e-5 * abs(expected):
            return ""
        return f"[{low:.4g}, {high:.4g}] does not contain {expected:g}"
    if (high - low) / 2 > within:
        return f"the interval is too wide: half width {(high - low) / 2:.2g}, expected at most {within:g}"
    return ""


def _cell(cells: Sequence[Cell], place: Place, check: Check) -> Cell:
    """The one cell of a place. On an axis of mixed values labels are compared as text, as the table shows them."""
    matches = [
        cell
        for cell in cells
        if all(
            axis in cell.labels and (cell.labels[axis] == value or str(cell.labels[axis]) == str(value))
            for axis, value in place.cell.items()
        )
    ]
    if len(matches) != 1:
        shown = "; ".join(str(cell.labels) for cell in cells[:8])
        raise ConfigError(
            f"claim, {check.says!r}: {place.cell} names {len(matches)} cells, expected one of {shown}; complete it"
        )
    return matches[0]


def _values(frame: pl.DataFrame, cells: Sequence[Cell], place: Place, check: Check) -> pl.DataFrame:
    """Seed and value at a place."""
    generation = frame["generation"].max() if place.generation is None else place.generation
    of_run = frame.filter(pl.col("run") == _cell(cells, place, check).id)
    rows = of_run.filter((pl.col("metric") == check.metric) & (pl.col("generation") == generation))
    if rows.is_empty():
        names = ", ".join(of_run["metric"].unique().sort().to_list())
        raise ConfigError(f"claim, {check.says!r}: no {check.metric!r} in generation {generation}; the run has {names}")
    return rows.select("seed", "value").sort("seed")
