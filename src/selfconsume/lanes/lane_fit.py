"""The fit of one generation for all lanes of a batch."""

from __future__ import annotations

import collections.abc
import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from selfconsume.lanes import fit_chunks, generation_programs
from selfconsume.lanes.lane_inputs import LaneInputs
from selfconsume.lanes.lane_pool import LanePool, empty_blocks
from selfconsume.lanes.records import PartialFit
from selfconsume.loop import generation_zero, pool
from selfconsume.loop.generation import DataShape
from selfconsume.models.training.sufficient_statistics import SufficientStatisticsFamily
from selfconsume.types import FitState, Generator


class LaneFit:
    """Fits the generators of all lanes, one generation at a time."""

    def __init__(self, inputs: LaneInputs) -> None:
        self._inputs = inputs
        # On the devices, and resent only where they differ from those of the last generation.
        self._plans: tuple[pool.SlotPlan, Any] | None = None
        self._real_statistics: tuple[np.ndarray, Any] | None = None

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
        shape = self._data_shape(t)
        shared, lane = self._arrays(t, lane_pool, shape, start)
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

    def _data_shape(self, t: int) -> DataShape:
        run, plans = self._inputs.run, [run.plan(t) for run in self._inputs.distinct]
        fresh = run.regime.real(run.source.size) if run.plan(t).fresh else 0
        if not any(plan.budget for plan in plans):
            return DataShape(fresh)
        subset = max(plan.budget or sum(plan.counts) for plan in plans)
        return DataShape(fresh, subset, mixed=not all(plan.budget for plan in plans))

    def _arrays(
        self, t: int, lane_pool: LanePool, shape: DataShape, start: FitState | None
    ) -> tuple[generation_programs.Arrays, generation_programs.Arrays]:
        """Arguments of `begin` and `fit`: what all lanes share, and each lane's own."""
        inputs, blocks = self._inputs, lane_pool.blocks
        if t == 0:
            # Generation 0 has no pool, so that it is the same program, and the same bits, for every regime of a seed.
            blocks = empty_blocks(inputs, 0, statistics=isinstance(inputs.run.family, SufficientStatisticsFamily))
        plan = self._slot_plan(t, jax.tree.leaves(blocks)[0].shape[1])
        shared = {"t": np.int32(t), **(inputs.reserve_rows() if shape.fresh else {})}
        lane = {**inputs.arrays(t), "blocks": blocks, "plan": plan, "start": start}
        if isinstance(blocks, pool.StatisticsBlocks) and not shape.fresh:
            counts = inputs.stack(lambda run: np.int32(run.plan(t).counts[0]))
            return shared, {**lane, "real": self._real_set_statistics(counts)}
        return {**shared, **inputs.real.shared}, {**lane, **inputs.real.lane}

    def _slot_plan(self, t: int, slots: int) -> pool.SlotPlan:
        """The plans of all lanes, on the devices."""
        plans = self._inputs.stack(lambda run: pool.place(run.plan(t), t, slots))
        if self._plans is None or not all(map(np.array_equal, self._plans[0], plans)):
            self._plans = plans, self._inputs.layout.put(plans)
        return self._plans[1]

    def _real_set_statistics(self, counts: np.ndarray) -> Any:
        """Sufficient statistics of the real rows that each lane uses."""
        if self._real_statistics is None or not np.array_equal(self._real_statistics[0], counts):
            inputs = self._inputs
            lane = {**inputs.numbers, **inputs.real.lane, "count": inputs.layout.put(counts)}
            program = generation_programs.real_statistics(inputs.static, inputs.layout)
            self._real_statistics = (counts, program(inputs.count, inputs.real.shared, lane))
        return self._real_statistics[1]
