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

from selfconsume import account, views
from selfconsume.store import Lane, Segment, Store
from selfconsume.study import Study
from selfconsume.types import Problem

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
    seeds = account.seeds_of(store.study)
    lanes = [next(((c["id"], s) for s in seeds if (c["id"], s) in progress), None) for c in cells]
    shown = [(name, lane) for name, lane in zip(names, lanes, strict=True) if lane is not None]
    last = min(last, max((progress[lane] for _, lane in shown), default=-1))
    if last < 0:
        return None
    reader = _Reader(store, study, [lane for _, lane in shown], most)
    starts = {lane: reader.rows(lane, 0) for _, lane in shown}
    starts = {lane: rows for lane, rows in starts.items() if isinstance(rows, np.ndarray)}
    if not starts:
        return None
    shown = [(name, lane) for name, lane in shown if lane in starts]
    reals = {lane: reader.real(lane) for lane in starts}
    side, panels = _sheet([rows.shape[1:] for rows in starts.values()], len(shown) * (last + 1))
    strip = _strip(last)
    count = min(last + 1, max(len(strip), min(panels, MOST_PANELS) // len(shown)))
    spaced = np.linspace(0, last, max(1, count - len(strip) + 2)).round().astype(int).tolist()
    generations = list(range(last + 1)) if count == last + 1 else sorted({*strip, *spaced})
    looks = _views(shown, starts, reals, study, side)
    rows = []
    for name, lane in shown:
        look, real, tone = looks[starts[lane].shape[1:]], reals[lane], colours.get(lane[0], views.ALONE)
        made = {}
        for t in generations:
            found = starts[lane] if t == 0 else reader.rows(lane, t)
            made[t] = _uri(look.png(found, real, tone)) if isinstance(found, np.ndarray) else found
        rows.append(Row(name, lane[1], None if real is None else _uri(look.png(real)), made))
    notes = list(dict.fromkeys(look.note for look in looks.values() if look.note))
    if any(real is None for real in reals.values()):
        notes.append("The real data could not be read again here; generation 0 fixes the axes.")
    if len(generations) <= last:
        notes.append(f"{len(generations)} of {last + 1} generations are shown.")
    sheets = any(isinstance(look, views.Images) for look in looks.values())
    return Film(rows, generations, strip, notes, sheets, min(look.aspect for look in looks.values()))


class _Reader:
    """Reads the first valid examples of single lanes."""

    def __init__(self, store: Store, study: Study | None, lanes: Sequence[Lane], most: int) -> None:
        self.store = store
        self.most = most
        self.runs = {cell.id: cell.run for cell in study.cells} if study else {}
        wanted = set(lanes)
        self.places: dict[Lane, list[tuple[Segment, int]]] = {lane: [] for lane in lanes}
        rows = {
            name: [(row, lane) for row, lane in enumerate(batch) if lane in wanted]
            for name, batch in store.lanes.items()
        }
        for segment in reversed(store.segments):
            for row, lane in rows[segment.lanes] if segment.kept != "values" else ():
                self.places[lane].append((segment, row))
        self._real: dict[Any, np.ndarray] = {}

    def rows(self, lane: Lane, t: int) -> np.ndarray | str:
        """Examples of a generation, or a word for why there are none."""
        for segment, row in self.places[lane]:
            if segment.first <= t <= segment.last:
                with self.store.tensors(segment.file, segment.sha256) as tensors:
                    if not tensors.get_slice(f"{t}/alive")[row : row + 1][0]:
                        return "diverged"
                    if segment.kept != "generators":
                        samples, valid = (tensors.get_slice(f"{t}/{n}")[row : row + 1][0] for n in ("samples", "valid"))
                        return samples[valid][: self.most]
                return self._again(lane, t)
        return "not run yet"

    def real(self, lane: Lane) -> np.ndarray | None:
        """The real training data of a lane, if it can still be had."""
        run, seed = self.runs.get(lane[0]), lane[1]
        if run is None:
            return None
        from selfconsume.keys import Role, key_at

        key = (run.source, None if run.source.fixed else seed)
        if key not in self._real:
            self._real[key] = np.asarray(run.source.train(key_at(seed, 0, Role.TRAIN)))
        return self._real[key][: self.most]

    def _again(self, lane: Lane, t: int) -> np.ndarray | str:
        """Examples that were not kept, drawn again from the stored generator."""
        if lane[0] not in self.runs:
            return "not kept"
        from selfconsume import history
        from selfconsume.batch import Batch
        from selfconsume.lanes import Layout

        batch = Batch([self.runs[lane[0]]], [lane[1]], Layout.default())
        record = history.generation(self.store, batch, [lane], t, generators=False)
        return record.samples[0][record.valid[0]][: self.most]


def readable(store: Store) -> Study | None:
    """The stored study as an object; None if a file that it needs has moved or a kind is not registered here."""
    from selfconsume import study_file
    from selfconsume.lanes import start_jax

    # Before anything computes: samples that were not kept are drawn again on the layout that a run would have.
    start_jax()
    try:
        return study_file.from_tables(store.study["tables"])
    except (Problem, OSError):
        return None


def _views(
    shown: Sequence[tuple[str, Lane]],
    starts: Mapping[Lane, np.ndarray],
    reals: Mapping[Lane, np.ndarray | None],
    study: Study | None,
    side: int,
) -> dict[tuple[int, ...], views.View]:
    """One view for each shape of examples, on axes that hold the real data of all cells."""
    base: dict[tuple[int, ...], dict[int, np.ndarray]] = {}
    for _, lane in shown:
        rows = starts[lane] if reals[lane] is None else reals[lane]
        base.setdefault(starts[lane].shape[1:], {})[id(rows)] = rows
    kinds = {type(cell.run.source).__name__ for cell in study.cells} if study else set()
    digits = kinds == {"Digits"}
    return {
        shape: views.view(
            np.concatenate(list(rows.values())),
            image=(8, 8) if digits and shape == (64,) else None,
            ink=digits,
            side=side,
        )
        for shape, rows in base.items()
    }


def _sheet(shapes: Sequence[tuple[int, ...]], panels: int) -> tuple[int, int]:
    """Images along the side of a sheet, 5 down to 3, and how many panels there is then room for."""
    size = max(math.prod(shape) for shape in shapes)
    if not any(len(shape) == 3 for shape in shapes):
        return 5, MOST_PANELS
    side = int(np.clip(math.isqrt(IMAGE_NUMBERS // (size * min(panels, MOST_PANELS))), 3, 5))
    return side, IMAGE_NUMBERS // (size * side**2)


def _strip(last: int) -> list[int]:
    step = max(1, -(-last // MOST_STEPS))
    return sorted({*range(0, last + 1, step), last})


def _uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
