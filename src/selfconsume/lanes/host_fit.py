"""The fit of one generation outside JAX, lane after lane or several at a time."""

from __future__ import annotations

import collections.abc
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.lanes import generation_programs
from selfconsume.lanes.fit_inputs import FitInputs
from selfconsume.lanes.lane_inputs import LaneInputs
from selfconsume.lanes.lane_pool import LanePool
from selfconsume.lanes.records import PartialFit
from selfconsume.models.external import workers
from selfconsume.models.external.host_family import HostDensity, HostFamily, HostSamples, SavedModel
from selfconsume.models.external.lane_training import NOTHING, LaneResult, LaneTask
from selfconsume.types import FitState


class HostFit:
    """Fits and samples the models of all lanes, one generation at a time.

    Pool, plans and random subsets are those of compiled families. Models are kept as bytes, and only where later fits start
    from them: a resumed run then starts from the same bytes as an uninterrupted one.

    Attributes:
        held_out: Held-out examples of each lane, ``(lanes, m, *shape)``, whose log densities are computed with each fit; None
            where no metric asks for them.
    """

    def __init__(self, inputs: LaneInputs) -> None:
        self._inputs = inputs
        self._fit_inputs = FitInputs(inputs)
        self.held_out: np.ndarray | None = None

    def fit(
        self,
        t: int,
        lane_pool: LanePool,
        start: FitState | None,
        partial: PartialFit | None,
        on_progress: Callable[[float], None],
    ) -> collections.abc.Generator[PartialFit, None, FitState]:
        """Fits generation ``t`` and draws its samples; see `LaneFit.fit`. There are no partial fits.

        Raises:
            ConfigError: A fit failed, or its samples have a wrong shape or dtype.
        """
        del partial
        yield from ()
        inputs, layout = self._inputs, self._inputs.layout
        shape = self._fit_inputs.data_shape(t)
        shared, lane = self._fit_inputs.arguments(t, lane_pool, shape, None)
        program = generation_programs.training_rows(inputs.static, shape, layout)
        x, weight = layout.fetch(program(inputs.count, shared, lane))
        keys = inputs.arrays(t)["keys"]
        fit_seeds, sample_seeds = (_seeds(layout.fetch(key)) for key in (keys.fit, keys.sample))
        models = [None] * inputs.count if start is None else _contents(layout.fetch(start.optimizer))
        tasks = {
            i: (cast(HostFamily, inputs.runs[i].family), self._task(i, x, weight, models, fit_seeds, sample_seeds))
            for i in range(inputs.count)
            # A collapsed lane has no training data left.
            if self._twin(t, i) == i and (weight[i] > 0).any()
        }
        results: dict[int, LaneResult] = {}
        try:
            for i, result in zip(tasks, workers.train_lanes(list(tasks.values())), strict=True):
                results[i] = result
                on_progress(len(results) / len(tasks))
        except ConfigError as error:
            seed = inputs.seeds[list(tasks)[len(results)]]
            raise ConfigError(f"{error} (generation {t}, seed {seed})") from error.__cause__
        twins = [self._twin(t, i) for i in range(inputs.count)]
        return layout.put(stacked([results[i] if i in results else self._empty(i, x, models) for i in twins]))

    def _twin(self, t: int, i: int) -> int:
        """The first lane with the same fit: generation 0 is the same for every regime of a seed."""
        inputs = self._inputs
        fits = [(run.generation_zero_inputs, seed) for run, seed in zip(inputs.runs, inputs.seeds, strict=True)]
        return fits.index(fits[i]) if t == 0 else i

    def _task(self, i: int, x, weight, models, fit_seeds: list[int], sample_seeds: list[int]) -> LaneTask:
        run = self._inputs.runs[i]
        keeps_model = run.start != "cold"
        return LaneTask(
            x[i],
            weight[i],
            models[i] or b"",
            fit_seeds[i],
            self._sample_count(i),
            sample_seeds[i],
            keeps_model,
            NOTHING if self.held_out is None else self.held_out[i],
        )

    def _sample_count(self, i: int) -> int:
        """Number of samples that a lane draws."""
        run = self._inputs.runs[i]
        return run.curation.candidates(run.block) if run.curation else run.block

    def _empty(self, i: int, x: np.ndarray, models: Sequence[bytes | None]) -> LaneResult:
        n = self._sample_count(i)
        densities = NOTHING if self.held_out is None else np.full(self.held_out.shape[1], np.nan, np.float32)
        return np.zeros((n, *x.shape[2:]), x.dtype), np.zeros(n, bool), models[i] or b"", densities


def _seeds(keys: np.ndarray) -> list[int]:
    """Seeds below 2^31, as foreign libraries take them, of raw keys ``(lanes, 2)``."""
    return [int(seed) for seed in keys[:, -1] & np.uint32(2**31 - 1)]


def _contents(model: SavedModel) -> list[bytes]:
    return [content[:size].tobytes() for content, size in zip(model.content, model.size, strict=True)]


def stacked(results: list[LaneResult]) -> Any:
    """The fits of all lanes, with models padded to the longest file."""
    samples, valid, models, densities = zip(*results, strict=True)
    sizes = np.array([len(model) for model in models], np.int32)
    content = np.zeros((len(models), sizes.max()), np.uint8)
    for row, model in zip(content, models, strict=True):
        row[: len(model)] = np.frombuffer(model, np.uint8)
    lanes = len(results)
    blocks: list[Any] = [np.stack(samples), np.stack(valid)]
    log_prob: Any = np.stack(densities)
    generator = HostDensity(blocks[0], blocks[1], log_prob) if log_prob.size else HostSamples(blocks[0], blocks[1])
    saved: Any = SavedModel(cast(Any, content), cast(Any, sizes))
    return FitState(
        generator, saved, cast(Any, np.ones(lanes, np.int32)), cast(Any, np.full(lanes, np.nan, np.float32)), None
    )
