"""Samples of single lanes: read from a directory of results, or sampled again from the stored generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from selfconsume.results import data_units
from selfconsume.results import format as fmt
from selfconsume.results.format import Lane
from selfconsume.results.store import Segment, Store
from selfconsume.study.study import Study


class LaneSamples:
    """The first valid samples of single lanes by generation in the data's own units, at most ``limit`` of each."""

    def __init__(self, store: Store, study: Study | None, lanes: Sequence[Lane], limit: int) -> None:
        self.store = store
        self.limit = limit
        self.runs = {cell.id: cell.run for cell in study.cells} if study else {}
        selected = set(lanes)
        self.places: dict[Lane, list[tuple[Segment, int]]] = {lane: [] for lane in lanes}
        rows = {
            name: [(row, lane) for row, lane in enumerate(batch) if lane in selected]
            for name, batch in store.lanes.items()
        }
        for segment in reversed(store.segments):
            for row, lane in rows[segment.lanes] if segment.keep != fmt.VALUES else ():
                self.places[lane].append((segment, row))
        self._real: dict[Any, np.ndarray] = {}
        self._units = data_units.by_run(store)

    def rows(self, lane: Lane, t: int) -> np.ndarray | str:
        """Valid samples of a generation, ``(n, *shape)``; or the reason why there are none, in a few words."""
        for segment, row in self.places[lane]:
            if segment.first <= t <= segment.last:
                with self.store.tensors(segment.file, segment.sha256) as tensors:
                    if not tensors.get_slice(fmt.alive(t))[row : row + 1][0]:
                        return "diverged"
                    if segment.keep != "generators":
                        samples, valid = (
                            tensors.get_slice(name(t))[row : row + 1][0] for name in (fmt.samples, fmt.valid)
                        )
                        return self._in_data_units(lane, samples[valid][: self.limit])
                return self._sample_again(lane, t)
        return "not run yet"

    def real(self, lane: Lane) -> np.ndarray | None:
        """The real training data of a lane; None if it cannot be read."""
        run, seed = self.runs.get(lane[0]), lane[1]
        if run is None:
            return None
        from selfconsume.loop.keys import Role, key_at

        key = (run.source, None if run.source.fixed else seed)
        if key not in self._real:
            self._real[key] = np.asarray(run.source.train(key_at(seed, 0, Role.TRAIN)))
        return self._in_data_units(lane, self._real[key][: self.limit])

    def _sample_again(self, lane: Lane, t: int) -> np.ndarray | str:
        """Samples that were not stored, from the stored generator and the same key."""
        if lane[0] not in self.runs:
            return "not kept"
        from selfconsume.execution import restore
        from selfconsume.lanes.lane_batch import LaneBatch
        from selfconsume.lanes.layout import DeviceLayout

        batch = LaneBatch([self.runs[lane[0]]], [lane[1]], DeviceLayout.default())
        record = restore.generation(self.store, batch, [lane], t, generators=False)
        return self._in_data_units(lane, record.samples[0][record.valid[0]][: self.limit])

    def _in_data_units(self, lane: Lane, rows: np.ndarray) -> np.ndarray:
        return data_units.decode(rows, self._units.get(lane[0]))
