"""Error rates of the collapse profile's yes and no, three families x four regimes, on cases whose truth is known.

    python benchmarks/profile_calibration.py [--quick] [--family KDE]

A Gaussian on N(0, 1), a categorical on a Zipf law of 20 categories and a kernel density estimate on N(0, 1), n = 50, 16
generations after generation 0, retrained under real data only, half synthetic data, accumulation and synthetic data only. The
truth of a definition is the mean of its statistic over all seeds, which must be at least 3 of its standard errors beyond its
margin or within it; closer cases are not counted. Studies are groups of 8 seeds. For the Gaussian on its own samples the mean
of the log variance has a closed form, and the mean over all seeds is printed beside it.

Prints the tables of docs/verdicts.md, with exact (Clopper-Pearson) 95 % intervals. A few minutes on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
from scipy import special, stats

import selfconsume as sc
from selfconsume.analysis.profile import profile
from selfconsume.analysis.verdicts import directions

SEEDS, GENERATIONS, N = 8, 17, 50
REGIMES = [{"kind": "real_only"}, {"kind": "mix", "ratio": 1.0}, {"kind": "accumulate"}, {"kind": "replace"}]
ZIPF = (1 / np.arange(1, 21) / np.sum(1 / np.arange(1, 21))).tolist()
RISKS = ["sliced_wasserstein", "moments", "tail_mass", "hallucination"]
CASES = {
    "Gaussian": ("gaussian", {"dim": 1, "n": N}, "gaussian", RISKS),
    "categorical": ("categorical", {"p": ZIPF, "n": N}, "categorical", ["labels", "diversity", *RISKS[2:]]),
    "KDE": ("gaussian", {"dim": 1, "n": N}, "kde", RISKS),
}
"""Family -> source and its fields, family, metrics; the first one with a direction is the risk."""


def percent(hits: int, n: int) -> str:
    """A share in percent with its Clopper-Pearson interval."""
    if not n:
        return "–"
    low, high = stats.binomtest(hits, n).proportion_ci(0.95, "exact")
    return f"{100 * hits / n:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def measured(case: str, seeds: int) -> tuple[pl.DataFrame, dict[str, str | None]]:
    """The tidy table of a family under all regimes, and the directions of its metrics."""
    source, fields, family, metrics = CASES[case]
    study = sc.Study(
        sc.source(source, **fields),
        sc.family(family),
        metrics=[{"kind": kind} for kind in metrics],
        axes={"regime": REGIMES},
        generations=GENERATIONS,
        seeds=seeds,
        keep="generators",
    )
    with tempfile.TemporaryDirectory() as folder:
        results = sc.run(study, Path(folder) / "results")
        return results.table(), directions(results.store)


def truth_of(row: dict) -> str:
    """The answer that the mean over all seeds gives; "" where it is too close to the margin."""
    if row["answer"] in ("undecided", "not asked"):
        return ""
    return row["answer"] if min(row["p_yes"], row["p_no"]) < stats.norm.sf(3) else ""


def report(case: str, frame: pl.DataFrame, better: dict[str, str | None]) -> tuple[Counter, Counter]:
    """Prints the share of right and wrong answers of every cell and definition; returns errors and totals by truth."""
    truths = {key(row): truth_of(row) for row in profile(frame, better).to_dicts()}
    groups = frame.with_columns((pl.col("seed") // SEEDS).alias("study")).partition_by("study", include_key=False)
    groups = [group for group in groups if group["seed"].n_unique() == SEEDS]
    answers: dict[tuple, Counter] = {}
    for group in groups:
        for row in profile(group, better).to_dicts():
            answers.setdefault(key(row), Counter())[row["answer"]] += 1
    wrong, total = Counter(), Counter()
    for cell, truth in truths.items():
        if not truth:
            continue
        opposite = "no" if truth == "yes" else "yes"
        wrong[truth] += answers[cell][opposite]
        total[truth] += len(groups)
        right, false = (percent(answers[cell][word], len(groups)) for word in (truth, opposite))
        print("| " + " | ".join([case, *cell, truth, right, false]) + " |")
    return wrong, total


def key(row: dict) -> tuple[str, str, str]:
    """Cell, definition and reference of a row."""
    return row["regime"], row["definition"], row["reference"]


def closed_form(frame: pl.DataFrame) -> str:
    """Mean log variance of the Gaussian on its own samples over the last quarter minus generation 0, beside digamma."""
    rows = frame.filter((pl.col("regime") == "replace") & (pl.col("metric") == "moments.variance"))
    values = np.log(rows.sort("seed", "generation")["value"].to_numpy().reshape(-1, GENERATIONS))
    change = values[:, -((GENERATIONS - 1) // 4) :].mean(axis=1) - values[:, 0]
    mean_step = special.digamma((N - 1) / 2) - np.log(N / 2)
    expected = mean_step * (GENERATIONS - 1 - ((GENERATIONS - 1) // 4 - 1) / 2)
    error = change.std() / len(change) ** 0.5
    return f"log variance of the Gaussian: {change.mean():.3f} +- {error:.3f}, closed form {expected:.3f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Error rates of the collapse profile.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the studies")
    parser.add_argument("--family", choices=CASES, help="this one only")
    given = parser.parse_args()
    seeds = 160 if given.quick else 1600
    started = time.monotonic()
    wrong, total, notes = Counter(), Counter(), []
    print("| family | regime | collapse as | against | truth | right % | wrong % |")
    print("|---|---|---|---|---|---|---|")
    for case in [given.family] if given.family else CASES:
        frame, better = measured(case, seeds)
        errors, counts = report(case, frame, better)
        wrong, total = wrong + errors, total + counts
        notes += [closed_form(frame)] if case == "Gaussian" else []
    shares = [f"wrong yes: {percent(wrong['no'], total['no'])} %", f"wrong no: {percent(wrong['yes'], total['yes'])} %"]
    print("\n" + "; ".join(shares + notes))
    print(f"\n{time.monotonic() - started:.0f} s")
