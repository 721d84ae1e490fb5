"""TensorBoard, by tensorboardX (extra `tensorboard`): a folder of event files for each cell and seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfconsume.trackers.tracker import LaneRecord, Tracker, library, plain


class TensorBoard(Tracker):
    """Writes event files to ``PLACE/CELL/seed N``.

    Args:
        folder: Where to write unless a place is given.
        place: A folder, or "".
    """

    def __init__(self, folder: Path, place: str = "") -> None:
        self._writer = library("tensorboardX", "tensorboard").SummaryWriter
        self._folder = Path(place).expanduser() if place else folder
        self._writers: dict[str, Any] = {}

    def on_record(self, record: LaneRecord) -> None:
        if record.lane not in self._writers:
            # A part of the identity, because cells of two studies may have one name.
            path = self._folder / f"{plain(record.name)} {record.cell[:6]}" / f"seed {record.seed}"
            self._writers[record.lane] = self._writer(str(path))
        for name, value in record.values.items():
            self._writers[record.lane].add_scalar(name, value, record.generation)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
