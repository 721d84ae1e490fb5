"""What a study needs of memory and disk, and the refusal of what cannot fit, before anything is computed or written."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import jax
from rich import filesize

from selfconsume.errors import ConfigError
from selfconsume.files.memory import machine_memory
from selfconsume.lanes.cohorts import cohort_of
from selfconsume.lanes.lane_pool import real_set_shape
from selfconsume.loop import generation_zero, pool
from selfconsume.loop.run import Run
from selfconsume.study.study import Study

MOST_LANES = 5_000_000

VALUE_BYTES = 16
"""Values of one metric in one generation of one lane: two numbers, their count of samples, and a share of the file's header."""

SEGMENT_BYTES = 3000
"""A segment's line of the log and the headers of its files."""

LANE_BYTES = 1.5 * 2**30
"""Memory for the lanes that run together; more lanes run in several batches. It changes no number."""


def check(study: Study, out: str | Path, shares: int = 1) -> None:
    """Refuses a study, of which one of several equal shares is computed here, that cannot fit.

    Raises:
        ConfigError: It has too many lanes, a lane does not fit into memory, or the results do not fit on the disk.
    """
    lanes = len(study.cells) * len(study.seeds) // shares
    if lanes > MOST_LANES:
        raise ConfigError(
            f"the study has {lanes} lanes (runs x seeds); at most {MOST_LANES} fit in one directory: split it"
        )
    costs = {cohort_of(cell.run): cell.run for cell in study.cells}
    memory = machine_memory()
    for run in costs.values():
        # Before anything is traced, whose own sizes could overflow.
        least = 4 * math.prod(run.source.shape) * max(run.source.size, run.block)
        if least > memory or (least := lane_bytes(run, study.last)) > memory:
            raise ConfigError(
                f"one lane with {run.source.size} real and {run.block} synthetic examples needs about "
                f"{filesize.decimal(least)} of memory, this machine has {filesize.decimal(memory)}; "
                "lower source.n or n_synthetic, or look back less"
            )
    free = free_bytes(out)
    needed = disk_bytes(study) // shares
    if needed > free:
        raise ConfigError(
            f"the study needs about {filesize.decimal(needed)} on disk, {filesize.decimal(free)} are free; "
            "use keep = 'generators', or fewer seeds or generations"
        )


def free_bytes(out: str | Path) -> int:
    """Free bytes of the disk that a directory is, or would be, on."""
    path = Path(out).absolute()
    return shutil.disk_usage(next(parent for parent in (path, *path.parents) if parent.exists())).free


def lane_bytes(run: Run, last: int) -> int:
    """Memory of one lane, about: the pool, the real block, the samples and their copies."""
    slots = 1 if run.pools_statistics else pool.capacity(last, run.regime.lookback)
    candidates = run.curation.candidates(run.block) if run.curation else run.block
    rows = run.block * (2 * slots + 1) + 2 * candidates + 3 * run.source.size
    return rows * row_bytes(run) + 3 * tree_bytes(generation_zero.fit_structure(run, 1))


def together(run: Run, last: int) -> int:
    """How many lanes may run beside each other; 0 where one of them takes more than its share."""
    return int(LANE_BYTES // lane_bytes(run, last))


def disk_bytes(study: Study) -> int:
    """What the whole study takes on disk, about: samples, generators, values, and the whole fits that it ends with."""
    keep, metrics = study.settings.keep, len(study.metrics)
    lane: dict[Any, int] = {}
    total = 0
    for cell in study.cells:
        cohort = cohort_of(cell.run)
        if cohort not in lane:
            generations = study.settings.generations * generation_bytes(cell.run, keep, metrics)
            lane[cohort] = generations + tree_bytes(generation_zero.fit_structure(cell.run, 1))
        total += lane[cohort] * len(study.seeds)
    return total


def generation_bytes(run: Run, keep: str, metrics: int) -> int:
    """What one generation of one lane takes on disk, about."""
    samples = run.block * row_bytes(run)
    generator = tree_bytes(generation_zero.fit_structure(run, 1).generator)
    return {"all": samples + generator, "samples": samples, "generators": generator}[keep] + metrics * VALUE_BYTES


def row_bytes(run: Run) -> int:
    """One example and whether it is valid."""
    sample = real_set_shape(run.source)
    return math.prod(sample.shape[1:]) * sample.dtype.itemsize + 1


def tree_bytes(tree: Any) -> int:
    """The arrays of a pytree."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
