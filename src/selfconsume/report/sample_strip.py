"""Samples of a study, generation by generation, as small images: what the report's slider and strip show.

One seed of each cell is shown, the first that has been run. To keep a page small, at most `MOST_ROWS` cells and
`MOST_PANELS` panels are made: of more, an even selection.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from selfconsume.plots import sample_panels
from selfconsume.report.stored_samples import Kept
from selfconsume.results.format import Lane, seeds_of
from selfconsume.results.store import Store
from selfconsume.results.stored_study import built
from selfconsume.study.study import Study

MOST_ROWS = 12
MOST_PANELS = 240
MOST_STEPS = 5
"""The strip shows generations 0, k, 2k, ..., last: at most this many steps."""
IMAGE_NUMBERS = 3_500_000
"""Numbers in the images of all panels together: it limits how many images a sheet shows, then how many panels there are."""


class Row(NamedTuple):
    """One cell: its label, the real data, and a panel for each generation, as data URIs or as a word that stands for it."""

    label: str
    seed: int
    real: str | None
    panels: dict[int, str]


class Film(NamedTuple):
    """All rows, the generations that have panels, those of the strip, and what a reader must know."""

    rows: list[Row]
    generations: list[int]
    strip: list[int]
    notes: list[str]
    sheets: bool
    """Whether panels are sheets of images, whose pixels are to stay sharp."""
    aspect: float

    def frames(self) -> dict[str, Any]:
        """What the slider shows beyond the strip, for the page's script."""
        rows = [
            {t: panel for t, panel in row.panels.items() if t not in self.strip or panel[:5] != "data:"}
            for row in self.rows
        ]
        return {"generations": self.generations, "rows": rows}


def shoot(
    store: Store,
    study: Study | None,
    cells: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    colours: Mapping[str, str],
    most: int,
) -> Film | None:
    """The film of some cells.

    Args:
        store: Where samples are.
        study: The study that they belong to, or None if it cannot be built here; then there is no real data, and samples that
            were not kept cannot be drawn again.
        cells: Some of the stored study's cells, at most `MOST_ROWS`.
        names: Their labels.
        colours: Run identity -> colour.
        most: Examples in a scatter or histogram.

    Returns:
        The film; None if there is nothing to be seen.
    """
    last = store.study["generations"] - 1
    progress = store.progress()
    shown = [(name, lane) for name, lane in zip(names, first_lanes(store, cells), strict=True) if lane is not None]
    last = min(last, max((progress[lane] for _, lane in shown), default=-1))
    if last < 0:
        return None
    reader = Kept(store, study, [lane for _, lane in shown], most)
    starts = {lane: reader.rows(lane, 0) for _, lane in shown}
    starts = {lane: rows for lane, rows in starts.items() if isinstance(rows, np.ndarray)}
    if not starts:
        return None
    shown = [(name, lane) for name, lane in shown if lane in starts]
    reals = {lane: reader.real(lane) for lane in starts}
    side, panels = _sheet([rows.shape[1:] for rows in starts.values()], len(shown) * (last + 1))
    strip = strip_of(last)
    count = min(last + 1, max(len(strip), min(panels, MOST_PANELS) // len(shown)))
    spaced = np.linspace(0, last, max(1, count - len(strip) + 2)).round().astype(int).tolist()
    generations = list(range(last + 1)) if count == last + 1 else sorted({*strip, *spaced})
    looks = _views(shown, starts, reals, study, side)
    rows = []
    for name, lane in shown:
        look, real, tone = looks[starts[lane].shape[1:]], reals[lane], colours.get(lane[0], sample_panels.ALONE)
        made = {}
        for t in generations:
            found = starts[lane] if t == 0 else reader.rows(lane, t)
            made[t] = _uri(look.png(found, real, tone)) if isinstance(found, np.ndarray) else found
        rows.append(Row(name, lane[1], None if real is None else _uri(look.png(real)), made))
    notes = list(dict.fromkeys(look.note for look in looks.values() if look.note))
    if any(real is None for real in reals.values()):
        why = f" ({built(store)[1]})" if study is None else ""
        notes.append(f"The real data could not be read again here{why}; generation 0 fixes the axes.")
    if len(generations) <= last:
        notes.append(f"{len(generations)} of {last + 1} generations are shown.")
    sheets = any(isinstance(look, sample_panels.Images) for look in looks.values())
    return Film(rows, generations, strip, notes, sheets, min(look.aspect for look in looks.values()))


def first_lanes(store: Store, cells: Sequence[Mapping[str, Any]]) -> list[Lane | None]:
    """The first seed of each cell that has been run; None where there is none."""
    progress = store.progress()
    seeds = seeds_of(store.study)
    return [next(((c["id"], s) for s in seeds if (c["id"], s) in progress), None) for c in cells]


def _views(
    shown: Sequence[tuple[str, Lane]],
    starts: Mapping[Lane, np.ndarray],
    reals: Mapping[Lane, np.ndarray | None],
    study: Study | None,
    side: int,
) -> dict[tuple[int, ...], sample_panels.View]:
    """One view for each shape of examples, on axes that hold the real data of all cells."""
    base: dict[tuple[int, ...], dict[int, np.ndarray]] = {}
    for _, lane in shown:
        rows = starts[lane] if reals[lane] is None else reals[lane]
        base.setdefault(starts[lane].shape[1:], {})[id(rows)] = rows
    return {
        shape: sample_panels.view(np.concatenate(list(rows.values())), **manner(study, shape), side=side)
        for shape, rows in base.items()
    }


def manner(study: Study | None, shape: tuple[int, ...]) -> dict[str, Any]:
    """How examples of a shape are shown, for `views.view`: scikit-learn's digits as ink on paper, also where they lie flat."""
    ink = study is not None and {type(cell.run.source).__name__ for cell in study.cells} == {"Digits"}
    return {"image": (8, 8) if ink and shape == (64,) else None, "ink": ink}


def _sheet(shapes: Sequence[tuple[int, ...]], panels: int) -> tuple[int, int]:
    """Images along the side of a sheet, 5 down to 3, and how many panels there is then room for."""
    size = max(math.prod(shape) for shape in shapes)
    if not any(len(shape) == 3 for shape in shapes):
        return 5, MOST_PANELS
    side = int(np.clip(math.isqrt(IMAGE_NUMBERS // (size * min(panels, MOST_PANELS))), 3, 5))
    return side, IMAGE_NUMBERS // (size * side**2)


def strip_of(last: int) -> list[int]:
    """Generations 0, k, 2k, ... and the last, few enough to stand beside each other."""
    step = max(1, -(-last // MOST_STEPS))
    return sorted({*range(0, last + 1, step), last})


def _uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
