"""Examples of single lanes: read from a directory of results, or drawn again from the generator that was kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from selfconsume.results import format as fmt
from selfconsume.results.format import Lane
from selfconsume.results.store import Segment, Store
from selfconsume.study.study import Study


class Kept:
    """The first valid examples of single lanes, generation by generation, at most ``most`` of each."""

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
            for row, lane in rows[segment.lanes] if segment.kept != fmt.VALUES else ():
                self.places[lane].append((segment, row))
        self._real: dict[Any, np.ndarray] = {}

    def rows(self, lane: Lane, t: int) -> np.ndarray | str:
        """Examples of a generation, or a word for why there are none."""
        for segment, row in self.places[lane]:
            if segment.first <= t <= segment.last:
                with self.store.tensors(segment.file, segment.sha256) as tensors:
                    if not tensors.get_slice(fmt.alive(t))[row : row + 1][0]:
                        return "diverged"
                    if segment.kept != "generators":
                        samples, valid = (
                            tensors.get_slice(name(t))[row : row + 1][0] for name in (fmt.samples, fmt.valid)
                        )
                        return samples[valid][: self.most]
                return self._again(lane, t)
        return "not run yet"

    def real(self, lane: Lane) -> np.ndarray | None:
        """The real training data of a lane, if it can still be had."""
        run, seed = self.runs.get(lane[0]), lane[1]
        if run is None:
            return None
        from selfconsume.loop.keys import Role, key_at

        key = (run.source, None if run.source.fixed else seed)
        if key not in self._real:
            self._real[key] = np.asarray(run.source.train(key_at(seed, 0, Role.TRAIN)))
        return self._real[key][: self.most]

    def _again(self, lane: Lane, t: int) -> np.ndarray | str:
        """Examples that were not kept, drawn again from the stored generator."""
        if lane[0] not in self.runs:
            return "not kept"
        from selfconsume.execution import restore
        from selfconsume.lanes.lane_batch import LaneBatch
        from selfconsume.lanes.layout import DeviceLayout

        batch = LaneBatch([self.runs[lane[0]]], [lane[1]], DeviceLayout.default())
        record = restore.generation(self.store, batch, [lane], t, generators=False)
        return record.samples[0][record.valid[0]][: self.most]
