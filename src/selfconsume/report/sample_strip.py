"""Samples of a study by generation, as small images for the report's slider and strip.

One seed of each cell is shown, the first that has been run. To keep a page small, at most `MAX_ROWS` cells and
`MAX_PANELS` panels are made: of more, an even selection.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from selfconsume.plots import sample_panels
from selfconsume.report.stored_samples import LaneSamples
from selfconsume.results.format import Lane, seeds_of
from selfconsume.results.store import Store
from selfconsume.results.stored_study import built
from selfconsume.study.study import Study

MAX_ROWS = 12
MAX_PANELS = 240
MAX_STEPS = 5
"""The strip shows generations 0, k, 2k, ..., last: at most this many steps."""
MAX_IMAGE_NUMBERS = 3_500_000
"""Numbers in the images of all panels together: it limits how many images a sheet shows, then how many panels there are."""


class Row(NamedTuple):
    """One cell: its label, the real data, and a panel for each generation: a data URI, or why there is none."""

    label: str
    seed: int
    real: str | None
    panels: dict[int, str]


class SampleStrip(NamedTuple):
    """All rows, the generations with panels, those of the strip, and notes for the reader."""

    rows: list[Row]
    generations: list[int]
    strip: list[int]
    notes: list[str]
    has_sheets: bool
    """Whether panels are sheets of images, whose pixels are to stay sharp."""
    aspect: float

    def frames(self) -> dict[str, Any]:
        """Panels of the slider that are not in the strip, for the page's script."""
        rows = [
            {t: panel for t, panel in row.panels.items() if t not in self.strip or panel[:5] != "data:"}
            for row in self.rows
        ]
        return {"generations": self.generations, "rows": rows}


def sample_strip(
    store: Store,
    study: Study | None,
    cells: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    colours: Mapping[str, str],
    limit: int,
) -> SampleStrip | None:
    """Panels of some cells by generation.

    Args:
        store: The results.
        study: The stored study, or None if it cannot be built here; then there is no real data, and samples that were not
            stored cannot be sampled again.
        cells: Some of the stored study's cells, at most `MAX_ROWS`.
        names: Their labels.
        colours: Run identity -> colour.
        limit: Examples in a scatter or histogram.

    Returns:
        The strip; None if no cell has samples.
    """
    progress = store.progress()
    lanes = [(name, lane) for name, lane in zip(names, first_lanes(store, cells), strict=True) if lane is not None]
    last = min(store.study["generations"] - 1, max((progress[lane] for _, lane in lanes), default=-1))
    if last < 0:
        return None
    samples = LaneSamples(store, study, [lane for _, lane in lanes], limit)
    starts = {lane: rows for _, lane in lanes if isinstance(rows := samples.rows(lane, 0), np.ndarray)}
    if not starts:
        return None
    lanes = [(name, lane) for name, lane in lanes if lane in starts]
    reals = {lane: samples.real(lane) for lane in starts}
    side, panels = _sheet([rows.shape[1:] for rows in starts.values()], len(lanes) * (last + 1))
    strip = strip_of(last)
    generations = _generations(last, strip, min(panels, MAX_PANELS) // len(lanes))
    views = _views([lane for _, lane in lanes], starts, reals, study, side)
    rows = []
    for name, lane in lanes:
        view, real = views[starts[lane].shape[1:]], reals[lane]
        colour = colours.get(lane[0], sample_panels.ALONE)
        images = {}
        for t in generations:
            points = starts[lane] if t == 0 else samples.rows(lane, t)
            images[t] = points if isinstance(points, str) else _uri(view.png(points, real, colour))
        rows.append(Row(name, lane[1], None if real is None else _uri(view.png(real)), images))
    notes = list(dict.fromkeys(view.note for view in views.values() if view.note))
    if any(real is None for real in reals.values()):
        reason = f" ({built(store)[1]})" if study is None else ""
        notes.append(f"The real data could not be read again here{reason}; generation 0 fixes the axes.")
    if len(generations) <= last:
        notes.append(f"{len(generations)} of {last + 1} generations are shown.")
    has_sheets = any(isinstance(view, sample_panels.Images) for view in views.values())
    return SampleStrip(rows, generations, strip, notes, has_sheets, min(view.aspect for view in views.values()))


def _generations(last: int, strip: Sequence[int], panels: int) -> list[int]:
    """Generations with panels: those of the strip, and evenly spaced ones up to so many panels a cell."""
    count = min(last + 1, max(len(strip), panels))
    if count == last + 1:
        return list(range(last + 1))
    spaced = np.linspace(0, last, max(1, count - len(strip) + 2)).round().astype(int).tolist()
    return sorted({*strip, *spaced})


def first_lanes(store: Store, cells: Sequence[Mapping[str, Any]]) -> list[Lane | None]:
    """The first seed of each cell that has been run; None where there is none."""
    progress = store.progress()
    seeds = seeds_of(store.study)
    return [next(((c["id"], s) for s in seeds if (c["id"], s) in progress), None) for c in cells]


def _views(
    lanes: Sequence[Lane],
    starts: Mapping[Lane, np.ndarray],
    reals: Mapping[Lane, np.ndarray | None],
    study: Study | None,
    side: int,
) -> dict[tuple[int, ...], sample_panels.SamplePlot]:
    """One view for each shape of examples, on axes that hold the real data of all cells."""
    base: dict[tuple[int, ...], dict[int, np.ndarray]] = {}
    for lane in lanes:
        real = reals[lane]
        rows = starts[lane] if real is None else real
        base.setdefault(starts[lane].shape[1:], {})[id(rows)] = rows
    return {
        shape: sample_panels.choose_plot(
            np.concatenate(list(rows.values())), **display_options(study, shape), side=side
        )
        for shape, rows in base.items()
    }


def display_options(study: Study | None, shape: tuple[int, ...]) -> dict[str, Any]:
    """Options of `sample_panels.choose_plot` that all sources of a study agree on.

    Args:
        study: The study; None if it cannot be built.
        shape: Shape of one example.
    """
    ink_shapes = {cell.run.source.ink_shape for cell in study.cells} if study else set()
    ink_shape = ink_shapes.pop() if len(ink_shapes) == 1 else None
    is_flat = ink_shape is not None and shape == (math.prod(ink_shape),)
    return {"image": ink_shape if is_flat else None, "ink": ink_shape is not None}


def _sheet(shapes: Sequence[tuple[int, ...]], panels: int) -> tuple[int, int]:
    """Images along the side of a sheet, 5 down to 3, and how many panels there is then room for."""
    size = max(math.prod(shape) for shape in shapes)
    if not any(len(shape) == 3 for shape in shapes):
        return 5, MAX_PANELS
    side = int(np.clip(math.isqrt(MAX_IMAGE_NUMBERS // (size * min(panels, MAX_PANELS))), 3, 5))
    return side, MAX_IMAGE_NUMBERS // (size * side**2)


def strip_of(last: int) -> list[int]:
    """Generations 0, k, 2k, ... and the last, few enough to stand beside each other."""
    step = max(1, -(-last // MAX_STEPS))
    return sorted({*range(0, last + 1, step), last})


def _uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
