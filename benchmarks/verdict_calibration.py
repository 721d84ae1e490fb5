"""Error rates and power of the verdicts, on simulated chains and on the real loop where the truth is known.

    python benchmarks/verdict_calibration.py [--quick]

Prints the tables of docs/verdict-calibration.md, with exact (Clopper-Pearson) 95 % intervals. About ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import numpy as np
from scipy import stats

import selfconsume as sc
from selfconsume.analysis import hypothesis_tests
from selfconsume.analysis.stability_tests import Evidence, examine
from selfconsume.analysis.verdicts import decide
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.lanes.records import Record
from selfconsume.loop.run import Run
from selfconsume.metrics.metric_key import metric_key

SEEDS = (3, 5, 10, 20)
GENERATIONS = 21


def bounds(hits: int, n: int) -> tuple[float, float]:
    """The Clopper-Pearson interval of a share, of level 95 %."""
    interval = stats.binomtest(hits, n).proportion_ci(0.95, "exact")
    return float(interval.low), float(interval.high)


def percent(hits: int, n: int) -> str:
    """A share in percent with its interval."""
    low, high = bounds(hits, n)
    return f"{100 * hits / n:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def judge(cells: list[Evidence]) -> list[str]:
    """The verdicts of the cells of one study."""
    adjusted = hypothesis_tests.holm(np.array([evidence.p for evidence in cells]))
    return [decide(evidence, p)[0] for evidence, p in zip(cells, adjusted, strict=True)]


def autoregressive(random: np.random.Generator, shape: tuple[int, ...], phi: float) -> np.ndarray:
    """Stationary AR(1) chains of variance 1 along the last axis."""
    x = random.standard_normal(shape)
    for t in range(1, shape[-1]):
        x[..., t] = phi * x[..., t - 1] + np.sqrt(1 - phi**2) * x[..., t]
    return x


def studies(values: np.ndarray, floor: np.ndarray, seeds: int) -> list[Evidence]:
    """Test statistics of consecutive groups of lanes."""
    count = len(values) // seeds
    groups = np.arange(count * seeds).reshape(count, seeds)
    t = range(values.shape[1])
    return [examine(values[rows], t, floor[rows], "lower") for rows in groups]


def simulated(random: np.random.Generator, count: int) -> None:
    """AR(1) chains around 5 floors' standard deviations, plus a line; the margin is about 2 standard deviations."""
    t = np.arange(GENERATIONS)
    line = (t - 1) / (t[-1] - 1)
    print("\n| chain | change over the tested generations | seeds | drifting % | stable % | collapsed % |")
    print("|---|---|---|---|---|---|")
    for name, phi, skewed in (
        ("φ = 0", 0.0, False),
        ("φ = 0.5", 0.5, False),
        ("φ = 0.9", 0.9, False),
        ("exp, φ = 0.5", 0.5, True),
    ):
        for effect in (0.0, 1.0, 2.0, 4.0):
            for seeds in SEEDS:
                noise = autoregressive(random, (count * seeds, GENERATIONS), phi)
                floor = random.standard_normal(count * seeds)
                if skewed:
                    noise, floor = (np.exp(0.75 * x) for x in (noise, floor))
                    unit = np.exp(0.75**2 / 2) * np.sqrt(np.exp(0.75**2) - 1)
                else:
                    noise, floor, unit = noise + 5, floor + 5, 1.0
                words = Counter(
                    judge([evidence])[0] for evidence in studies(noise + effect * unit * line, floor, seeds)
                )
                shares = [percent(words[word], count) for word in ("drifting", "stable", "collapsed")]
                print(f"| {name} | {effect:g} σ | {seeds} | " + " | ".join(shares) + " |")


