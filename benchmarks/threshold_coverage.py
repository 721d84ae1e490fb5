"""Coverage of the interval of `threshold --metric` on the real loop, where the safe ratio is known.

    python benchmarks/threshold_coverage.py [--studies 200] [--seeds 8]

Linear regression on its own labels (5 inputs, 40 real rows, 6 generations) under `mix`: the expected loss in prediction error
grows with the ratio in closed form (`theory.closed_forms.regression.mixed_error`), and the margin is that of ratio 0.5. The
loop runs once at every ratio of 1 to 80 synthetic rows for all seeds; each study searches among its own seeds, as the command
does.
The true ratio is where the mean loss over all seeds crosses the margin, printed beside that of the closed form.

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

DIM, ROWS, GENERATIONS, MAX_RATIO, RATIO = 5, 40, 6, 2.0, 0.5
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Coverage of the interval of the safe ratio.")
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=8, help="seeds of a study")
    given = parser.parse_args()
    started, margin = time.monotonic(), excess(RATIO)
    frame = measured(given.studies * given.seeds)
    truth = crossing(frame, margin)
    groups = frame.with_columns((pl.col("seed") // given.seeds).alias("study")).partition_by("study", include_key=False)
    results = [study_of(group, margin) for group in groups]
    covered = sum(result.low <= truth <= (result.high or np.inf) for result in results)
    too_high = sum(result.low > truth for result in results)
    words = Counter(result.outcome for result in results)
    estimates = [result.ratio for result in results if result.ratio is not None]
    quartiles = ", ".join(f"{x:.2f}" for x in np.quantile(estimates, [0.25, 0.5, 0.75]))
    print("| seeds | studies | interval has the true ratio % | all of it above % | outcomes | estimate: quartiles |")
    print("|---|---|---|---|---|---|")
    outcomes = ", ".join(f"{word} {count}" for word, count in words.most_common())
    shares = f"{percent(covered, len(results))} | {percent(too_high, len(results))}"
    print(f"| {given.seeds} | {len(results)} | {shares} | {outcomes} | {quartiles} |")
    print(f"\ntrue ratio {truth:.3f} (closed form {RATIO}), margin {margin:.4f}; {time.monotonic() - started:.0f} s")
