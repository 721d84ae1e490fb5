"""Feeds trackers from the log of a directory of results: they see what is committed, and nothing else."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from selfconsume.errors import ConfigError
from selfconsume.results import cell_labels, stored_study
from selfconsume.results import format as fmt
from selfconsume.results.store import Segment, Store
from selfconsume.trackers.tracker import LaneRecord, Tracker, make

SECONDS = 5.0
"""Shortest time between two looks at the log; a look takes at most a tenth of the time."""


class Feed:
    """Passes the values that a directory commits to trackers.

    Args:
        out: The directory of results; need not exist yet.
        trackers: The trackers.
        replays: Whether what is stored already is passed too.
    """

    def __init__(self, out: str | Path, trackers: Sequence[Tracker], *, replays: bool = False) -> None:
        self._path, self._trackers = Path(out), trackers
        self._size, self._number, self._next = 0, 0, 0.0
        if trackers and not replays and (self._path / fmt.LOG).is_file():
            with contextlib.suppress(ConfigError):  # A damaged log is passed whole once it is repaired.
                store = Store(self._path)
                self._size, self._number = store.size, store.number

    def follow(self) -> None:
        """Looks at the log if it is time."""
        if self._trackers and time.monotonic() >= self._next:
            start = time.monotonic()
            self.update()
            self._next = time.monotonic() + max(SECONDS, 9 * (time.monotonic() - start))

    def update(self) -> None:
        """Passes on what was committed since the last look."""
        log = self._path / fmt.LOG
        if not self._trackers or not log.is_file() or log.stat().st_size == self._size:
            return
        store = Store(self._path)
        names = _names(store)
        for segment in store.segments:
            if segment.number > self._number:
                for record in _records(store, segment, names):
                    for tracker in self._trackers:
                        tracker.on_record(record)
        self._size, self._number = store.size, store.number


@contextlib.contextmanager
def following(
    out: str | Path, trackers: Sequence[str | Tracker], on_progress: Callable[[Any], None]
) -> Iterator[Callable[[Any], None]]:
    """A callback of progress that feeds trackers as well; at the end they are fed the rest and closed, also after an error."""
    made = [make(tracker, out) for tracker in trackers]
    feed = Feed(out, made)

    def callback(state: Any) -> None:
        on_progress(state)
        feed.follow()

    try:
        yield callback
    finally:
        try:
            feed.update()
        finally:
            for tracker in made:
                tracker.close()


def replay(out: str | Path, tracker: str | Tracker) -> None:
    """Passes everything that a directory of results holds to a tracker, and closes it."""
    made = make(tracker, out)
    try:
        Feed(out, [made], replays=True).update()
    finally:
        made.close()


def _names(store: Store) -> dict[str, tuple[str, dict[str, Any]]]:
    """Cell -> its name and labels, of all studies; later studies override earlier ones."""
    names: dict[str, tuple[str, dict[str, Any]]] = {}
    for study in store.studies:
        labels = [cell["labels"] for cell in study["cells"]]
        texts = cell_labels.labels(labels, study["axes"]) if len(labels) > 1 else [stored_study.regime_label(study)]
        names |= {cell["id"]: (text, cell["labels"]) for cell, text in zip(study["cells"], texts, strict=True)}
    return names


def _records(store: Store, segment: Segment, names: dict[str, tuple[str, dict[str, Any]]]) -> Iterator[LaneRecord]:
    """The records of a segment, generation by generation."""
    lanes = store.lanes[segment.lanes]
    with store.tensors(segment.file, segment.sha256) as tensors:
        stored = set(tensors.keys())
        for t in range(segment.first, segment.last + 1):
            columns = {
                name: tensors.get_tensor(key)
                for metric, values in segment.metrics.items()
                for name in values
                if (key := fmt.value(t, metric, name)) in stored
            }
            for row, (cell, seed) in enumerate(lanes):
                name, labels = names.get(cell, (cell, {}))
                values = {metric: float(column[row]) for metric, column in columns.items()}
                if values:
                    yield LaneRecord(store.directory, cell, name, labels, seed, t, values)
