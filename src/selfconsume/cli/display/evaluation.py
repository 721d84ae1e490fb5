"""Evaluation of recorded samples on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfconsume.cli.display import console, final_table, study_run, verdicts
from selfconsume.errors import ConfigError
from selfconsume.study import recorded_study, toml_file
from selfconsume.study.recorded_study import Place


def evaluate(
    real: str,
    places: dict[str, Place],
    out: Path,
    *,
    metrics: Sequence[str] | None,
    changes: Sequence[str],
    as_json: bool,
    **options: Any,
) -> None:
    """Measures recorded samples, and prints the last generation and the verdicts.

    Args:
        real: The real data, see `recorded_study.real_table`.
        places: The samples of each run.
        out: The directory of results.
        metrics: Kinds of metrics, with their extractor before a dot; None: the default ones.
        changes: Fields of the real data, ``source.field=value``.
        as_json: Print JSON.
        options: See `recorded_study.recorded_study`.

    Raises:
        ConfigError: See `recorded_study.recorded_study`.
    """
    tables = {"source": recorded_study.real_table(real)}
    for change in changes:
        if not change.startswith("source."):
            raise ConfigError(f"--set {change}: expected a field of the real data, such as source.n_test=500")
        toml_file.override(tables, change)
    chosen = None if metrics is None else [recorded_study.metric_table(name) for name in metrics]
    study = recorded_study.recorded_study(tables["source"], places, chosen, **options)
    store = study_run.execute(study, out)
    if as_json:
        verdicts.verdict(store, "json")
        return
    final_table.show(store)
    verdicts.verdict(store)
    console.say(f"results in {out}; next: selfconsume report {out}")


def places(generations: Sequence[str], positional: Sequence[str], runs: Sequence[str]) -> dict[str, Place]:
    """The samples of each run, from the words of the command line.

    ``--generation A B C`` reaches this as the generation A and the positional words B and C.

    Raises:
        ConfigError: Words cannot be told apart, or two runs have one name.
    """
    if len(generations) > 1 and positional:
        raise ConfigError(
            f"--generation: got it {len(generations)} times, and '{positional[0]}' beside it; use one way"
        )
    sequence = [*generations, *positional]
    if sequence and runs:
        raise ConfigError(f"--run: got '{sequence[0]}' beside it; name every sequence by --run NAME=FOLDER")
    if len(sequence) == 1 and not generations:
        return {"recorded": Place(path=sequence[0])}
    if sequence:
        return {"recorded": Place(paths=tuple(sequence))}
    named: dict[str, Place] = {}
    for text in runs:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            raise ConfigError(f"--run {text}: expected NAME=FOLDER, such as replace=samples/replace")
        if name in named:
            raise ConfigError(f"--run {text}: {name!r} is there twice; give each run another name")
        named[name] = Place(path=path)
    return named
