"""The fit of one generation for all lanes of a batch."""

from __future__ import annotations

import collections.abc
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from selfconsume.lanes import fit_chunks, generation_programs
from selfconsume.lanes.fit_inputs import FitInputs
from selfconsume.lanes.lane_inputs import LaneInputs
from selfconsume.lanes.lane_pool import LanePool
from selfconsume.lanes.records import PartialFit
from selfconsume.loop import generation_zero
from selfconsume.types import FitState, Generator


class LaneFit:
    """Fits the generators of all lanes, one generation at a time."""

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
        """Fits generation ``t``; yields partial fits of a long fit and returns the finished one.

        Args:
            t: The generation.
            lane_pool: The pool.
            start: States to start from, or None for a cold start.
            partial: A partial fit of this generation to continue.
            on_progress: Called with the finished share of a long fit after each of its chunks.
        """
        inputs, run = self._inputs, self._inputs.run
        shape = self._fit_inputs.data_shape(t)
        shared, lane = self._fit_inputs.arguments(t, lane_pool, shape, start)
        updates = run.family.updates_of(start is not None)
        if updates <= fit_chunks.CHUNK_UPDATES and not run.long_fits:
            program = generation_programs.fit(inputs.static, updates, shape, inputs.layout)
            return program(inputs.count, shared, lane)
        state = generation_programs.begin(inputs.static, shape, inputs.layout)(inputs.count, shared, lane)
        done = 0
        if partial is not None:
            state = dataclasses.replace(inputs.layout.put(partial.fit), data=state.data)
            done = int(partial.fit.iteration[0])

        def advance(state: FitState, size: int) -> FitState:
            # The size of a chunk measured in time is data, so that one program does chunks of any size.
            program = generation_programs.advance(inputs.static, None if run.long_fits else size, inputs.layout)
            shared = {"updates": np.int32(size)} if run.long_fits else {}
            return program(inputs.count, shared, {**inputs.arrays(t), "fit": state})

        fit = state
        for number, fit in fit_chunks.fit_in_chunks(run, inputs.layout, updates, state, done, advance):
            on_progress(number / updates)
            if number < updates:
                yield PartialFit(t, fit.without_data())
        return fit.without_data()

    def generation_zero(self) -> FitState:
        """Generation 0 where it is not a fit: the truth or a checkpoint."""
        iteration: Any = np.int32(0)
        loss: Any = np.float32(np.nan)
        return self._inputs.layout.put(
            self._inputs.stack(
                lambda run: FitState(generation_zero.initial_generator(run), None, iteration, loss, None)
            )
        )

    def extrapolate(self, fit: FitState, previous: Generator) -> FitState:
        """The fits, each extrapolated by its run's weight."""
        inputs = self._inputs
        weight = inputs.layout.put(inputs.stack(lambda run: np.float32(run.extrapolation)))
        lane = {"fit": fit, "previous": previous, "extrapolation": weight}
        return generation_programs.extrapolate(inputs.layout)(inputs.count, {}, lane)
