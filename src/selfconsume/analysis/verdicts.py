"""A word for each cell and metric: `stable`, `drifting`, `collapsed`, `improved`, `diverged` or `undecided`.

For one cell and one metric, with generations 0 to T:

- *Chains.* One number a seed: the least-squares slope over generations 1 to T. Generation 0 saw real data only, so every regime
  steps away from it once, the stable ones too; the question is whether the chain goes on moving. See `hypothesis_tests` for why
  seeds, not generations, are counted.
- *Margin.* The change over the tested generations that would not matter: twice the standard deviation over seeds of the noise
  floor (real data against real data at the same n), and for distances (lower is better, 0 is perfect) at least a quarter of
  the floor's mean. Two evaluations of one and the same distribution differ by more than the first in about one case of six:
  a smaller change could not be seen in a single pair of them. The second keeps the margin from vanishing where the floor
  hardly varies, as in high dimension. Without a floor, or if it is the same for all seeds, generation 0 takes its place in
  the first.
- *Trend test.* Two-sided t test over seeds that the mean slope is 0, on the scale ``asinh((value - reference) / margin)``:
  linear within the margin, logarithmic far beyond it, so that one exploding seed does not hide that all of them explode. The
  reference is the mean floor. Holm's correction over all cells and metrics.
- *Equivalence test.* Two one-sided t tests (TOST) that the change, slope times span, lies within the margin, on the
  scale of the values.
- *Level test.* One-sided t test over seeds that the last third of the generations lies, in geometric mean, beyond 4 times
  the largest of floor, generation 0 and margin; where higher is better, below a quarter of the smaller of floor and
  generation 0; where neither is, in either way. Made for values with a floor and for distances, if these levels are positive.

The first that applies is the verdict:

1. `diverged`: at least half of the seeds have values that are not finite.
2. `undecided`: fewer than two seeds with values, or fewer than three generations.
3. `collapsed`: the level test rejects at alpha: whether or not anything is left to lose.
4. `drifting` or `improved`: the trend test rejects, for the worse or for the better, unless the interval of the change lies
   within a tenth of the margin: so slow that ten such runs would not cross it. A metric for which neither direction is better
   drifts when it moves away from its floor.
5. `stable`: the equivalence test holds, and no seed diverged.
6. `undecided`.

Errors. A stationary chain is called drifting with probability alpha at most *in the whole study*, however many cells. The
equivalence and level tests are not corrected: each single `stable` of a cell that moves by the margin or more, and each single
`collapsed` of one that has lost less than the factor, is wrong with probability alpha at most; in a study of many cells
expect that share among them. The margin is itself estimated from as many seeds as there are, and given beside the verdict: with
three seeds it is rough. Seeds of a source with a fixed data set share it: the verdict is then about this data set. Measured
error rates and power are in docs/verdicts.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from selfconsume.analysis import hypothesis_tests
from selfconsume.analysis.stability_tests import Evidence, examine
from selfconsume.errors import ConfigError
from selfconsume.results import table as tables
from selfconsume.results.format import FLOOR
from selfconsume.results.store import Store
from selfconsume.study import validation

VERDICTS = ("diverged", "collapsed", "drifting", "undecided", "improved", "stable")
"""All verdicts, the gravest first."""
FIXED = ("run", "seed", "generation", "metric", "value", "status")
NUMBERS = ("slope", "low", "high", "margin", "p", "p_holm", "p_equivalence", "level", "reference")


def decide(found: Evidence, p_holm: float, alpha: float = 0.05) -> tuple[str, str]:
    """The verdict, by the list at the top of this module, and in some words what stood in the way of a clearer one."""
    lost = f"{found.diverged} of {found.seeds} seeds diverged" if found.diverged else ""
    if math.isnan(found.p):
        if 2 * found.diverged >= found.seeds and found.diverged:
            return "diverged", lost
        return "undecided", lost or ("a single seed" if found.seeds < 2 else "fewer than three generations")
    if found.lost:
        return "collapsed", lost
    if p_holm <= alpha and not found.negligible:
        return ("drifting" if found.worse else "improved" if not found.diverged else "undecided"), lost
    if found.p_equivalence <= alpha and not found.diverged:
        return "stable", "a trend, but below a tenth of the margin" if p_holm <= alpha else ""
    return "undecided", lost or "not shown either way; more seeds or generations may"


def verdicts(
    results: Store | pl.DataFrame, alpha: float = 0.05, better: Mapping[str, str | None] | None = None
) -> pl.DataFrame:
    """The verdict of every cell on every metric that has a noise floor or of which it is known which way is better.

    Args:
        results: A directory of results, or its tidy table.
        alpha: Level of the tests; for `drifting` and `improved` that of the whole table.
        better: Value name -> "lower", "higher" or None; default: what the metrics of the directory say, and for a bare table
            nothing, so that away from the floor is worse.

    Returns:
        One row a cell and metric: `run`, the axes, `metric`, `verdict`, `slope` per generation with `low` and `high`, `margin`
        (of the change over `span` generations), `p` of the trend, the same after Holm's correction (`p_holm`), `p_equivalence`,
        `level` in the end, `reference`, `span`, `seeds`, `diverged`, and `reason`. Seeds that are behind are left out.

    Raises:
        ConfigError: The directory holds no study yet.
    """
    frame = results
    if isinstance(results, Store):
        if not results.studies:
            raise ConfigError(f"{results.path}: holds no study yet; run one")
        frame = tables.table(results)
        better = directions(results) if better is None else better
    better = better or {}
    axes = [name for name in frame.columns if name not in FIXED]
    names = frame["metric"].unique(maintain_order=True).to_list()
    judged = [name for name in names if not name.endswith(FLOOR) and (name + FLOOR in names or better.get(name))]
    rows: list[dict[str, Any]] = []
    evidence: list[Evidence] = []
    wanted = frame.filter(pl.col("metric").is_in(judged + [name + FLOOR for name in judged]))
    for cell in wanted.partition_by("run", maintain_order=True):
        parts = cell.partition_by("metric", as_dict=True)
        for name in judged:
            if (name,) not in parts:
                continue
            floor = parts.get((name + FLOOR,))
            values, generations = chains(parts[(name,)])
            noise = None if floor is None else floor["value"].to_numpy()
            evidence.append(examine(values, generations, noise, better.get(name), alpha))
            rows.append({"run": cell["run"][0], **{axis: cell[axis][0] for axis in axes}, "metric": name})
    adjusted = hypothesis_tests.holm(np.array([found.p for found in evidence]))
    for row, found, p_holm in zip(rows, evidence, adjusted, strict=True):
        verdict, reason = decide(found, p_holm, alpha)
        numbers = found._asdict() | {"p_holm": float(p_holm)}
        row |= {"verdict": verdict, **{name: numbers[name] for name in NUMBERS}}
        row |= {"span": found.span, "seeds": found.seeds, "diverged": found.diverged, "reason": reason}
    schema = {
        "run": pl.String,
        **{axis: frame.schema[axis] for axis in axes},
        "metric": pl.String,
        "verdict": pl.String,
    }
    schema |= dict.fromkeys(NUMBERS, pl.Float64) | dict.fromkeys(("span", "seeds", "diverged"), pl.Int64)
    return pl.DataFrame(rows, schema=schema | {"reason": pl.String})


def overall(judged: pl.DataFrame) -> dict[str, str]:
    """Run -> its gravest verdict over all metrics, by the order of `VERDICTS`."""
    found = judged.group_by("run", maintain_order=True).agg("verdict")
    return {run: min(words, key=VERDICTS.index) for run, words in found.iter_rows()}


def directions(store: Store) -> dict[str, str | None]:
    """Value name -> which way is better, for the metrics of the latest study."""
    found: dict[str, str | None] = {}
    for text, given in zip(store.study["metrics"], store.study["tables"]["metrics"], strict=True):
        try:
            better_of = validation.recipe("metric", given, "metrics").better_of
        except ConfigError:  # a class of the user's own, not registered in this process
            continue
        found |= {name: better_of(name) for segment in store.segments for name in segment.metrics.get(text, ())}
    return found


def chains(rows: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The values of one cell and metric as a matrix of the seeds that are not behind, and its generations."""
    generations, column = np.unique(rows["generation"].to_numpy(), return_inverse=True)
    seeds, row = np.unique(rows["seed"].to_numpy(), return_inverse=True)
    values = np.full((len(seeds), len(generations)), np.nan)
    there = np.zeros(values.shape, bool)
    values[row, column], there[row, column] = rows["value"].to_numpy(), True
    return values[there[:, -1]], generations
