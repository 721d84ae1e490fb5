"""One tidy table of everything that was measured."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from selfconsume.errors import ConfigError
from selfconsume.results import format as fmt
from selfconsume.results import provenance
from selfconsume.results.store import Store

FIXED = ("run", "seed", "generation", "metric", "value", "status", "error")
"""Columns that are no axes of the study; `error` is in tables of single recorded sequences only."""
MEASURED = ("n", "split", "n_reference", "extractor", "sha256")
"""Columns that say what a value rests on."""
TYPES = (pl.Int64, pl.String, pl.Int64, pl.String, pl.String)

SUFFIXES = (".csv", ".json", ".parquet")


def table(store: Store, generations: Collection[int] | None = None, *, measured: bool = False) -> pl.DataFrame:
    """The values of the latest study in a directory, one row a value; of all generations, or of the given ones.

    Columns: `run` (identity), `seed`, one column for each axis, `generation`, `metric`, `value`, `status` ("ok", or
    "diverged" from the generation on in which the parameters were not finite or no sample was; its values are nan).
    Runs, seeds, generations and metrics that the latest study no longer names are left out. Rows named
    ``<metric>.floor`` hold real data against real data at the same number of examples, once a run, at generation 0.

    Of recorded sequences without seeds, `error` is the standard error of the value over the examples of the generation, by
    bootstrap; null for floors. It does not contain the randomness of training.

    With ``measured``, further columns say what each value rests on: `n` (samples that it compares; null for none or
    unknown), `split` and `n_reference` (the real data and its number of examples), `extractor` and `sha256` (of its
    weights); null without an extractor.

    Raises:
        ConfigError: Two metrics give values of one name, or a file is damaged.
    """
    study = store.study
    origins = _Origins(store) if measured else None
    names: dict[str, int] = {}
    has_errors = fmt.is_single_sequence(study)
    parts = list(_parts(store, generations, names, origins, has_errors))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [np.zeros(0)] * 8
    types = {"cell": pl.Int32, "seed": pl.Int64, "generation": pl.Int64, "metric": pl.Int32, "value": pl.Float64}
    types |= {"error": pl.Float64} if has_errors else {}
    types |= {"origin": pl.Int32, "compared": pl.Int64} if measured else {}
    frame = pl.DataFrame(
        {name: pl.Series(column).cast(types[name]) for name, column in zip(types, columns, strict=False)}
    )
    frame = frame.unique(["cell", "seed", "generation", "metric"], keep="last", maintain_order=True)
    metrics = pl.DataFrame({"metric": range(len(names)), "name": list(names)}, {"metric": pl.Int32, "name": pl.String})
    frame = frame.join(_labels(study), on="cell", how="left", maintain_order="left")
    frame = frame.join(metrics, on="metric", how="left", maintain_order="left")
    further: list[Any] = [pl.col("error").fill_nan(None)] if has_errors else []
    if origins is not None:
        frame = frame.join(origins.table(), on=["cell", "origin"], how="left", maintain_order="left")
        floor = pl.col("name").str.ends_with(fmt.FLOOR)
        n = pl.when(floor).then(pl.col("n")).when(pl.col("compared") > 0).then(pl.col("compared")).alias("n")
        further += [n, *MEASURED[1:]]
    status = pl.when(pl.col("value").is_nan()).then(pl.lit(fmt.DIVERGED)).otherwise(pl.lit(fmt.OK)).alias("status")
    return frame.sort("cell", "seed", "generation", maintain_order=True).select(
        "run", "seed", *study["axes"], "generation", pl.col("name").alias("metric"), "value", status, *further
    )


def _parts(
    store: Store,
    generations: Collection[int] | None,
    names: dict[str, int],
    origins: _Origins | None,
    has_errors: bool,
) -> Iterator[tuple[np.ndarray, ...]]:
    """The columns of the table as numbers, a stored array after the other; numbers of value names go into ``names``."""
    study = store.study
    places = _places(store)
    givers: dict[str, str] = {}
    for segment, t, metric, name, values in store.values(generations):
        if metric not in study["metrics"] or t >= study["generations"] or not len(places[segment.lanes]):
            continue
        if (giver := givers.setdefault(name, metric)) != metric:
            raise ConfigError(
                f"{store.path}: {giver} and {metric} both give {name!r}; run the study without one of them"
            )
        row, cell, seed = places[segment.lanes].T
        number = np.full(len(row), names.setdefault(name, len(names)))
        part = cell, seed, np.full(len(row), t), number, values[row]
        if has_errors:
            errors = store.error(segment, t, metric, name)
            part += (np.full(len(row), np.nan) if errors is None else errors[row],)
        if origins is not None:
            counts = None if name.endswith(fmt.FLOOR) else store.compared(segment, t, metric)
            origin = np.full(len(row), origins.number(segment.study, metric))
            part += origin, np.full(len(row), -1) if counts is None else counts[row]
        yield part


def _places(store: Store) -> dict[str, np.ndarray]:
    """Of every batch of lanes those that the latest study names: row in the batch, cell and seed, ``(lanes, 3)``."""
    cells = {cell["id"]: i for i, cell in enumerate(store.study["cells"])}
    seeds = set(fmt.seeds_of(store.study))
    return {
        name: np.array(
            [(row, cells[run], seed) for row, (run, seed) in enumerate(lanes) if run in cells and seed in seeds],
            np.int64,
        )
        for name, lanes in store.lanes.items()
    }


class _Origins:
    """What values rest on: numbers for pairs of a metric and the study that was the latest when it was measured."""

    def __init__(self, store: Store) -> None:
        self._study = store.study
        self._described = [provenance.described(study) for study in store.studies]
        self._numbers: dict[tuple[int, str], int] = {}

    def number(self, study: int, metric: str) -> int:
        return self._numbers.setdefault((study, metric), len(self._numbers))

    def table(self) -> pl.DataFrame:
        """Cell number and origin -> `MEASURED`."""
        rows = []
        for (index, metric), origin in self._numbers.items():
            by_run = self._described[index].get(metric, {})
            for cell, labels in enumerate(self._study["cells"]):
                if (measured := by_run.get(labels["id"])) is not None:
                    rows.append((cell, origin, *(getattr(measured, name) or None for name in MEASURED)))
        types: dict[str, Any] = {"cell": pl.Int32, "origin": pl.Int32, **dict(zip(MEASURED, TYPES, strict=True))}
        return pl.DataFrame(rows, schema=types, orient="row")


def check_path(path: str | Path) -> None:
    """Refuses a file that `save` could not write, before anything is computed.

    Raises:
        ConfigError: Another suffix than csv, json or parquet, or a folder that does not exist.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"--out {path}: expected a file ending in {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise ConfigError(f"--out {path}: there is no folder {path.parent}")


def save(frame: pl.DataFrame, path: str | Path) -> None:
    """Writes a table as csv, json or parquet, by the file's suffix.

    Raises:
        ConfigError: See `check_path`.
    """
    check_path(path)
    write = {".csv": frame.write_csv, ".json": frame.write_json, ".parquet": frame.write_parquet}
    write[Path(path).suffix](path)


def _labels(study: dict) -> pl.DataFrame:
    """Cell number -> run identity and its place on each axis; axes of mixed types become text."""
    columns: dict[str, list] = {
        "cell": list(range(len(study["cells"]))),
        "run": [cell["id"] for cell in study["cells"]],
    }
    for axis in study["axes"]:
        values = [cell["labels"][axis] for cell in study["cells"]]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            columns[axis] = values if all(isinstance(value, int) for value in values) else [float(v) for v in values]
        elif not all(isinstance(value, bool) for value in values):
            columns[axis] = ["default" if value is None else str(value) for value in values]
        else:
            columns[axis] = values
    return pl.DataFrame(columns, schema_overrides={"cell": pl.Int32})
