"""The fit of one generation outside JAX, one lane after the other."""

from __future__ import annotations

import collections.abc
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.lanes import generation_programs
from selfconsume.lanes.fit_inputs import FitInputs
from selfconsume.lanes.lane_inputs import LaneInputs
from selfconsume.lanes.lane_pool import LanePool
from selfconsume.lanes.records import PartialFit
from selfconsume.models.external import host_family
from selfconsume.models.external.host_family import HostFamily, HostSamples, SavedModel
from selfconsume.types import FitState

LaneResult = tuple[np.ndarray, np.ndarray, bytes]
"""Samples of a lane's model, which of them are valid, and the model's file."""


class HostFit:
    """Fits and samples the models of all lanes, one generation at a time.

    Pool, plans and random subsets are those of compiled families. Models are kept as bytes, and only where later fits start
    from them: a resumed run then starts from the same bytes as an uninterrupted one.
    """

    def __init__(self, inputs: LaneInputs) -> None:
        self._inputs = inputs
        self._fit_inputs = FitInputs(inputs)

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
        results: list[LaneResult] = []
        # Generation 0 is the same for every regime of a seed.
        zero: dict[Any, LaneResult] = {}
        for i in range(inputs.count):
            key = (inputs.runs[i].generation_zero_inputs, inputs.seeds[i])
            result = zero.get(key) if t == 0 else None
            if result is None:
                try:
                    result = self._lane(i, x[i], weight[i], models[i], fit_seeds[i], sample_seeds[i])
                except ConfigError as error:
                    raise ConfigError(f"{error} (generation {t}, seed {inputs.seeds[i]})") from error.__cause__
            zero[key] = result
            results.append(result)
            on_progress((i + 1) / inputs.count)
        return layout.put(stacked(results))

    def _lane(
        self, i: int, x: np.ndarray, weight: np.ndarray, model: bytes | None, fit_seed: int, sample_seed: int
    ) -> LaneResult:
        run = self._inputs.runs[i]
        family = cast(HostFamily, run.family)
        n = run.curation.candidates(run.block) if run.curation else run.block
        if not (weight > 0).any():
            # A collapsed lane has no training data left.
            return np.zeros((n, *x.shape[1:]), x.dtype), np.zeros(n, bool), model or b""
        start = host_family.model_from_bytes(family, model) if model else None
        fitted = host_family.fit_rows(family, x, weight, start, fit_seed)
        samples, valid = host_family.draw_samples(family, fitted, n, sample_seed, x)
        return samples, valid, host_family.model_bytes(family, fitted) if run.start != "cold" else b""


def _seeds(keys: np.ndarray) -> list[int]:
    """Seeds below 2^31, as foreign libraries take them, of raw keys ``(lanes, 2)``."""
    return [int(seed) for seed in keys[:, -1] & np.uint32(2**31 - 1)]


def _contents(model: SavedModel) -> list[bytes]:
    return [content[:size].tobytes() for content, size in zip(model.content, model.size, strict=True)]


def stacked(results: list[LaneResult]) -> Any:
    """The fits of all lanes, with models padded to the longest file."""
    samples, valid, models = zip(*results, strict=True)
    sizes = np.array([len(model) for model in models], np.int32)
    content = np.zeros((len(models), sizes.max()), np.uint8)
    for row, model in zip(content, models, strict=True):
        row[: len(model)] = np.frombuffer(model, np.uint8)
    lanes = len(results)
    generator: Any = HostSamples(cast(Any, np.stack(samples)), cast(Any, np.stack(valid)))
    saved: Any = SavedModel(cast(Any, content), cast(Any, sizes))
    return FitState(
        generator, saved, cast(Any, np.ones(lanes, np.int32)), cast(Any, np.full(lanes, np.nan, np.float32)), None
    )
