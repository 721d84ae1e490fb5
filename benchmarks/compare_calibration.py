"""Error rates and power of `compare` on the real loop, where the truth is known.

    python benchmarks/compare_calibration.py [--quick] [--eight DIR]

Stationary studies: one-dimensional Gaussians, each of three sizes n compared with `real_only`. The regime `fresh` without
synthetic data refits new real data of the same size in every generation, so that its values have the distribution of the
baseline's, and every `worse` or `better` is false. Harmful studies: fully synthetic training on the same data. With --eight, a
directory of results of studies/eight_gaussians.toml with more seeds (`--set study.seeds=450`): words of the disjoint studies
of 6 of them. With --only-eight, nothing else.

Prints the tables of docs/verdicts.md, with exact (Clopper-Pearson) 95 % intervals. About two minutes on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
from scipy import stats

import selfconsume as sc
from selfconsume.analysis.compare import compare
from selfconsume.analysis.verdicts import directions

SEEDS = (3, 6, 12)
GENERATIONS = 6


def percent(hits: int, n: int) -> str:
    """A share in percent with its Clopper-Pearson interval."""
    low, high = stats.binomtest(hits, n).proportion_ci(0.95, "exact")
    return f"{100 * hits / n:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def gaussians(regime: dict, seeds: int, generations: int) -> tuple[pl.DataFrame, dict[str, str | None]]:
    """The tidy table of `regime` beside `real_only` at three sizes, and the directions of its metrics."""
    study = sc.Study(
        sc.source("gaussian", dim=1, n=100),
        sc.family("gaussian"),
        metrics=[sc.metric("sliced_wasserstein", n_projections=1), sc.metric("frechet"), sc.metric("energy_distance")],
        axes={"source.n": [50, 100, 200], "regime": [{"kind": "real_only"}, regime]},
        generations=generations,
        seeds=seeds,
        keep="generators",
    )
    with tempfile.TemporaryDirectory() as folder:
        results = sc.run(study, Path(folder) / "results")
        return results.table(), directions(results.store)


def studies(frame: pl.DataFrame, seeds: int) -> Iterator[pl.DataFrame]:
    """Consecutive groups of seeds, each a study."""
    frame = frame.filter(pl.col("generation").is_in([0, int(frame["generation"].to_numpy().max())]))
    groups = frame.with_columns((pl.col("seed") // seeds).alias("study")).partition_by("study", include_key=False)
    yield from (group for group in groups if group["seed"].n_unique() == seeds)


def words(frames: Sequence[pl.DataFrame], better: dict[str, str | None]) -> list[list[tuple[str, str]]]:
    """Role and word of every comparison of every study."""
    return [list(compare(frame, better).table.select("role", "word").iter_rows()) for frame in frames]


def report(name: str, frame: pl.DataFrame, better: dict[str, str | None]) -> None:
    """Prints the shares of studies with any false word, and the shares of words among primary comparisons."""
    for seeds in SEEDS:
        judged = words(list(studies(frame, seeds)), better)
        any_worse = sum(("primary", "worse") in study for study in judged)
        any_secondary = sum(("secondary", "worse") in study for study in judged)
        primary = Counter(word for study in judged for role, word in study if role == "primary")
        total = sum(primary.values())
        shares = [percent(primary[word], total) for word in ("worse", "better", "equal", "undecided")]
        print(
            f"| {name} | {seeds} | {len(judged)} | {percent(any_worse, len(judged))} | "
            f"{percent(any_secondary, len(judged))} | " + " | ".join(shares) + " |"
        )


def eight_gaussians(path: str, seeds: int = 6) -> None:
    """Words of the primary metric in the disjoint studies of some of the seeds of a directory."""
    results = sc.load_results(path)
    frame, better = results.table(), directions(results.store)
    groups = list(studies(frame.filter(pl.col("metric").str.starts_with("coverage")), seeds))
    counts: dict[str, Counter[str]] = {}
    for group in groups:
        table = compare(group, better, primary="coverage").table
        for regime, word in table.filter(pl.col("role") == "primary").select("regime", "word").iter_rows():
            counts.setdefault(regime, Counter())[word] += 1
    print(
        f"\n| {len(groups)} studies of {seeds} seeds | worse % | equal % | better % | undecided % |\n|---|---|---|---|---|"
    )
    for regime, found in counts.items():
        shares = [percent(found[word], len(groups)) for word in ("worse", "equal", "better", "undecided")]
        print(f"| {regime} | " + " | ".join(shares) + " |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Error rates and power of compare.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the studies")
    parser.add_argument("--eight", metavar="DIR", help="results of studies/eight_gaussians.toml with more than 6 seeds")
    parser.add_argument("--only-eight", action="store_true", help="leave out the Gaussians")
    arguments = parser.parse_args()
    lanes = 120 if arguments.quick else 1200
    started = time.monotonic()
    if not arguments.only_eight:
        print(
            "| studies | seeds | number | any false worse % | any secondary worse % | worse % | better % | equal % | "
            "undecided % |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        report(
            "stationary (fresh, none synthetic)", *gaussians({"kind": "fresh", "n_synthetic": 0}, lanes, GENERATIONS)
        )
        report("fully synthetic", *gaussians({"kind": "replace"}, lanes, 21))
        report("half synthetic (mix 1)", *gaussians({"kind": "mix", "ratio": 1.0}, lanes, 21))
    if arguments.eight:
        eight_gaussians(arguments.eight)
    print(f"\n{time.monotonic() - started:.0f} s")
