"""Verdict of each cell and metric: `stable`, `drifting`, `collapsed`, `improved`, `diverged` or `undecided`.

For one cell and one metric, with generations 0 to T:

- *Chains.* One number per seed: the least-squares slope over generations 1 to T. Generation 0 is trained on real data only, so
  every regime, including the stable ones, moves once after it; the question is whether the chain keeps moving. See
  `hypothesis_tests` for why seeds are the independent units.
- *Margin.* The negligible change over the tested generations: twice the standard deviation over seeds of the noise floor
  (real data against real data at the same n), and for distances (lower is better, 0 is perfect) at least a quarter of the
  mean floor. Two evaluations of the same distribution differ by more than the former in about one case of six, so a smaller
  change is invisible in a single pair. The latter keeps the margin positive where the floor hardly varies, as in high
  dimension. Without a floor, or if all seeds have the same, generation 0 replaces it in the former.
- *Trend test.* Two-sided t test over seeds of mean slope 0, on the scale ``asinh((value - baseline) / margin)``: linear within
  the margin, logarithmic far beyond it, so that one exploding seed does not hide that all explode. The baseline is the
  mean floor. Holm's correction over all cells and metrics.
- *Equivalence test.* Two one-sided t tests (TOST) that the change, slope times span, lies within the margin, on the
  original scale.
- *Level test.* One-sided t test over seeds that the geometric mean over the last third of the generations exceeds 4 times
  the maximum of floor, generation 0 and margin; if higher is better, that it is below a quarter of the smaller of floor and
  generation 0; without a direction, either. Applies to values with a floor and to distances, if these levels are positive.

The first match is the verdict:

1. `diverged`: at least half of the seeds have non-finite values.
2. `undecided`: fewer than two seeds with values, or fewer than three generations.
3. `collapsed`: the level test rejects at alpha.
4. `drifting` or `improved`: the trend test rejects, for the worse or for the better, unless the interval of the change lies
   within a tenth of the margin (ten such runs would not cross it). Without a direction, a metric drifts when it moves away
   from its floor.
5. `stable`: the equivalence test rejects, and no seed diverged.
6. `undecided`.

Errors. The probability that any stationary cell *of the study* is called drifting is at most alpha, for any number of cells.
The equivalence and level tests are not corrected: each single `stable` of a cell that moves by the margin or more, and each
single `collapsed` of a cell that has degraded by less than the factor, is wrong with probability at most alpha; expect this
share of them in a study of many cells. The margin is estimated from the same seeds and printed with the verdict: with three
seeds it is rough. With a fixed data set all seeds share the real data, and the verdict is conditional on it. The tests are
for one look at a finished study: extending a study until a verdict changes inflates their errors. Measured error rates and
power are in docs/verdicts.md. A recorded sequence without seeds is judged by the noise of its examples instead, and says so:
see `analysis.single_sequence`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from selfconsume.analysis import hypothesis_tests, single_sequence
from selfconsume.analysis.power import generations_to_decide, seeds_to_decide
from selfconsume.analysis.stability_tests import Evidence, examine
from selfconsume.errors import ConfigError
from selfconsume.metrics.metric_key import better_of
from selfconsume.results import table as tables
from selfconsume.results.format import FLOOR
from selfconsume.results.store import Store
from selfconsume.results.table import FIXED
from selfconsume.study import validation

SINGLE = "one sequence, noise over its examples"
"""The reason that stands beside every verdict without seeds."""
RESAMPLES = 100
"""Resamples taken to be behind standard errors over examples: degrees of freedom of their tests."""
VERDICTS = ("diverged", "collapsed", "drifting", "undecided", "improved", "stable")
"""All verdicts, gravest first."""
NUMBERS = ("slope", "low", "high", "margin", "p", "p_holm", "p_equivalence", "level", "baseline")
NEEDED = ("seeds_needed", "generations_needed")


def decide(evidence: Evidence, p_holm: float, alpha: float = 0.05) -> tuple[str, str]:
    """The verdict, first match of the list at the top of this module, and the reason if it is not clear-cut."""
    if evidence.is_single:
        return _decide_single(evidence, p_holm, alpha)
    diverged = f"{evidence.diverged} of {evidence.seeds} seeds diverged" if evidence.diverged else ""
    if math.isnan(evidence.p):
        if 2 * evidence.diverged >= evidence.seeds and evidence.diverged:
            return "diverged", diverged
        return "undecided", diverged or ("a single seed" if evidence.seeds < 2 else "fewer than three generations")
    if evidence.has_collapsed:
        return "collapsed", diverged
    if p_holm <= alpha and not evidence.is_negligible:
        if evidence.is_worse:
            return "drifting", diverged
        return "improved" if not evidence.diverged else "undecided", diverged
    if evidence.p_equivalence <= alpha and not evidence.diverged:
        return "stable", "a trend, but below a tenth of the margin" if p_holm <= alpha else ""
    return "undecided", diverged or "not shown either way; more seeds or generations may"


def _decide_single(evidence: Evidence, p_holm: float, alpha: float) -> tuple[str, str]:
    """As `decide`, of one sequence without seeds."""
    if evidence.diverged:
        return "diverged", "not finite"
    if math.isnan(evidence.p):
        return "undecided", f"one sequence of fewer than {single_sequence.MIN_GENERATIONS} generations"
    word, reason = decide(evidence._replace(is_single=False), p_holm, alpha)
    return word, f"{reason}; {SINGLE}" if reason else SINGLE


def verdicts(
    results: Store | pl.DataFrame, alpha: float = 0.05, better: Mapping[str, str | None] | None = None
) -> pl.DataFrame:
    """Verdict of every cell on every metric that has a noise floor or a known better direction.

    Args:
        results: A directory of results, or its tidy table.
        alpha: Level of the tests; for `drifting` and `improved` the family-wise level of the table.
        better: Value name -> "lower", "higher" or None; default: the directions of the directory's metrics, and none for a
            bare table, where away from the floor is worse.

    Returns:
        One row per cell and metric: `run`, the axes, `metric`, `verdict`, `slope` per generation with `low` and `high`,
        `margin` (of the change over `span` generations), `p` of the trend, its Holm-adjusted value (`p_holm`), `p_equivalence`,
        final `level`, `baseline`, `span`, `seeds`, `diverged`, for undecided rows `seeds_needed` and `generations_needed`
        (power 80 %, if the estimates are the truth; null if not attainable), and `reason`. Seeds that have not reached the
        last generation are excluded.

    Raises:
        ConfigError: The directory holds no study yet.
    """
    if isinstance(results, Store):
        if not results.studies:
            raise ConfigError(f"{results.path}: holds no study yet; run one")
        frame = tables.table(results)
        better = directions(results) if better is None else better
    else:
        frame = results
    axes = [name for name in frame.columns if name not in FIXED]
    rows, evidence = _examine_cells(frame, axes, better or {}, alpha)
    adjusted = hypothesis_tests.holm(np.array([tests.p for tests in evidence]))
    for row, tests, p_holm in zip(rows, evidence, adjusted, strict=True):
        verdict, reason = decide(tests, p_holm, alpha)
        numbers = tests._asdict() | {"p_holm": float(p_holm)}
        row |= {"verdict": verdict, **{name: numbers[name] for name in NUMBERS}}
        needed = _needed(tests, len(evidence), alpha) if verdict == "undecided" else (None, None)
        if any(needed):
            reason = f"{reason.partition(';')[0]}; {_in_words(*needed)} would decide"
        row |= dict(zip(NEEDED, needed, strict=True))
        row |= {"span": tests.span, "seeds": tests.seeds, "diverged": tests.diverged, "reason": reason}
    schema = {
        "run": pl.String,
        **{axis: frame.schema[axis] for axis in axes},
        "metric": pl.String,
        "verdict": pl.String,
    }
    schema |= dict.fromkeys(NUMBERS, pl.Float64) | dict.fromkeys(("span", "seeds", "diverged", *NEEDED), pl.Int64)
    return pl.DataFrame(rows, schema=schema | {"reason": pl.String})


def _needed(evidence: Evidence, tests: int, alpha: float) -> tuple[int | None, int | None]:
    """Seeds that would show the trend or its absence, and generations that would show the trend with the same seeds."""
    if math.isnan(evidence.p) or evidence.diverged or evidence.is_single:
        return None, None
    change = evidence.slope * evidence.span
    seeds = seeds_to_decide(change, evidence.std, evidence.margin, alpha, tests)
    generations = generations_to_decide(evidence.effect, evidence.seeds, evidence.span + 1, alpha / tests)
    return seeds, generations


def _in_words(seeds: int | None, generations: int | None) -> str:
    words = [f"about {number} {unit}" for number, unit in ((seeds, "seeds"), (generations, "generations")) if number]
    return " or ".join(words)


def overall(verdict_table: pl.DataFrame) -> dict[str, str]:
    """Run -> its gravest verdict over all metrics, in the order of `VERDICTS`."""
    words = verdict_table.group_by("run", maintain_order=True).agg("verdict")
    return {run: min(verdicts, key=VERDICTS.index) for run, verdicts in words.iter_rows()}


def directions(store: Store) -> dict[str, str | None]:
    """Value name -> better direction, for the metrics of the latest study."""
    better: dict[str, str | None] = {}
    for text, recipe in zip(store.study["metrics"], store.study["tables"]["metrics"], strict=True):
        try:
            metric = validation.recipe("metric", recipe, "metrics")
        except ConfigError:  # a class of the user's own, not registered in this process
            continue
        better |= {
            name: better_of(metric, name) for segment in store.segments for name in segment.metrics.get(text, ())
        }
    return better


def chains(rows: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Values of one cell and metric, ``(seeds, generations)``, of the seeds with the last generation; and the generations."""
    generations, column = np.unique(rows["generation"].to_numpy(), return_inverse=True)
    seeds, row = np.unique(rows["seed"].to_numpy(), return_inverse=True)
    values = np.full((len(seeds), len(generations)), np.nan)
    stored = np.zeros(values.shape, bool)
    values[row, column], stored[row, column] = rows["value"].to_numpy(), True
    return values[stored[:, -1]], generations


