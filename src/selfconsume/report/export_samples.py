"""Export of samples: one generation as a picture, a folder of images or an array; all generations as a figure."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from selfconsume.errors import ConfigError
from selfconsume.plots import sample_panels
from selfconsume.plots.style import PALETTE, canvas, rc
from selfconsume.report import sample_strip
from selfconsume.report.stored_samples import LaneSamples
from selfconsume.results import cell_labels, data_units
from selfconsume.results.format import Lane
from selfconsume.results.store import Store
from selfconsume.results.stored_study import readable

ALL = 10**9
FIGURES = (".png", ".svg", ".pdf")
TABLES = (".csv", ".parquet")
MAX_POINTS = 500
"""Examples in a panel of a figure."""
SIDE = 10
"""Images along the side of a sheet, at most."""
DPI = 300
"""Pixels of pictures, an inch: what journals ask for."""
INCHES = 3.4
"""Width of a picture: a column of text."""


def write(store: Store, out: str | Path, lane: Lane, generation: int) -> Path:
    """Writes the valid examples of one generation of one lane.

    Args:
        store: The directory of results.
        out: The suffix chooses the format. ``.npy``: all examples, one array. ``.csv``, ``.parquet``: a table of all examples
            with the columns and categories of the source's. ``.png``: a sheet of the
            first 100 images, as the report shows them, or the points over the real data. A name without a suffix: a
            folder, of one ``.png`` for each image, which must not exist or be empty.
        lane: Run and seed.
        generation: Which generation.

    Returns:
        The path written.

    Raises:
        ConfigError: The examples are not stored and cannot be sampled again, their shape does not suit the format, or the path
            cannot be written.
    """
    out = Path(out)
    study = readable(store)
    reader = LaneSamples(store, study, [lane], ALL)
    rows = reader.rows(lane, generation)
    if isinstance(rows, str):
        raise ConfigError(f"export: examples of generation {generation} of run {lane[0]}, seed {lane[1]}: {rows}")
    options = sample_strip.display_options(study, rows.shape[1:])
    try:
        if out.suffix == ".npy":
            np.save(out, rows)
        elif out.suffix in TABLES:
            frame = data_units.table(rows, data_units.columns_by_run(store).get(lane[0]))
            frame.write_csv(out) if out.suffix == ".csv" else frame.write_parquet(out)
        elif out.suffix == ".png":
            _picture(out, rows, reader.real(lane), options, f"generation {generation}")
        elif not out.suffix:
            _folder(out, rows, options["image"])
        else:
            raise ConfigError(
                f"export: expected --out to end in .safetensors, .png, .npy, .csv, .parquet or nothing, got {str(out)!r}"
            )
    except OSError as error:
        raise ConfigError(f"export: cannot write {str(out)!r} ({error.strerror})") from None
    return out


def figure(store: Store, out: str | Path) -> Path:
    """Draws the first seed of every run (of many, an even selection) in rows, and generations in columns.

    Args:
        store: The directory of results.
        out: A name that ends in ``.png``, ``.svg`` or ``.pdf``.

    Returns:
        The path written.

    Raises:
        ConfigError: Another suffix, no samples, or the path cannot be written.
    """
    out = Path(out)
    check_path(out)
    study, cells, axes = readable(store), store.study["cells"], store.study["axes"]
    labels = [cell["labels"] for cell in cells]
    names = cell_labels.labels(labels, axes) if len(cells) > 1 else [""]
    rows = cell_labels.selection(labels, axes, sample_strip.MAX_ROWS)
    first_lanes = sample_strip.first_lanes(store, [cells[i] for i in rows])
    lanes = {names[i]: lane for i, lane in zip(rows, first_lanes, strict=True) if lane is not None}
    if not lanes:
        raise ConfigError(f"{store.path}: holds no generation yet; run the study")
    reader = LaneSamples(store, study, list(lanes.values()), MAX_POINTS)
    progress = store.progress()
    generations = sample_strip.strip_of(max(progress[lane] for lane in lanes.values()))
    samples = {
        name: {t: points for t in generations if isinstance(points := reader.rows(lane, t), np.ndarray)}
        for name, lane in lanes.items()
    }
    shapes = {points.shape[1:] for panels in samples.values() for points in panels.values()}
    if len(shapes) != 1:
        raise ConfigError(f"--figure {out}: expected examples of one shape, got {len(shapes)}; see the report")
    (shape,) = shapes
    real = {name: reader.real(lane) for name, lane in lanes.items()}
    grid = sample_panels.sample_grid(samples, shape, real=real, **sample_strip.display_options(study, shape))
    try:
        grid.savefig(out, dpi=DPI)
    except OSError as error:
        raise ConfigError(f"--figure {out}: cannot be written ({error.strerror})") from None
    return out


def check_path(path: Path) -> None:
    """Refuses a name that `figure` cannot write, before the figure is drawn.

    Raises:
        ConfigError: It does not end in ``.png``, ``.svg`` or ``.pdf``.
    """
    if path.suffix not in FIGURES:
        raise ConfigError(f"--figure {path}: expected a file ending in {', '.join(FIGURES)}")


def _picture(out: Path, rows: np.ndarray, real: np.ndarray | None, options: dict[str, Any], title: str) -> None:
    side = min(SIDE, math.ceil(math.sqrt(len(rows))))
    view = sample_panels.choose_plot(rows if real is None else real, **options, side=side)
    if isinstance(view, sample_panels.Images):
        sheet = view.sheet(rows)
        lines = math.ceil(min(len(rows), side**2) / side)
        sheet = sheet[: lines * (view.shape[0] + 1) + 1]
        # Whole pixels, magnified here: readers would blur them.
        factor = max(1, round(INCHES * DPI / sheet.shape[1]))
        pixels = (255 * sheet).round().astype(np.uint8).repeat(factor, axis=0).repeat(factor, axis=1)
        Image.fromarray(pixels).save(out, dpi=(DPI, DPI))
        return
    figure = canvas((INCHES, INCHES / view.aspect + 0.7), layout="constrained")
    with rc():
        ax = figure.subplots()
        ax.set_title(title)
        view.draw(ax, rows, real, PALETTE[0])
        ax.set_xlabel(textwrap.fill(view.note if real is not None else "", 60), fontsize=7)
        figure.savefig(out, dpi=DPI)


def _folder(out: Path, rows: np.ndarray, flat: tuple[int, int] | None) -> None:
    if flat is not None:
        rows = (255 * np.clip(rows, 0.0, 1.0)).round().astype(np.uint8).reshape(-1, *flat, 1)
    if rows.ndim != 4 or rows.dtype != np.uint8:
        raise ConfigError(
            f"export: a folder is for images, the examples are {rows.dtype} of shape {rows.shape[1:]}; "
            "give a name that ends in .npy or .png"
        )
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"export: {out} holds other files; give a new folder")
    out.mkdir(parents=True, exist_ok=True)
    digits = len(str(len(rows) - 1))
    for i, image in enumerate(rows):
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(out / f"{i:0{digits}d}.png")
