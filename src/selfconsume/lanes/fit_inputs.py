"""Arguments of the programs that train one generation: pool, plans and real data of all lanes."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from selfconsume.lanes import generation_programs
from selfconsume.lanes.lane_inputs import LaneInputs
from selfconsume.lanes.lane_pool import LanePool, empty_blocks
from selfconsume.loop import pool
from selfconsume.loop.generation import DataShape
from selfconsume.models.training.sufficient_statistics import SufficientStatisticsFamily
from selfconsume.types import FitState


class FitInputs:
    """Arguments of `generation_programs.begin`, `fit` and `training_rows`."""

    def __init__(self, inputs: LaneInputs) -> None:
        self._inputs = inputs
        # On the devices, and resent only where they differ from those of the last generation.
        self._plans: tuple[pool.SlotPlan, Any] | None = None
        self._real_statistics: tuple[np.ndarray, Any] | None = None

    def data_shape(self, t: int) -> DataShape:
        run, plans = self._inputs.run, [run.plan(t) for run in self._inputs.distinct]
        fresh = run.regime.real(run.source.size) if run.plan(t).fresh else 0
        if not any(plan.budget for plan in plans):
            return DataShape(fresh)
        subset = max(plan.budget or sum(plan.counts) for plan in plans)
        return DataShape(fresh, subset, mixed=not all(plan.budget for plan in plans))

    def arguments(
        self, t: int, lane_pool: LanePool, shape: DataShape, start: FitState | None
    ) -> tuple[generation_programs.Arrays, generation_programs.Arrays]:
        """Arguments of `begin` and `fit`: what all lanes share, and each lane's own."""
        inputs, blocks = self._inputs, lane_pool.blocks
        if t == 0:
            # Generation 0 has no pool, so that it is the same program, and the same bits, for every regime of a seed.
            blocks = empty_blocks(inputs, 0, statistics=isinstance(inputs.run.family, SufficientStatisticsFamily))
        plan = self._slot_plan(t, jax.tree.leaves(blocks)[0].shape[1])
        shared = {"t": np.int32(t), **inputs.representation, **(inputs.reserve_rows() if shape.fresh else {})}
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
            shared = {**inputs.real.shared, **inputs.representation}
            self._real_statistics = (counts, program(inputs.count, shared, lane))
        return self._real_statistics[1]
