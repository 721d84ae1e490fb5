"""Recorded generations in place of fits: the samples of all lanes, read from files."""

from __future__ import annotations

import collections.abc
from collections.abc import Callable
from typing import cast

from selfconsume.errors import ConfigError
from selfconsume.lanes.host_fit import stacked
from selfconsume.lanes.lane_inputs import LaneInputs
from selfconsume.lanes.lane_pool import LanePool
from selfconsume.lanes.records import PartialFit
from selfconsume.models.external.lane_training import NOTHING
from selfconsume.regimes.recorded import Recorded
from selfconsume.sources.files import sample_sets, samples
from selfconsume.types import FitState


class RecordedFit:
    """Reads the samples of all lanes, one generation at a time, where other families fit a model and draw them."""

    def __init__(self, inputs: LaneInputs) -> None:
        self._inputs = inputs

    def fit(
        self,
        t: int,
        lane_pool: LanePool,
        start: FitState | None,
        partial: PartialFit | None,
        on_progress: Callable[[float], None],
    ) -> collections.abc.Generator[PartialFit, None, FitState]:
        """The samples of generation ``t``; see `LaneFit.fit`. Nothing is fitted.

        Raises:
            ConfigError: A file is missing or unreadable, or holds examples of another shape.
        """
        del lane_pool, start, partial
        yield from ()
        results = []
        for i in range(self._inputs.count):
            examples, valid = samples.read(self._path(i, t), self._inputs.run.source, self._inputs.run.block)
            results.append((examples, valid, b"", NOTHING))
            on_progress((i + 1) / self._inputs.count)
        return self._inputs.layout.put(stacked(results))

    def _path(self, i: int, t: int) -> str:
        regime, seed = cast(Recorded, self._inputs.runs[i].regime), self._inputs.seeds[i]
        paths = sample_sets.locate(regime.path, regime.paths, regime.name).paths.get(seed, [])
        if t >= len(paths):
            raise ConfigError(
                f"run {regime.name!r}: generation {t} of seed {seed} is missing; add it, or evaluate fewer"
            )
        return paths[t]
