"""One tidy table of everything that was measured."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import polars as pl

from selfconsume.store import Store
from selfconsume.types import Problem

SUFFIXES = (".csv", ".json", ".parquet")


def table(store: Store, generations: Collection[int] | None = None) -> pl.DataFrame:
    """The values of the latest study in a directory, one row a value; of all generations, or of the given ones.

    Columns: `run` (identity), `seed`, one column for each axis, `generation`, `metric`, `value`, `status` ("ok", or
    "diverged" from the generation on in which the parameters were not finite or no sample was; its values are nan).
    Runs, seeds, generations and metrics that the latest study no longer names are left out. Rows named
    ``<metric>.floor`` hold real data against real data at the same number of examples, once a run, at generation 0.
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
    parts: list[tuple[np.ndarray, ...]] = []
    for segment, t, metric, key, values in store.values(generations):
        if metric not in study["metrics"] or t >= study["generations"] or not len(rows[segment.lanes]):
            continue
        row, cell, seed = rows[segment.lanes]
        code = np.full(len(row), names.setdefault(key, len(names)))
        parts.append((cell, seed, np.full(len(row), t), code, values[row]))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [np.zeros(0)] * 5
    frame = pl.DataFrame(
        {
            "cell": columns[0].astype(np.int32),
            "seed": columns[1].astype(np.int64),
            "generation": columns[2].astype(np.int64),
            "metric": columns[3].astype(np.int32),
            "value": columns[4].astype(np.float64),
        }
    )
    frame = frame.unique(["cell", "seed", "generation", "metric"], keep="last", maintain_order=True)
    labels = _labels(study)
    metrics = pl.DataFrame({"metric": pl.Series(range(len(names)), dtype=pl.Int32), "name": list(names)}, strict=False)
    frame = frame.join(labels, on="cell", how="left", maintain_order="left")
    frame = frame.join(metrics.cast({"name": pl.String}), on="metric", how="left", maintain_order="left")
    status = pl.when(pl.col("value").is_nan()).then(pl.lit("diverged")).otherwise(pl.lit("ok"))
    return frame.sort("cell", "seed", "generation", maintain_order=True).select(
        "run",
        "seed",
        *study["axes"],
        "generation",
        pl.col("name").alias("metric"),
        "value",
        status.alias("status"),
    )


def check_path(path: str | Path) -> None:
    """Refuses a file that `save` could not write, before anything is computed.

    Raises:
        Problem: Another suffix than csv, json or parquet, or a folder that does not exist.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise Problem(f"--out {path}: expected a file ending in {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise Problem(f"--out {path}: there is no folder {path.parent}")


def save(frame: pl.DataFrame, path: str | Path) -> None:
    """Writes a table as csv, json or parquet, by the file's suffix.

    Raises:
        Problem: See `check_path`.
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
