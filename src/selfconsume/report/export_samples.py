"""Examples out of a directory of results: of one generation as a picture, a folder of pictures or an array, or of all."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from selfconsume.errors import ConfigError
from selfconsume.plots import sample_panels
from selfconsume.plots.style import PALETTE, STYLE
from selfconsume.report import sample_strip
from selfconsume.report.stored_samples import Kept
from selfconsume.results import cell_labels
from selfconsume.results.format import Lane
from selfconsume.results.store import Store
from selfconsume.results.stored_study import readable

EVERY = 10**9
FIGURES = (".png", ".svg", ".pdf")
MOST_POINTS = 500
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
        out: What is written follows from the name. ``.npy``: all examples as they are, one array. ``.png``: a sheet of the
            first 100 images, as the report shows them, or the points over the real data. A name without a suffix: a
            folder, of one ``.png`` for each image, which must not exist or be empty.
        lane: Run and seed.
        generation: Which generation.

    Returns:
        What was written.

    Raises:
        ConfigError: The examples are not there and cannot be drawn again, they do not suit the name, or nothing can be written.
    """
    out = Path(out)
    study = readable(store)
    kept = Kept(store, study, [lane], EVERY)
    rows = kept.rows(lane, generation)
    if isinstance(rows, str):
        raise ConfigError(f"export: examples of generation {generation} of run {lane[0]}, seed {lane[1]}: {rows}")
    try:
        if out.suffix == ".npy":
            np.save(out, rows)
        elif out.suffix == ".png":
            _picture(out, rows, kept.real(lane), sample_strip.manner(study, rows.shape[1:]), f"generation {generation}")
        elif not out.suffix:
            _folder(out, rows, sample_strip.manner(study, rows.shape[1:])["image"])
        else:
            raise ConfigError(f"export: expected --out to end in .safetensors, .png, .npy or nothing, got {str(out)!r}")
    except OSError as error:
        raise ConfigError(f"export: cannot write {str(out)!r} ({error.strerror})") from None
    return out


def figure(store: Store, out: str | Path) -> Path:
    """Draws the first seed of every run (of many, an even selection) in rows, and generations in columns.

    Args:
        store: The directory of results.
        out: A name that ends in ``.png``, ``.svg`` or ``.pdf``.

    Returns:
        What was written.

    Raises:
        ConfigError: Another name, nothing to be drawn, or nothing can be written.
    """
    out = Path(out)
    check_path(out)
    study, cells, axes = readable(store), store.study["cells"], store.study["axes"]
    labels = [cell["labels"] for cell in cells]
    names = cell_labels.labels(labels, axes) if len(cells) > 1 else [""]
    chosen = cell_labels.selection(labels, axes, sample_strip.MOST_ROWS)
    lanes = sample_strip.first_lanes(store, [cells[i] for i in chosen])
    shown = {names[i]: lane for i, lane in zip(chosen, lanes, strict=True) if lane is not None}
    if not shown:
        raise ConfigError(f"{store.path}: holds no generation yet; run the study")
    kept = Kept(store, study, list(shown.values()), MOST_POINTS)
    progress = store.progress()
    generations = sample_strip.strip_of(max(progress[lane] for lane in shown.values()))
    found = {name: {t: kept.rows(lane, t) for t in generations} for name, lane in shown.items()}
    samples = {
        name: {t: rows for t, rows in each.items() if isinstance(rows, np.ndarray)} for name, each in found.items()
    }
    shapes = {rows.shape[1:] for each in samples.values() for rows in each.values()}
    if len(shapes) != 1:
        raise ConfigError(f"--figure {out}: expected examples of one shape, found {len(shapes)}; see the report")
    (shape,) = shapes
    real = {name: kept.real(lane) for name, lane in shown.items()}
    drawn = sample_panels.sample_grid(samples, shape, real=real, **sample_strip.manner(study, shape))
    try:
        drawn.savefig(out, dpi=DPI)
    except OSError as error:
        raise ConfigError(f"--figure {out}: cannot be written ({error.strerror})") from None
    return out


def check_path(path: Path) -> None:
    """Refuses a name that `figure` could not write, before anything is drawn.

    Raises:
        ConfigError: It ends in something else than ``.png``, ``.svg`` or ``.pdf``.
    """
    if path.suffix not in FIGURES:
        raise ConfigError(f"--figure {path}: expected a file ending in {', '.join(FIGURES)}")


def _picture(out: Path, rows: np.ndarray, real: np.ndarray | None, manner: dict[str, Any], title: str) -> None:
    side = min(SIDE, math.ceil(math.sqrt(len(rows))))
    look = sample_panels.view(rows if real is None else real, **manner, side=side)
    if isinstance(look, sample_panels.Images):
        sheet = look.sheet(rows)
        lines = math.ceil(min(len(rows), side**2) / side)
        sheet = sheet[: lines * (look.shape[0] + 1) + 1]
        # Whole pixels, magnified here: readers would blur them.
        factor = max(1, round(INCHES * DPI / sheet.shape[1]))
        pixels = (255 * sheet).round().astype(np.uint8).repeat(factor, axis=0).repeat(factor, axis=1)
        Image.fromarray(pixels).save(out, dpi=(DPI, DPI))
        return
    figure = Figure((INCHES, INCHES / look.aspect + 0.7), layout="constrained")
    FigureCanvasAgg(figure)
    with matplotlib.rc_context(STYLE):
        ax = figure.subplots()
        ax.set_title(title)
        look.draw(ax, rows, real, PALETTE[0])
        ax.set_xlabel(textwrap.fill(look.note if real is not None else "", 60), fontsize=7)
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
