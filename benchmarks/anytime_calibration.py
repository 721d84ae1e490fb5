"""False alarms and delay of `watch` when a study is extended generation by generation, beside a test that is repeated.

    python benchmarks/anytime_calibration.py [--studies N]

Chains: AR(1) with the given dependence, 100 generations after generation 0, eight seeds; and the real loop, one-dimensional
Gaussians that refit new real data in every generation against `real_only`: no difference is real. The repeated test is a
one-sided t test of the paired differences at 5 % after every generation. Delay: generations until the alarm where the cell
drifts by 0.1 standard deviations a generation, of the e-value and of the repeated test, median over the studies with an alarm.

Prints the table of docs/verdicts.md, with exact (Clopper-Pearson) 95 % intervals. A minute on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from scipy import stats

import selfconsume as sc
from selfconsume.analysis.anytime import looks, sign_e_value, t_e_value

SEEDS, GENERATIONS, ALPHA = 8, 101, 0.05


def percent(hits: int, n: int) -> str:
    """A share in percent with its Clopper-Pearson interval."""
    low, high = stats.binomtest(hits, n).proportion_ci(0.95, "exact")
    return f"{100 * hits / n:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def autoregressive(random: np.random.Generator, shape: tuple[int, ...], phi: float) -> np.ndarray:
    """Stationary AR(1) chains of variance 1 along the last axis."""
    x = random.standard_normal(shape)
    for t in range(1, shape[-1]):
        x[..., t] = phi * x[..., t - 1] + np.sqrt(1 - phi**2) * x[..., t]
    return x


def first_alarm(differences: np.ndarray, e_value) -> int | None:
    """Generation of the first alarm of one cell, ``(seeds, generations)``; None for none."""
    return next(
        (t for t, share in looks(differences.shape[1] - 1) if share * e_value(differences[:, t]) * ALPHA >= 1), None
    )


def first_rejection(differences: np.ndarray) -> int | None:
    """Generation of the first rejection of the repeated t test; None for none."""
    p = stats.ttest_1samp(differences[:, 1:], 0.0, alternative="greater").pvalue
    rejected = np.flatnonzero(p <= ALPHA)
    return int(rejected[0]) + 1 if len(rejected) else None


def report(name: str, studies: list[np.ndarray]) -> None:
    """Prints shares of studies with an alarm, and the median generation of it."""
    entries = []
    for rule in (lambda d: first_alarm(d, t_e_value), lambda d: first_alarm(d, sign_e_value), first_rejection):
        alarms = [alarm for study in studies if (alarm := rule(study)) is not None]
        median = f", at {np.median(alarms):.0f}" if alarms else ""
        entries.append(percent(len(alarms), len(studies)) + median)
    print(f"| {name} | {len(studies)} | " + " | ".join(entries) + " |", flush=True)


def real_loop(count: int) -> list[np.ndarray]:
    """Paired differences of stationary studies of the real loop."""
    study = sc.Study(
        sc.source("gaussian", dim=1, n=50),
        sc.family("gaussian"),
        metrics=[sc.metric("sliced_wasserstein", n_projections=1)],
        axes={"regime": [{"kind": "real_only"}, {"kind": "fresh", "n_synthetic": 0}]},
        generations=GENERATIONS,
        seeds=count * SEEDS,
        keep="generators",
    )
    with tempfile.TemporaryDirectory() as folder:
        frame = sc.run(study, Path(folder) / "results").table().filter(pl.col("metric") == "sliced_wasserstein")
    frame = frame.sort("seed", "generation")
    base, cell = (
        part["value"].to_numpy().reshape(-1, GENERATIONS) for _, part in frame.group_by("regime", maintain_order=True)
    )
    return list((cell - base).reshape(count, SEEDS, GENERATIONS))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="False alarms and delay of watch.")
    parser.add_argument(
        "--studies", type=int, default=1000, help="studies of each chain; a tenth of them of the real loop"
    )
    count = parser.parse_args().studies
    started, random = time.monotonic(), np.random.default_rng(0)
    print("| chain | studies | watch: alarm %, median generation | --signs | test repeated at every generation |")
    print("|---|---|---|---|---|")
    shape = (count, SEEDS, GENERATIONS)
    for phi in (0.0, 0.5, 0.9, 0.99):
        report(f"stationary, φ = {phi:g}", list(autoregressive(random, shape, phi)))
    report("stationary, skewed to the left, φ = 0.5", list(np.exp(0.5) - np.exp(autoregressive(random, shape, 0.5))))
    drift = 0.1 * np.arange(GENERATIONS)
    report("drifts by 0.1 σ a generation, φ = 0.9", list(autoregressive(random, shape, 0.9) + drift))
    report("real loop: fresh against real_only, n = 50", real_loop(count // 10))
    print(f"\n{time.monotonic() - started:.0f} s")
