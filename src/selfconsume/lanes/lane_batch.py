"""Many runs of one cohort, generation by generation, as lanes of compiled programs.

A cohort is a set of runs that share every compiled program: they differ in seed, lane numbers and weights only. Nothing
here touches the disk; `selfconsume.execution` decides what is computed and stores it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from selfconsume.lanes import bootstrap, generation_programs, lane_numbers, program_cache
from selfconsume.lanes.host_fit import HostFit
from selfconsume.lanes.lane_fit import LaneFit
from selfconsume.lanes.lane_inputs import LaneInputs
from selfconsume.lanes.lane_pool import LanePool
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.lanes.measurement import Measurement, masked
from selfconsume.lanes.recorded_fit import RecordedFit
from selfconsume.lanes.records import Clock, PartialFit, Record, Values
from selfconsume.loop.generation import SampleBlock, check_block
from selfconsume.loop.run import Run
from selfconsume.types import FitState, Metric


class LaneBatch:
    """Lanes in lockstep: lane ``i`` is ``runs[i]`` with ``seeds[i]``, and all runs are of one cohort.

    Attributes:
        inputs: Numbers, keys and real data of the lanes.
        measurement: The metrics of the lanes.
    """

    def __init__(self, runs: Sequence[Run], seeds: Sequence[int], layout: DeviceLayout) -> None:
        program_cache.make_room()
        self.inputs = LaneInputs(runs, seeds, layout)
        self.measurement = Measurement(self.inputs)
        self._fit = LaneFit(self.inputs)
        run = self.inputs.run
        self._host_fit = HostFit(self.inputs) if run.fits_on_host and not run.is_recorded else None
        fit = RecordedFit(self.inputs) if run.is_recorded else self._host_fit or self._fit
        self._train = fit.fit
        curation = (lane_numbers.static(run.curation), self.inputs.static.source) if run.curation else (None, None)
        self._sample_block = generation_programs.sample_block(run.block, layout, *curation, run.representation)

    @property
    def run(self) -> Run:
        """The first run: all have the same static part."""
        return self.inputs.run

    @property
    def layout(self) -> DeviceLayout:
        """The devices."""
        return self.inputs.layout

    @property
    def count(self) -> int:
        """Number of lanes."""
        return self.inputs.count

    def generations(
        self,
        metrics: Sequence[Metric],
        until: int,
        *,
        history: Sequence[Record] | None = None,
        first: FitState | None = None,
        partial: PartialFit | None = None,
        origin: FitState | None = None,
        on_progress: Callable[[float], None] = lambda share: None,
    ) -> Iterator[Record | PartialFit]:
        """Iterates the retraining map; yields every generation up to ``until``, and partial fits between them.

        Args:
            metrics: The metrics of every generation.
            until: The last generation.
            history: The preceding generations, oldest first, as far as the regime looks back; the last one is continued.
            first: Generation 0's fit, where runs start from it.
            partial: A partial fit of the next generation to continue.
            origin: Generation 0's fit, where other runs with the same one have computed it.
            on_progress: Called with the finished share of the current fit.
        """
        layout, run = self.layout, self.run
        t, alive, fit, lane_pool = self._resume(history, until)
        first = layout.put(first) if first is not None else fit
        prepared_data = self.prepare(metrics)
        if self._host_fit is not None:
            self._host_fit.held_out = self.measurement.held_out(metrics, prepared_data)
            # Densities of models outside JAX are not stored: where they are asked for, generation 0 is fitted for each run.
            origin = origin if self._host_fit.held_out is None else None
        while t < until:
            t += 1
            clock = Clock()
            if t == 0 and run.initial != "fit":
                new = self._fit.generation_zero()
            elif t == 0 and origin is not None:
                new = layout.put(origin)
            else:
                start = None if fit is None else {"cold": None, "warm": fit, "first": first}[run.start]
                checkpoint = partial if partial is not None and partial.t == t else None
                new = yield from self._train(t, lane_pool, start, checkpoint, on_progress)
            if fit is not None and run.extrapolation:
                new = self._fit.extrapolate(new, fit.generator)
            clock.lap("fit", new)
            block = self._sample(t, new.generator, alive)
            lane_pool.grow(run.slots(min(t + 1, until), until))  # no fit uses the last block
            lane_pool.push(t, block.samples, block.valid)
            alive = block.alive
            clock.lap("sample", block)
            previous = new if fit is None else fit
            values, compared = self.measure(
                metrics, prepared_data, t, new.generator, previous.generator, block.samples, block.valid
            )
            errors = self.errors(metrics, prepared_data, t, new.generator, block.samples, block.valid)
            if t == 0:
                for name, floors in self.floors(metrics, prepared_data, new.generator).items():
                    values[name].update(floors)
            clock.lap("measure")
            fit, first = new, new if first is None else first
            yield self._record(t, block, fit, values, compared, clock)._replace(errors=errors)

    def resample(self, t: int, generator: Any) -> tuple[np.ndarray, np.ndarray]:
        """The samples of a stored generator, bit for bit those of its generation on the same layout."""
        block = self._sample(t, self.layout.put(generator), self.layout.put(np.ones(self.count, bool)))
        samples, valid = self.layout.fetch((block.samples, block.valid))
        return samples[: self.count], valid[: self.count]

    def real_sets(self) -> np.ndarray:
        """The fixed real set of each lane, ``(lanes, n, *shape)``; ``(1, n, *shape)`` where all lanes share it."""
        real = self.inputs.real
        return np.asarray(real.shared["real"])[None] if real.shared else np.asarray(real.lane["real"])[: self.count]

    def prepare(self, metrics: Sequence[Metric]) -> list[dict[str, Any]]:
        """What each metric prepares from the real data, see `Measurement.prepare`."""
        return self.measurement.prepare(metrics)

    def measure(
        self, metrics: Sequence[Metric], prepared_data: Sequence[Any], t: int, generator, previous, samples, valid
    ) -> tuple[dict[str, Values], Values]:
        """Values of all metrics in one generation, and the number of samples that they compare: `Measurement.measure`."""
        lane = {"generator": generator, "previous": previous, "samples": samples, "valid": valid}
        return self.measurement.measure(metrics, prepared_data, t, lane)

    def errors(
        self, metrics: Sequence[Metric], prepared_data: Sequence[Any], t: int, generator: Any, samples: Any, valid: Any
    ) -> dict[str, Values]:
        """Bootstrap standard errors of all metrics where the run has resamples: `bootstrap.standard_errors`."""
        if not self.run.resamples:
            return {}
        lane = {"generator": generator, "previous": generator, "samples": samples, "valid": valid}
        return bootstrap.standard_errors(self.measurement, metrics, prepared_data, t, lane, self.run.resamples)

    def floors(self, metrics: Sequence[Metric], prepared_data: Sequence[Any], generator: Any) -> dict[str, Values]:
        """Noise floors of all metrics that have one, see `Measurement.floors`."""
        return self.measurement.floors(metrics, prepared_data, generator)

    def _resume(self, history: Sequence[Record] | None, until: int) -> tuple[int, jax.Array, FitState | None, LanePool]:
        """Generation, lanes alive, fit and pool after the given generations, or before generation 0."""
        put = self.layout.put
        slots = self.run.slots(history[-1].t + 1 if history else 0, until)
        lane_pool = LanePool(self.inputs, slots)
        if not history:
            return -1, put(np.ones(self.count, bool)), None, lane_pool
        last = history[-1]
        for record in history:
            if record.t + slots > last.t:
                block = put({"samples": record.samples, "valid": record.valid})
                lane_pool.push(record.t, block["samples"], block["valid"])
        return last.t, put(last.alive), put(last.fit), lane_pool

    def _sample(self, t: int, generator: Any, alive: jax.Array) -> SampleBlock:
        lane = {**self.inputs.arrays(t), "generator": generator, "alive": alive}
        # A curation may draw fresh real examples.
        fresh = self.inputs.reserve_rows() if self.run.curation else {}
        shared = {"t": np.int32(t), **self.inputs.representation, **fresh}
        block = self._sample_block(self.count, shared, lane)
        check_block(self.run, block, (len(block.alive),))
        return block

    def _record(
        self, t: int, block: SampleBlock, fit: FitState, values: dict[str, Values], compared: Values, clock: Clock
    ) -> Record:
        """The generation on the host; values of diverged lanes are NaN, but for noise floors."""
        arrays = self.layout.fetch((block.alive, block.samples, block.valid, fit))
        alive, samples, valid, host_fit = jax.tree.map(lambda leaf: leaf[: self.count], arrays)
        clock.lap("fetch")
        return Record(t, alive, samples, valid, host_fit, masked(values, alive), clock.seconds, compared)
