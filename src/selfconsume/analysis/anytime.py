"""Harm that has begun: a statement by e-values that stays true while a study is extended, watched or stopped at will.

Verdicts and comparisons are for one look at a study whose length was fixed before. Who adds generations or seeds until a word
changes makes false alarms almost certain. Here the null hypothesis of a cell is that at no generation is it worse than its
baseline on average. For one generation, an e-value compares the pairs of seeds; over seeds it is a test martingale, so that
more seeds may be added and looked at at any time. Generations of a chain depend on each other in an unknown way, so that no
martingale runs over them: the k-th look, at generations 1, 2, 3, 4, 6, 8, 12, 16, 24, ..., gets the share ``1 / (k (k + 1))``
of alpha. By Ville's inequality at each look, the probability that *any* look, at any number of seeds, ever gives an alarm is
at most alpha; for a study it is divided by the number of cells. The word is `worse` from the first alarm on; there is no word
for the absence of harm.

It is no early warning: an alarm comes later than a test at a generation that was fixed in advance, which `analysis.compare` is.

Two e-values: of the t statistic (default), which assumes normal differences, as t tests do; and of signs, which assumes that a
seed is worse with probability 1/2 at most, and cannot exceed ``2^n`` with n seeds. The t statistic misleads where differences
are strongly skewed towards better: most seeds a little worse, a few much better. Measured error rates are in docs/verdicts.md.

References:
    Ville 1939. Lai 1976, Annals of Statistics 4:265 and Pérez-Ortiz et al. 2024, Annals of Statistics 52:1410 (the t
    statistic). Ramdas et al. 2023, Statistical Science 38:576 (e-values and anytime validity).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy import special

from selfconsume.analysis.pairs.baselines import Baseline, axes_of, baseline_runs, paired
from selfconsume.analysis.verdicts import directions
from selfconsume.errors import ConfigError
from selfconsume.results import stored_study
from selfconsume.results.store import Store
from selfconsume.results.table import table

EFFECTS = (0.5, 1.0, 2.0, 4.0)
"""Mean differences, in standard deviations, that the t statistic's alternative mixes with equal weights."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)
"""Of the integral over the norm of the differences."""
HALF_WIDTH = 12.0
"""Of that integral around its peak, whose width is about 1."""
SCHEMA = {
    "metric": pl.String,
    "word": pl.String,
    "generation": pl.Int64,
    "e_value": pl.Float64,
    "p_anytime": pl.Float64,
    "p_study": pl.Float64,
    "pairs": pl.Int64,
    "last_look": pl.Int64,
}
"""Columns of a watched table beside `run` and the axes."""


def looks(last: int) -> Iterator[tuple[int, float]]:
    """Generations that are looked at, up to ``last``, and the share of alpha of each."""
    generations = itertools.chain([1, 2], *([3 * 2**k, 4 * 2**k] for k in range(64)))
    for k, generation in enumerate(generations, 1):
        if generation > last:
            return
        yield generation, 1 / (k * (k + 1))


def t_e_value(differences: Float[np.ndarray, " n"]) -> float:
    r"""E-value of the t statistic against a mean of at most 0; large where differences are positive.

    Ratio of the densities of the t statistic under effects `EFFECTS` and under 0. For the effect d it is
    ``exp(-n d^2 / 2) E exp(z R)`` with R chi-distributed with n degrees of freedom, ``z = d \sqrt{n} t / \sqrt{n - 1 + t^2}``.
    1 with fewer than two differences, or if all are 0.
    """
    n, norm = len(differences), float(np.linalg.norm(differences))
    if n < 2 or norm == 0:
        return 1.0
    # t / sqrt(n - 1 + t^2) is the cosine of the angle between the differences and the diagonal.
    cosine = float(differences.sum()) / (math.sqrt(n) * norm)
    logs = []
    for effect in EFFECTS:
        z = effect * math.sqrt(n) * cosine
        peak = (z + math.sqrt(z * z + 4 * (n - 1))) / 2
        low, high = max(0.0, peak - HALF_WIDTH), peak + HALF_WIDTH
        r = low + (NODES + 1) * (high - low) / 2
        density = (n - 1) * np.log(r) - r * r / 2 - (n / 2 - 1) * math.log(2) - special.gammaln(n / 2)
        logs.append(special.logsumexp(density + z * r, b=WEIGHTS * (high - low) / 2) - n * effect**2 / 2)
    return float(np.exp(min(special.logsumexp(logs) - math.log(len(EFFECTS)), 700.0)))


