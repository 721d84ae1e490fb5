"""Shares of a study for machines that do not know of each other: which lanes the third of forty processes computes."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from selfconsume.errors import ConfigError
from selfconsume.lanes.cohorts import cohort_of
from selfconsume.results import format as fmt
from selfconsume.results.format import Lane
from selfconsume.study.cells import Cell
from selfconsume.study.study import Study

ARRAY = "array"
"""A share that is taken from the variables of an array job."""

MOST = 100_000
"""Most shares of one study."""

_FOLDER = re.compile(r"share-(\d+)-of-(\d+)")


class Share(NamedTuple):
    """A share of a study: ``number`` counts from 1 to ``count``."""

    number: int
    count: int

    @property
    def folder(self) -> str:
        """The name of its directory of results."""
        return f"share-{self.number:0{len(str(self.count))}d}-of-{self.count}"

    def lanes(self, study: Study) -> list[Lane]:
        """Its run and seed pairs: a function of the study alone, and of equal size (within one) for all shares.

        Each seed deals the cells, cohort by cohort, to the shares in turn and begins one cell later than the seed before it,
        so that no share gets a cell of every seed. More seeds at the end of the list move no lane to another share.
        """
        cells = _by_cohort(study)
        lanes = []
        for row, seed in enumerate(study.seeds):
            start = row * len(cells)
            for column in range((self.number - 1 - start) % self.count, len(cells), self.count):
                lanes.append((cells[(column + row) % len(cells)].id, seed))
        return lanes

    def record(self, study: Study) -> dict[str, Any]:
        """What the log of its directory stores of it."""
        return {"number": self.number, "count": self.count, "lanes": fmt.grouped(sorted(self.lanes(study)))}


def parse(text: str, environment: Mapping[str, str] = os.environ) -> Share:
    """A share as written on the command line: ``3/40``, or ``array`` for the place of this process in an array job.

    Slurm's variables (``SLURM_ARRAY_TASK_ID`` with ``_COUNT``, ``_MIN`` and ``_STEP``) and those of LSF (``LSB_JOBINDEX`` with
    ``_END`` and ``_STEP``) give both numbers; PBS does not say how many jobs there are: write ``$PBS_ARRAY_INDEX/40``.

    Raises:
        ConfigError: It is no share, or this is no array job.
    """
    if text == ARRAY:
        return _of_array_job(environment)
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]) <= MOST:
        raise ConfigError(f"--share {text[:40]}: expected NUMBER/COUNT such as 3/40, counted from 1, or 'array'")
    return Share(int(match[1]), int(match[2]))


def directory(out: str | Path, share: Share) -> Path:
    """The directory of results of a share, in a folder of all shares of the study.

    Raises:
        ConfigError: The folder holds shares of another count, which would be computed twice.
    """
    for path in folders(out):
        count = int(path.name.rpartition("-")[2])
        if count != share.count:
            raise ConfigError(
                f"{out}: holds shares of {count}, this is one of {share.count}; give --share NUMBER/{count}, or another --out"
            )
    return Path(out) / share.folder


def folders(out: str | Path) -> list[Path]:
    """The directories of shares in a folder, in order."""
    path = Path(out)
    return sorted(file for file in path.iterdir() if _FOLDER.fullmatch(file.name)) if path.is_dir() else []


def _by_cohort(study: Study) -> list[Cell]:
    """The cells, those of a cohort beside each other."""
    groups: dict[Any, list[Cell]] = {}
    for cell in study.cells:
        groups.setdefault(cohort_of(cell.run), []).append(cell)
    return [cell for group in groups.values() for cell in group]


def _of_array_job(environment: Mapping[str, str]) -> Share:
    def number(name: str, default: str = "") -> int:
        text = environment.get(name, default)
        if not text.isdecimal() or len(text) > 9:
            raise ConfigError(
                f"--share {ARRAY}: expected a number in {name}, got {text[:40]!r}; submit an array job, or give NUMBER/COUNT"
            )
        return int(text)

    if "LSB_JOBINDEX" in environment and "SLURM_ARRAY_TASK_ID" not in environment:
        index, step = number("LSB_JOBINDEX"), number("LSB_JOBINDEX_STEP", "1")
        return parse(f"{(index - 1) // step + 1}/{(number('LSB_JOBINDEX_END') - 1) // step + 1}")
    index, first = number("SLURM_ARRAY_TASK_ID"), number("SLURM_ARRAY_TASK_MIN", "0")
    step = max(1, number("SLURM_ARRAY_TASK_STEP", "1"))
    return parse(f"{(index - first) // step + 1}/{number('SLURM_ARRAY_TASK_COUNT')}")
