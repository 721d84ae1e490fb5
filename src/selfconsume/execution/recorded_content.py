"""Checksums of recorded samples: files that change after they were evaluated are refused."""

from __future__ import annotations

from selfconsume.errors import ConfigError
from selfconsume.regimes.recorded import Recorded
from selfconsume.results.store import Store
from selfconsume.sources.files import sample_sets
from selfconsume.study import validation
from selfconsume.study.cells import Cell
from selfconsume.study.study import Study

Checksums = dict[str, list[str]]
"""By seed, the SHA-256 of the samples of each generation."""


def of_cell(cell: Cell, study: Study) -> Checksums:
    """The checksums of a cell's samples; none where samples are not recorded."""
    regime = cell.run.regime
    if not isinstance(regime, Recorded):
        return {}
    located = sample_sets.locate(regime.path, regime.paths, regime.name)
    return {
        str(seed): [sample_sets.digest(path) for path in located.paths[seed][: study.last + 1]] for seed in study.seeds
    }


def check(study: Study, store: Store) -> None:
    """Refuses samples that differ from those that the directory has measured.

    Raises:
        ConfigError: The samples of a stored generation have changed.
    """
    entries = [entry for past in store.studies for entry in past["cells"] if "recorded" in entry]
    for cell in study.cells if entries else ():
        checksums = of_cell(cell, study)
        for entry in entries:
            for seed, old in entry["recorded"].items() if entry["id"] == cell.id else ():
                new = checksums.get(seed, [])
                if changed := [t for t, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]]:
                    raise ConfigError(
                        f"{store.path}: generation {changed[0]} of run {validation.label('regime', cell.run.regime)!r}, seed "
                        f"{seed}, has changed since it was evaluated; give another --out"
                    )