def sign_e_value(differences: Float[np.ndarray, " n"]) -> float:
    """E-value of the number of positive differences against a probability of at most 1/2; zeros are left out.

    The alternative is a uniform distribution of the probability over [1/2, 1].
    """
    signs = differences[differences != 0]
    n, positive = len(signs), int((signs > 0).sum())
    tail = special.betainc(n - positive + 1, positive + 1, 0.5)
    return float(
        np.exp(min((n + 1) * math.log(2) + special.betaln(positive + 1, n - positive + 1) + np.log(tail), 700.0))
    )


def watch(
    frame: pl.DataFrame,
    better: Mapping[str, str | None],
    *,
    baseline: Baseline = None,
    primary: str | None = None,
    e_value: Literal["t", "sign"] = "t",
    alpha: float = 0.05,
) -> pl.DataFrame:
    """Whether each cell has begun to be worse than its baseline, valid at every look.

    Args:
        frame: A tidy table, see `selfconsume.results.table.table`.
        better: Value name -> "lower", "higher" or None.
        baseline: See `baselines.Baseline`.
        primary: The watched metric; default: the first with a direction. Fix it, as the baseline, before the first look.
        e_value: Of the "t" statistic or of the "sign" of the differences.
        alpha: Probability that a study ever gives a false alarm.

    Returns:
        One row per cell: `run`, the axes, `metric`, `word` ("worse" or "not shown"), the `generation` of the first alarm
        (null for none), the largest `e_value` times its share, `p_anytime` (its inverse, at most 1), `p_study` (times the
        number of cells), `pairs`, and the `last_look`, the latest generation that was looked at.

    Raises:
        ConfigError: No metric has a direction, or the primary metric is unknown.
    """
    names = [name for name, direction in better.items() if direction and name in frame["metric"]]
    if not names or (primary is not None and primary not in names):
        raise ConfigError(
            f"watch: expected a metric with a better direction, got {primary or 'none'}; add one to the study"
        )
    metric = primary or names[0]
    axes, sign = axes_of(frame), 1.0 if better[metric] == "lower" else -1.0
    pairs = paired(frame.filter(pl.col("metric") == metric), baseline_runs(frame, baseline))
    pairs = pairs.filter(pl.col("base").is_not_null()).sort("seed")
    runs = pairs["run"].unique(maintain_order=True).to_list()
    evaluate = {"t": t_e_value, "sign": sign_e_value}[e_value]
    rows = [_row(pairs.filter(pl.col("run") == run), sign, evaluate, alpha, len(runs)) for run in runs]
    labels = frame.select("run", *axes).unique("run", maintain_order=True)
    schema = {"run": pl.String, **SCHEMA}
    watched = pl.DataFrame(
        [{"run": run, "metric": metric, **row} for run, row in zip(runs, rows, strict=True)], schema=schema
    )
    return watched.join(labels, on="run", maintain_order="left").select("run", *axes, *SCHEMA)


def watch_stored(store: Store, *, primary: str | None = None, e_value: Literal["t", "sign"] = "t") -> pl.DataFrame:
    """Watches a directory of results, see `watch`; baseline and primary metric are those of its ``[compare]``.

    Raises:
        ConfigError: The directory holds no study yet, or see `watch`.
    """
    if not store.studies:
        raise ConfigError(f"{store.path}: holds no study yet; run one")
    settings = stored_study.compare_settings(store.study)
    primary = settings.primary if primary is None else primary
    return watch(table(store), directions(store), baseline=settings.baseline, primary=primary, e_value=e_value)


def _row(pairs: pl.DataFrame, sign: float, evaluate: Any, alpha: float, cells: int) -> dict[str, Any]:
    """The largest weighted e-value of one cell over its looks, and the first alarm."""
    row: dict[str, Any] = {"generation": None, "e_value": 0.0, "pairs": 0, "last_look": 0}
    stored = set(pairs["generation"].to_list())
    for generation, share in looks(max(stored, default=0)):
        if generation not in stored:
            continue
        part = pairs.filter(pl.col("generation") == generation)
        differences = sign * (part["value"] - part["base"]).to_numpy()
        differences = differences[np.isfinite(differences)]
        weighted = share * evaluate(differences)
        row |= {"e_value": max(row["e_value"], weighted), "pairs": len(differences), "last_look": generation}
        if weighted * alpha >= cells and row["generation"] is None:
            row["generation"] = generation
    p = min(1.0, 1 / row["e_value"]) if row["e_value"] > 0 else 1.0
    word = "not shown" if row["generation"] is None else "worse"
    return row | {"word": word, "p_anytime": p, "p_study": min(1.0, cells * p)}
