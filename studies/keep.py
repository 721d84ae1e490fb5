"""Keeps what a study gave beside its file: a table, the answer of its comparison, figures, versions and time.

    python studies/keep.py DIRECTORY studies/results/NAME

The directory is one of results; NAME is that of the study file. Only what was measured is written: docs/paper.md shows it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl
from PIL import Image

from selfconsume.api import load_results
from selfconsume.report import export_samples
from selfconsume.results import description

WIDTH = 1000
"""Pixels of the picture of samples, from left to right."""


def keep(directory: Path, out: Path) -> None:
    """Writes ``values.csv``, ``comparison.csv``, ``record.json``, a figure for the primary metric and one of samples."""
    results = load_results(directory)
    store, frame = results.store, results.table()
    out.mkdir(parents=True, exist_ok=True)
    frame.with_columns(pl.col(pl.Float64).round_sig_figs(6)).drop("run").write_csv(out / "values.csv")
    answer = results.compare()
    answer.table.drop("run").with_columns(pl.col(pl.Float64).round_sig_figs(4)).write_csv(out / "comparison.csv")
    results.plot(answer.primary, out / f"{answer.primary}.svg")
    export_samples.figure(store, picture := out / "samples.png")
    with Image.open(picture) as image:
        image.convert("RGB").resize((WIDTH, WIDTH * image.height // image.width)).save(out / "samples.jpg", quality=85)
    picture.unlink()
    machine = {name: value for name, value in store.study["machine"].items() if name != "host"}
    record = {
        "versions": store.study["versions"],
        "machine": machine,
        "seconds": {part: round(seconds, 1) for part, seconds in description.seconds(store).items()},
        "primary": answer.primary,
        "generation": answer.generation,
    }
    (out / "record.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    keep(Path(sys.argv[1]), Path(sys.argv[2]))