def _examine_cells(
    frame: pl.DataFrame, axes: Sequence[str], better: Mapping[str, str | None], alpha: float
) -> tuple[list[dict[str, Any]], list[Evidence]]:
    """Identifying columns and test statistics of every cell and metric with a floor or a better direction."""
    names = frame["metric"].unique(maintain_order=True).to_list()
    metrics = [name for name in names if not name.endswith(FLOOR) and (name + FLOOR in names or better.get(name))]
    rows: list[dict[str, Any]] = []
    evidence: list[Evidence] = []
    selected = frame.filter(pl.col("metric").is_in(metrics + [name + FLOOR for name in metrics]))
    for cell in selected.partition_by("run", maintain_order=True):
        parts = cell.partition_by("metric", as_dict=True)
        for name in metrics:
            if (name,) not in parts:
                continue
            floor = parts.get((name + FLOOR,))
            values, generations = chains(parts[(name,)])
            noise = None if floor is None else floor["value"].to_numpy()
            evidence.append(_examined(parts[(name,)], values, generations, noise, better.get(name), alpha))
            rows.append({"run": cell["run"][0], **{axis: cell[axis][0] for axis in axes}, "metric": name})
    return rows, evidence


def _examined(
    rows: pl.DataFrame,
    values: np.ndarray,
    generations: np.ndarray,
    noise: np.ndarray | None,
    better: str | None,
    alpha: float,
) -> Evidence:
    """Test statistics over seeds; of a single sequence with standard errors, over its examples."""
    if len(values) != 1 or "error" not in rows.columns:
        return examine(values, generations, noise, better, alpha)
    errors, _ = chains(rows.with_columns(value=pl.col("error").fill_null(math.nan)))
    return single_sequence.examine(values[0], errors[0], generations, noise, better, resamples=RESAMPLES, alpha=alpha)
