"""Examples in the data's own units: inverts the standardisation by which a source was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from selfconsume.results.store import Store

Units = Mapping[str, Sequence[float]]
"""The stored form of `Source.units`: ``{"center": [...], "factor": [...]}``."""


def by_run(store: Store) -> dict[str, Units]:
    """The units of each run whose source standardised its data, by the run's identity; later studies override earlier ones."""
    cells: list[Mapping[str, Any]] = [cell for study in store.studies for cell in study["cells"]]
    return {cell["id"]: cell["measured"]["units"] for cell in cells if "units" in cell.get("measured", {})}


def decode(rows: np.ndarray, units: Units | None) -> np.ndarray:
    """Standardised rows ``(n, d)`` as float64 in the data's own units; unchanged where the source did not standardise."""
    if units is None:
        return rows
    return np.asarray(rows, np.float64) * np.asarray(units["factor"]) + np.asarray(units["center"])
