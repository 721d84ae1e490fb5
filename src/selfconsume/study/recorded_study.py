"""The study of samples that another pipeline made: one run a regime, nothing to fit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.families.external.recorded import Recorded as RecordedFamily
from selfconsume.regimes.recorded import Recorded
from selfconsume.sources.arrays import SUFFIXES
from selfconsume.sources.files import sample_sets, samples
from selfconsume.sources.files.sample_sets import SampleSets
from selfconsume.study import validation
from selfconsume.study.study import Study
from selfconsume.types import Metric, Source

METRICS = ("frechet", "sliced_wasserstein", "neighbours", "nearest_real")
"""Metrics of an evaluation that names none, where they are defined."""
BOOTSTRAP = 100
"""Resamples of a single sequence: standard errors are then known to 7 %."""
MAX_FRECHET = 512
"""Numbers of an example up to which the Fréchet distance is among them: its covariances are full."""


class Place(NamedTuple):
    """Where the samples of one run are: `path`, a folder or pattern, or the `paths` of its generations."""

    path: str = ""
    paths: tuple[str, ...] = ()


def recorded_study(
    real: Source | Mapping[str, Any],
    runs: Mapping[str, Place],
    metrics: Sequence[Metric | Mapping[str, Any]] | None = None,
    *,
    n: int | None = None,
    generations: int | None = None,
    seeds: Sequence[int] | None = None,
    bootstrap: int = BOOTSTRAP,
) -> Study:
    """The study that measures recorded samples, generation by generation.

    Args:
        real: The real data.
        runs: The samples of each run, by the name of its regime.
        metrics: What is measured; None: `METRICS`, as far as they are defined.
        n: Examples of each set that are compared, a fixed random subset of larger sets; None: all, of sets of one size.
        generations: Number of generations, generation 0 included; None: all.
        seeds: Seeds that are evaluated; None: all.
        bootstrap: Resamples of the examples that give intervals where there is a single seed; 0: no intervals.

    Raises:
        ConfigError: A set is missing, runs have different seeds or numbers of generations, or sets have different sizes.
    """
    if not runs:
        raise ConfigError("evaluate: there are no generations to evaluate; give files, a folder, or --run NAME=FOLDER")
    source = validation.recipe("source", real, "source")
    located = {name: sample_sets.locate(place.path, place.paths, name) for name, place in runs.items()}
    chosen = _seeds(located, seeds)
    length = _generations(located, chosen, generations)
    used = {name: [sets.paths[seed][t] for seed in chosen for t in range(length)] for name, sets in located.items()}
    regimes = [
        Recorded(name, place.path, place.paths, sample_sets.digest(used[name][0])) for name, place in runs.items()
    ]
    return Study(
        source,
        RecordedFamily(bootstrap=bootstrap if len(chosen) == 1 else 0),
        regimes[0] if len(regimes) == 1 else None,
        _defined(source) if metrics is None else metrics,
        {"regime": regimes} if len(regimes) > 1 else {},
        generations=length,
        seeds=len(chosen) if chosen == list(range(len(chosen))) else chosen,
        n_synthetic=_size(used, source) if n is None else n,
        keep="samples",
    )


def real_table(real: str | Path) -> dict[str, Any]:
    """The source of real data at a path, or of a kind: an array or table, a folder or archive of pictures.

    Raises:
        ConfigError: There is no such path, nor such a kind.
    """
    path = Path(real).expanduser()
    if not path.exists() and str(real) in registry.kinds("source"):
        return {"kind": str(real)}
    if not path.exists():
        raise ConfigError(f"--real: there is no file or folder '{real}', nor a kind of source of that name")
    is_table = path.is_file() and path.suffix.lower() in SUFFIXES
    return {"kind": "arrays" if is_table else "folder", "path": str(real)}


def metric_table(metric: Any) -> Any:
    """The table of a metric's name, its kind or extractor and kind, such as ``inception.frechet``; else the value itself."""
    if not isinstance(metric, str):
        return metric
    features, _, kind = metric.rpartition(".")
    return {"kind": kind, "features": features} if features else {"kind": kind}


def _seeds(located: Mapping[str, SampleSets], seeds: Sequence[int] | None) -> list[int]:
    """The seeds that every run has."""
    first = next(iter(located))
    chosen = sorted(located[first].paths) if seeds is None else list(seeds)
    for name in located:
        if seeds is None and sorted(located[name].paths) != chosen:
            raise ConfigError(
                f"run {name!r} has seeds {_listed(located[name].paths)}, run {first!r} has {_listed(chosen)}; add the missing "
                "ones, or choose seeds that all have (--seed)"
            )
        if missing := [seed for seed in chosen if seed not in located[name].paths]:
            raise ConfigError(f"run {name!r} has no seed {missing[0]}; it has {_listed(located[name].paths)}")
    return chosen


def _generations(located: Mapping[str, SampleSets], seeds: Sequence[int], generations: int | None) -> int:
    """The number of generations, which every run and seed has."""
    lengths = {(name, seed): len(sets.paths[seed]) for name, sets in located.items() for seed in seeds}
    shortest, longest = (choose(lengths, key=lambda lane: lengths[lane]) for choose in (min, max))
    if generations is None and lengths[shortest] < lengths[longest]:
        raise ConfigError(
            f"run {shortest[0]!r} ends with generation {lengths[shortest] - 1}, run {longest[0]!r} with generation "
            f"{lengths[longest] - 1}; add the missing ones, or give --generations {lengths[shortest]}"
        )
    if generations is not None and lengths[shortest] < generations:
        raise ConfigError(
            f"run {shortest[0]!r} has {lengths[shortest]} generations, {generations} are to be evaluated; lower --generations"
        )
    return generations or lengths[shortest]


def _size(used: Mapping[str, Sequence[str]], source: Source) -> int:
    """The number of examples of every set."""
    sizes = {path: samples.count(path, source) for paths in used.values() for path in paths}
    smallest, largest = (choose(sizes, key=lambda path: sizes[path]) for choose in (min, max))
    if sizes[smallest] < sizes[largest]:
        raise ConfigError(
            f"samples: '{smallest}' holds {sizes[smallest]} examples, '{largest}' {sizes[largest]}; distances at different "
            f"sizes are not comparable: give --n {sizes[smallest]} to compare as many of each"
        )
    if sizes[smallest] < 2:
        raise ConfigError(f"samples: '{smallest}' holds {sizes[smallest]} examples; at least 2 are needed")
    return sizes[smallest]


def _defined(source: Source) -> list[dict[str, Any]]:
    """The tables of `METRICS` that are defined for the source; for sequences of tokens, of all metrics of these."""
    source.check()
    kinds: Sequence[str] = METRICS
    if getattr(source, "vocabulary", None) is not None:
        kinds = [
            kind
            for kind in registry.kinds("metric")
            if getattr(registry.find("metric", kind), "takes", "numbers") == "sequences"
        ]
    tables = []
    for kind in kinds:
        if kind == "frechet" and math.prod(source.shape) > MAX_FRECHET:
            continue
        try:
            validation.recipe("metric", {"kind": kind}, "metrics").check(source, RecordedFamily())
        except ConfigError:
            continue
        tables.append({"kind": kind})
    return tables


def _listed(seeds: Any) -> str:
    numbers = [str(seed) for seed in sorted(seeds)]
    return ", ".join(numbers[:8]) + (", ..." if len(numbers) > 8 else "")
