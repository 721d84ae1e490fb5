"""One tidy table of everything that was measured."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import polars as pl

from selfconsume.errors import ConfigError
from selfconsume.results import provenance
from selfconsume.results.store import Store

MEASURED = ("n", "split", "reference", "extractor", "sha256")
"""Columns that say what a value rests on."""
TYPES = (pl.Int64, pl.String, pl.Int64, pl.String, pl.String)

SUFFIXES = (".csv", ".json", ".parquet")


def table(store: Store, generations: Collection[int] | None = None, *, measured: bool = False) -> pl.DataFrame:
    """The values of the latest study in a directory, one row a value; of all generations, or of the given ones.

    Columns: `run` (identity), `seed`, one column for each axis, `generation`, `metric`, `value`, `status` ("ok", or
    "diverged" from the generation on in which the parameters were not finite or no sample was; its values are nan).
    Runs, seeds, generations and metrics that the latest study no longer names are left out. Rows named
    ``<metric>.floor`` hold real data against real data at the same number of examples, once a run, at generation 0.

    With ``measured``, further columns say what each value rests on: `n` (samples that it compares; null where it compares
    none, or where that was not stored), `split` and `reference` (which real data, and how many examples of it), `extractor`
    and `sha256` (of its weights); null where there is none.

    Raises:
        ConfigError: Two metrics give values of one name, or a file is damaged.
    """
    study = store.study
    cells = {cell["id"]: i for i, cell in enumerate(study["cells"])}
    seeds = study["seeds"]
    wanted = set(range(seeds)) if isinstance(seeds, int) else set(seeds)
    rows: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    for name, lanes in store.lanes.items():
        shown = [(row, cells[run], seed) for row, (run, seed) in enumerate(lanes) if run in cells and seed in wanted]
        rows[name] = tuple(np.array(column, np.int64) for column in zip(*shown, strict=True)) if shown else ()
    names: dict[str, int] = {}
    givers: dict[str, str] = {}
    parts: list[tuple[np.ndarray, ...]] = []
    about = {index: provenance.described(study) for index, study in enumerate(store.studies)} if measured else {}
    origins: dict[tuple[int, str], int] = {}
    for segment, t, metric, key, values in store.values(generations):
        if metric not in study["metrics"] or t >= study["generations"] or not len(rows[segment.lanes]):
            continue
        if (giver := givers.setdefault(key, metric)) != metric:
            raise ConfigError(
                f"{store.path}: {giver} and {metric} both give {key!r}; run the study without one of them"
            )
        row, cell, seed = rows[segment.lanes]
        code = np.full(len(row), names.setdefault(key, len(names)))
        part = cell, seed, np.full(len(row), t), code, values[row]
        if measured:
            origin = np.full(len(row), origins.setdefault((segment.study, metric), len(origins)))
            numbers = None if key.endswith(".floor") else store.compared(segment, t, metric)
            part += origin, np.full(len(row), -1) if numbers is None else numbers[row]
        parts.append(part)
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [np.zeros(0)] * 7
    frame = pl.DataFrame(
        {
            "cell": columns[0].astype(np.int32),
            "seed": columns[1].astype(np.int64),
            "generation": columns[2].astype(np.int64),
            "metric": columns[3].astype(np.int32),
            "value": columns[4].astype(np.float64),
        }
        | ({"origin": columns[5].astype(np.int32), "compared": columns[6].astype(np.int64)} if measured else {})
    )
    frame = frame.unique(["cell", "seed", "generation", "metric"], keep="last", maintain_order=True)
    labels = _labels(study)
    metrics = pl.DataFrame({"metric": pl.Series(range(len(names)), dtype=pl.Int32), "name": list(names)}, strict=False)
    frame = frame.join(labels, on="cell", how="left", maintain_order="left")
    frame = frame.join(metrics.cast({"name": pl.String}), on="metric", how="left", maintain_order="left")
    further = []
    if measured:
        frame = frame.join(_measured(study, about, origins), on=["cell", "origin"], how="left", maintain_order="left")
        floor = pl.col("name").str.ends_with(".floor")
        n = pl.when(floor).then(pl.col("n")).when(pl.col("compared") > 0).then(pl.col("compared")).alias("n")
        further = [n, *MEASURED[1:]]
    status = pl.when(pl.col("value").is_nan()).then(pl.lit("diverged")).otherwise(pl.lit("ok"))
    return frame.sort("cell", "seed", "generation", maintain_order=True).select(
        "run",
        "seed",
        *study["axes"],
        "generation",
        pl.col("name").alias("metric"),
        "value",
        status.alias("status"),
        *further,
    )


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


def _measured(study: dict, about: dict[int, dict], origins: dict[tuple[int, str], int]) -> pl.DataFrame:
    """Cell number and where a value comes from (study that was the latest, metric) -> `MEASURED`."""
    rows = []
    for (index, metric), origin in origins.items():
        known = about[index].get(metric, {})
        for cell, labels in enumerate(study["cells"]):
            if (each := known.get(labels["id"])) is not None:
                rows.append((cell, origin, *(getattr(each, name) or None for name in MEASURED)))
    types = dict.fromkeys(("cell", "origin"), pl.Int32) | dict(zip(MEASURED, TYPES, strict=True))
    return pl.DataFrame(rows, schema=types, orient="row")


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
