"""Coverage of the interval of `threshold --metric` on the real loop, where the safe ratio is known.

    python benchmarks/threshold_coverage.py [--seeds 1200]

Linear regression on its own labels (16 inputs, 48 real rows, 6 generations) under `mix`: the expected loss in prediction error
grows with the ratio in closed form (`theory.closed_forms.regression.mixed_error`), and the margin is that of ratio 0.5. The
loop runs once at every ratio of 1 to 96 synthetic rows for all seeds; each study searches among its own seeds, as the command
does.
The true ratio is where the mean loss over all seeds crosses the margin, printed beside that of the closed form, of first order
in inputs over rows there.

Prints the table of docs/verdicts.md, with exact (Clopper-Pearson) 95 % intervals.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
from scipy import stats
from scipy.optimize import isotonic_regression

import selfconsume as sc
from selfconsume.analysis.safe_ratio import Loss, losses, searched
from selfconsume.theory.closed_forms import regression

DIM, ROWS, GENERATIONS, MAX_RATIO, RATIO = 16, 48, 6, 2.0, 0.5
SEEDS = (8, 24, 60)
"""Seeds of a study."""
METRIC = "prediction_error"
BETTER: dict[str, str | None] = {METRIC: "lower"}


def excess(ratio: float) -> float:
    """Expected loss at a ratio in the last generation, beside real data alone; exact where 1 / ratio or ratio is whole."""
    errors = (regression.mixed_error(GENERATIONS - 1, DIM, ROWS, ratio=x) for x in (ratio, 0.0))
    return float(next(errors)) - float(next(errors))


def measured(seeds: int) -> pl.DataFrame:
    """The tidy table of the last generation at every ratio."""
    ratios = [np.nextafter(k / ROWS, 9.0) for k in range(1, int(MAX_RATIO * ROWS) + 1)]
    study = sc.Study(
        sc.source("linear", dim=DIM, n=ROWS),
        sc.family("linear_regression"),
        metrics=[{"kind": METRIC}],
        axes={"regime": [{"kind": "real_only"}, *({"kind": "mix", "ratio": ratio} for ratio in ratios)]},
        generations=GENERATIONS,
        seeds=seeds,
        n_synthetic=int(MAX_RATIO * ROWS),
        keep="generators",
    )
    with tempfile.TemporaryDirectory() as folder:
        frame = sc.run(study, Path(folder) / "results").table()
    return frame.filter(pl.col("generation") == GENERATIONS - 1)


def crossing(frame: pl.DataFrame, margin: float) -> float:
    """Where the mean loss over all seeds crosses the margin."""
    points = losses(frame, BETTER, METRIC)
    fitted = isotonic_regression([point.loss for point in points]).x
    return float(np.interp(margin, fitted, [point.ratio for point in points]))


def percent(hits: int, n: int) -> str:
    """A share in percent with its Clopper-Pearson interval."""
    low, high = stats.binomtest(hits, n).proportion_ci(0.95, "exact")
    return f"{100 * hits / n:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def study_of(frame: pl.DataFrame, margin: float):
    """The search of the command among the seeds of one study."""
    points = {round(point.ratio * ROWS): point for point in losses(frame, BETTER, METRIC)}

    def measure(ratios) -> list[Loss]:
        return [points[round(ratio * ROWS)] for ratio in ratios]

    return searched(measure, ROWS, METRIC, margin, MAX_RATIO)


def report(frame: pl.DataFrame, seeds: int, truth: float, margin: float) -> None:
    """Prints the row of all disjoint studies of so many seeds."""
    groups = frame.with_columns((pl.col("seed") // seeds).alias("study")).partition_by("study", include_key=False)
    results = [study_of(group, margin) for group in groups if group["seed"].n_unique() == seeds]
    covered = sum(result.low <= truth <= (result.high or np.inf) for result in results)
    too_high = sum(result.low > truth for result in results)
    outcomes = ", ".join(f"{word} {count}" for word, count in Counter(each.outcome for each in results).most_common())
    quartiles = ", ".join(
        f"{x:.2f}" for x in np.quantile([each.ratio for each in results if each.ratio is not None], [0.25, 0.5, 0.75])
    )
    shares = f"{percent(covered, len(results))} | {percent(too_high, len(results))}"
    print(f"| {seeds} | {len(results)} | {shares} | {outcomes} | {quartiles} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Coverage of the interval of the safe ratio.")
    parser.add_argument("--seeds", type=int, default=1200, help="of all studies together")
    given = parser.parse_args()
    started, margin = time.monotonic(), excess(RATIO)
    frame = measured(given.seeds)
    truth = crossing(frame, margin)
    print("| seeds | studies | interval has the true ratio % | all of it above % | outcomes | estimate: quartiles |")
    print("|---|---|---|---|---|---|")
    for seeds in SEEDS:
        report(frame, seeds, truth, margin)
    print(f"\ntrue ratio {truth:.3f} (closed form {RATIO}), margin {margin:.4f}; {time.monotonic() - started:.0f} s")