def families(random: np.random.Generator, count: int, cells: int = 20) -> None:
    """Studies of stationary cells with correlated noise, as from common random numbers."""
    print("\n| cells | seeds | any cell drifting % | without correction % |")
    print("|---|---|---|---|")
    for seeds in SEEDS:
        common = autoregressive(random, (count, 1, seeds, GENERATIONS), 0.5)
        idiosyncratic = autoregressive(random, (count, cells, seeds, GENERATIONS), 0.5)
        values = 5 + np.sqrt(0.5) * (common + idiosyncratic)
        floor = 5 + random.standard_normal((count, seeds))
        any_drifting, bare = 0, 0
        for study, noise in zip(values, floor, strict=True):
            evidence = [examine(cell, range(GENERATIONS), noise, "lower") for cell in study]
            any_drifting += "drifting" in judge(evidence)
            bare += "drifting" in [decide(tests, tests.p)[0] for tests in evidence]
        print(f"| {cells} | {seeds} | {percent(any_drifting, count)} | {percent(bare, count)} |")


def real_loop(lanes_each: int) -> None:
    """Retrained Gaussians in one dimension, judged by their sliced Wasserstein distance."""
    half, few = lanes_each // 2, lanes_each // 8
    cases = [
        ("real_only, n = 100", "stationary", sc.regime("real_only"), 100, 21, lanes_each),
        ("fresh, none synthetic, n = 100", "stationary", sc.regime("fresh", n_synthetic=0), 100, 21, lanes_each),
        ("fresh, half synthetic, n = 100", "stable", sc.regime("fresh"), 100, 21, lanes_each),
        ("mix 0.5, n = 100", "stable", sc.regime("mix", ratio=0.5), 100, 21, half),
        ("mix 1, n = 10", "stable", sc.regime("mix", ratio=1.0), 10, 21, half),
        ("mix 1, n = 100", "stable", sc.regime("mix", ratio=1.0), 100, 11, half),
        ("mix 1, n = 100", "stable", sc.regime("mix", ratio=1.0), 100, 21, half),
        ("accumulate, n = 100", "ever slower", sc.regime("accumulate"), 100, 21, few),
        ("replace, n = 10", "drifts", sc.regime("replace"), 10, 21, few),
        ("replace, n = 100", "drifts", sc.regime("replace"), 100, 6, few),
        ("replace, n = 100", "drifts", sc.regime("replace"), 100, 11, few),
        ("replace, n = 100", "drifts", sc.regime("replace"), 100, 21, few),
        ("replace, n = 100", "drifts", sc.regime("replace"), 100, 51, few),
        ("replace, n = 1000", "drifts", sc.regime("replace"), 1000, 21, few // 2),
    ]
    metric = sc.metric("sliced_wasserstein", n_projections=1)
    false: Counter[int] = Counter()
    of: Counter[int] = Counter()
    print("\n| regime | truth | generations | seeds | studies | drifting % | stable % | collapsed % | improved % |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, truth, regime, n, generations, count in cases:
        run = Run(sc.source("gaussian", dim=1, n=n), sc.family("gaussian"), regime)
        batch = LaneBatch([run] * count, list(range(count)), DeviceLayout.default())
        records = batch.generations([metric], generations - 1)
        chains = [record.values[metric_key(metric)] for record in records if isinstance(record, Record)]
        values = np.stack([chain["sliced_wasserstein"] for chain in chains], axis=1).astype(np.float64)
        floor = chains[0]["sliced_wasserstein.floor"].astype(np.float64)
        for seeds in SEEDS:
            evidence = studies(values, floor, seeds)
            words = Counter(judge([tests])[0] for tests in evidence)
            if truth in ("stationary", "stable"):
                false[seeds] += words["drifting"]
                of[seeds] += len(evidence)
            shares = [percent(words[word], len(evidence)) for word in ("drifting", "stable", "collapsed", "improved")]
            print(f"| {name} | {truth} | {generations} | {seeds} | {len(evidence)} | " + " | ".join(shares) + " |")
    pooled = "; ".join(f"{seeds} seeds {percent(false[seeds], of[seeds])} %" for seeds in SEEDS)
    print(f'\nFalse "drifting" over all stationary and stable regimes: {pooled}.')


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Error rates and power of the verdicts.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the studies")
    less = 10 if parser.parse_args().quick else 1
    started = time.monotonic()
    families(np.random.default_rng(1), 500 // less)
    real_loop(16_000 // less)
    simulated(np.random.default_rng(0), 2000 // less)
    print(f"\n{time.monotonic() - started:.0f} s")
