"""Many runs of one cohort, generation by generation, as lanes of compiled programs.

A cohort is a set of runs that share every compiled program: they differ in seed, lane numbers and weights only. Nothing
here touches the disk; `execute` decides what is run and keeps what comes out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfconsume.lanes import fit_in_chunks, lane_numbers, programs
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.lanes.measurement import Measuring, reserve_rows
from selfconsume.lanes.records import Clock, Partial, Record, Values
from selfconsume.loop import generation_zero, pool
from selfconsume.loop.keys import Role, key_at
from selfconsume.loop.run import Run
from selfconsume.models.training.sufficient_statistics import Summarised
from selfconsume.types import FitState, Metric


@dataclasses.dataclass
class LaneBatch:
    """Lanes in lockstep: lane ``i`` is ``runs[i]`` with ``seeds[i]``, and all runs are of one cohort."""

    runs: Sequence[Run]
    seeds: Sequence[int]
    layout: DeviceLayout

    def __post_init__(self) -> None:
        programs.make_room()
        self.count = len(self.runs)
        self.run = self.runs[0]
        self.distinct = list(dict.fromkeys(self.runs))
        position = {run: i for i, run in enumerate(self.distinct)}
        self.which = np.array([position[run] for run in self.runs])
        self.static = programs.static(self.run)
        put = self.layout.put
        parts = ["source", "family", *(["curation"] if self.run.curation else [])]
        names = {part: list(lane_numbers.numbers(getattr(self.run, part))) for part in parts}
        self._seed = put(np.array(self.seeds, np.uint32))
        self._numbers = put(
            {
                part: {
                    name: self._each(lambda run, p=part, n=name: getattr(getattr(run, p), n)) for name in names[part]
                }
                for part in names
            }
        )
        curation = (lane_numbers.static(self.run.curation), self.static.source) if self.run.curation else ()
        self._sample = programs.emit(self.run.block, self.layout, *curation)
        self._keys: tuple[int, Any] | None = None
        self.real = self._real()
        self._reserve_rows: dict[str, Any] | None = None
        self._measuring = Measuring(self.runs, self.layout, self._lane, self._host_keys, self.real)
        self._real_used = self._plans = None

    def _real(self) -> dict[str, Any]:
        """The fixed real set, where every lane can read it: under "shared" or "lane"."""
        if self.run.source.fixed:
            data = jax.device_get(self.run.source.train(key_at(0, 0, Role.TRAIN)))
            return {"shared": {"real": self.layout.share(data)}, "lane": {}}
        rows = programs.train(self.static.source, self.layout)(self.count, {}, self._lane(0))
        return {"shared": {}, "lane": {"real": rows}}

    def _lane(self, t: int) -> dict[str, Any]:
        """What every program needs of a lane: its numbers, and its keys of generation ``t``."""
        if self._keys is None or self._keys[0] != t:
            keys = programs.keys(self.layout)(self.count, {"t": np.int32(t)}, {"seed": self._seed})
            self._keys = (t, keys)
        return {"numbers": self._numbers, "keys": self._keys[1]}

    def _fresh_data(self) -> dict[str, Any]:
        """What fresh real examples are taken from, where they are finitely many."""
        if self._reserve_rows is None:
            self._reserve_rows = reserve_rows(self.run.source, self.layout)
        return self._reserve_rows

    def _emit_data(self, t: int) -> dict[str, Any]:
        """What sampling shares; a curation may ask the source for fresh examples."""
        return {"t": np.int32(t), **(self._fresh_data() if self.run.curation else {})}

    def _host_keys(self, t: int, name: str) -> list[jax.Array]:
        """One key of every lane. From the compiled program: deriving them one by one takes longer than most metrics."""
        data = self.layout.fetch(getattr(self._lane(t)["keys"], name))
        return [jax.random.wrap_key_data(row) for row in data[: self.count]]

    def generations(
        self,
        metrics: Sequence[Metric],
        until: int,
        *,
        after: Sequence[Record] | None = None,
        first: FitState | None = None,
        partial: Partial | None = None,
        origin: FitState | None = None,
        tick: Callable[[float], None] = lambda share: None,
    ) -> Iterator[Record | Partial]:
        """Runs the loop and yields every generation up to ``until``, and unfinished fits in between.

        Args:
            metrics: What is measured.
            until: The last generation.
            after: The generations there are already, oldest first, as far as the regime looks back; their last one is
                continued.
            first: Generation 0's fit, where runs start from it.
            partial: A fit to continue in the next generation.
            origin: Generation 0's fit, where other runs have made it already.
            tick: Told the finished share of the current fit.
        """
        t, alive, fit, pooled = self._resume(after, until)
        first = self.layout.put(first) if first is not None else fit
        prepared_data = self.prepare(metrics)
        while t < until:
            t += 1
            clock = Clock()
            if t == 0 and self.run.initial != "fit":
                new = self._initial()
            elif t == 0 and origin is not None:
                new = self.layout.put(origin)
            else:
                fitting = self._fit(t, pooled, fit, first, partial if partial and partial.t == t else None, tick)
                while True:
                    try:
                        yield next(fitting)
                    except StopIteration as done:
                        new = done.value
                        break
            if t and self.run.extrapolation:
                new = self._extrapolated(new, fit.generator)
            clock.lap("fit", new)
            out, pooled = self._emit(t, new.generator, alive, pooled, until)
            alive = out.alive
            clock.lap("sample", out)
            previous = (fit or new).generator
            values, compared = self.measure(metrics, prepared_data, t, new.generator, previous, out.samples, out.valid)
            if t == 0:
                for name, floors in self.floors(metrics, prepared_data, new.generator).items():
                    values[name].update(floors)
            clock.lap("measure")
            fit, first = new, first if first is not None else new
            host = self.layout.fetch((out.alive, out.samples, out.valid, fit))
            host_alive, samples, valid, host_fit = jax.tree.map(lambda leaf: leaf[: self.count], host)
            for each in values.values():
                for name in each:
                    each[name] = np.where(host_alive, each[name], np.nan)
            clock.lap("fetch")
            yield Record(t, host_alive, samples, valid, host_fit, values, clock.seconds, compared)

    def resample(self, t: int, generator: Any) -> tuple[np.ndarray, np.ndarray]:
        """The samples of a stored generator, bit for bit those of its generation on the same layout."""
        alive = self.layout.put(np.ones(self.count, bool))
        lane = {**self._lane(t), "generator": self.layout.put(generator), "alive": alive}
        out = self._sample(self.count, self._emit_data(t), lane)
        return tuple(leaf[: self.count] for leaf in self.layout.fetch((out.samples, out.valid)))

    def prepare(self, metrics: Sequence[Metric]) -> list[dict[str, Any]]:
        """What each metric prepares from the real data, see `measuring`."""
        return self._measuring.prepare(metrics)

    def measure(
        self, metrics: Sequence[Metric], prepared_data: Sequence[Any], t: int, generator, previous, samples, valid
    ) -> tuple[dict[str, Values], Values]:
        """The values of every metric in one generation, and how many samples they compare, see `measuring`."""
        lane = {"generator": generator, "previous": previous, "samples": samples, "valid": valid}
        return self._measuring.measure(metrics, prepared_data, t, lane)

    def floors(self, metrics: Sequence[Metric], prepared_data: Sequence[Any], generator: Any) -> dict[str, Values]:
        """Real against real at the same number of examples, ``{metric_key(metric): {name + ".floor": (lanes,)}}``."""
        return self._measuring.floors(metrics, prepared_data, generator)

    def _resume(self, after: Sequence[Record] | None, until: int):
        slots = self.run.slots(after[-1].t + 1 if after else 0, until)
        pooled = self._empty(slots, self.run.summarised)
        if not after:
            return -1, self.layout.put(np.ones(self.count, bool)), None, pooled
        for record in after:
            if record.t + slots <= after[-1].t:
                continue
            block = self.layout.put({"samples": record.samples, "valid": record.valid})
            pooled = self._push(pooled, record.t, block["samples"], block["valid"])
        last = after[-1]
        return last.t, self.layout.put(last.alive), self.layout.put(last.fit), pooled

    def _empty(self, slots: int, summarised: bool) -> dict[str, Any]:
        """A pool of empty slots: rows, or summaries where they suffice."""
        run, lanes = self.run, self.layout.padded(self.count)
        sample = jax.eval_shape(lambda: run.source.train(jax.random.key(0)))
        if summarised:
            like = jax.eval_shape(
                lambda: run.family.summarise(
                    jnp.zeros((run.block, *sample.shape[1:]), sample.dtype), jnp.ones(run.block)
                )
            )
            blocks = jax.tree.map(lambda s: self.layout.zeros((lanes, slots, *s.shape), s.dtype), like)
            return {"blocks": blocks, "counts": self.layout.zeros((lanes, slots), np.int32)}
        shape = (lanes, slots, run.block, *sample.shape[1:])
        return {
            "blocks": self.layout.zeros(shape, sample.dtype),
            "valid": self.layout.zeros(shape[:3], bool),
        }

    def _each(self, f: Callable[[Run], Any]) -> Any:
        """``f`` of every lane's run, stacked; computed once for each distinct run."""
        results = [f(run) for run in self.distinct]
        return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves])[self.which], *results)

    def _fit(self, t, pooled, fit, first, partial, tick):
        """Fits generation ``t``; a generator that yields unfinished fits and returns the finished one."""
        run, plan = self.run, self.run.plan(t)
        summarised = run.summarised
        if t == 0:
            # Generation 0 has no pool, so that it is the same program, and the same bits, for every regime of a seed.
            summarised = isinstance(run.family, Summarised)
            pooled = self._empty(0, summarised)
        slots = jax.tree.leaves(pooled)[0].shape[1]
        fresh = run.regime.real(run.source.size) if plan.fresh else 0
        start = None if fit is None else {"cold": None, "warm": fit, "first": first}[run.start]
        lane = {
            **self._lane(t),
            **pooled,
            "plan": self._placed(t, slots),
            "start": start,
        }
        shared = {"t": np.int32(t), **self.real["shared"], **(self._fresh_data() if fresh else {})}
        if summarised and not fresh:
            lane["real"] = self._real_summary(self._each(lambda each: np.int32(each.plan(t).counts[0])))
            shared.pop("real", None)
        else:
            lane |= self.real["lane"]
        plans = [each.plan(t) for each in self.distinct]
        size = max(each.budget or sum(each.counts) for each in plans) if any(each.budget for each in plans) else None
        mixed = size is not None and not all(each.budget for each in plans)
        updates = run.family.updates_of(start is not None)
        if updates <= fit_in_chunks.CHUNK and not run.long_fits:
            return programs.fit(self.static, updates, fresh, size, mixed, self.layout)(self.count, shared, lane)
        state = programs.begin(self.static, fresh, size, mixed, self.layout)(self.count, shared, lane)
        done = 0
        if partial is not None:
            saved = self.layout.put(partial.fit)
            state = dataclasses.replace(saved, data=state.data)
            done = int(partial.fit.iteration[0])

        def advanced(state: FitState, some: int) -> FitState:
            # The number of updates of a dispatch that is measured in time is data: whatever it is, the program is the same.
            program = programs.advance(self.static, None if run.long_fits else some, self.layout)
            return program(
                self.count, {"updates": np.int32(some)} if run.long_fits else {}, {**self._lane(t), "fit": state}
            )

        for number, fitted in fit_in_chunks.dispatched(run, self.layout, updates, state, done, advanced):
            tick(number / updates)
            if number < updates:
                yield Partial(t, fitted.without_data())
        return fitted.without_data()

    def _placed(self, t: int, slots: int) -> pool.Placed:
        """The plans of all lanes, by slot; sent to the devices only where they differ from the last ones."""
        placed = self._each(lambda run: pool.place(run.plan(t), t, slots))
        if self._plans is None or not all(map(np.array_equal, self._plans[0], placed)):
            self._plans = placed, self.layout.put(placed)
        return self._plans[1]

    def _real_summary(self, use: np.ndarray) -> Any:
        """The summary of the real rows that each lane uses; the same until a plan uses another number of them."""
        if self._real_used is None or not np.array_equal(self._real_used[0], use):
            number = self.layout.put(use)
            program = programs.summary(self.static, self.layout)
            lane = {"numbers": self._numbers, **self.real["lane"], "use": number}
            self._real_used = (use, program(self.count, self.real["shared"], lane))
        return self._real_used[1]

    def _initial(self) -> FitState:
        return self.layout.put(
            self._each(
                lambda run: FitState(
                    generation_zero.initial_generator(run), None, np.int32(0), np.float32(np.nan), None
                )
            )
        )

    def _extrapolated(self, fit: FitState, previous: Any) -> FitState:
        weight = self.layout.put(self._each(lambda run: np.float32(run.extrapolation)))
        lane = {"fit": fit, "previous": previous, "extrapolation": weight}
        return programs.extrapolate(self.layout)(self.count, {}, lane)

    def _emit(self, t, generator, alive, pooled, until):
        lane = {**self._lane(t), "generator": generator, "alive": alive}
        out = self._sample(self.count, self._emit_data(t), lane)
        slots = self.run.slots(min(t + 1, until), until)  # nothing is trained on the last block
        if slots > jax.tree.leaves(pooled)[0].shape[1]:
            pooled = programs.grow(slots, self.layout)(pooled)
        return out, self._push(pooled, t, out.samples, out.valid)

    def _push(self, pooled, t, samples, valid):
        slots = jax.tree.leaves(pooled)[0].shape[1]
        new = {"blocks": samples, "valid": valid}
        if self.run.summarised:
            # A plan uses the first rows of a new block; the summary that stands for the block covers just these.
            use = self._each(lambda run: np.int32(next(iter(run.plan(t + 1).counts[1:]), 0)))
            lane = {"numbers": self._numbers, "samples": samples, "valid": valid, "use": self.layout.put(use)}
            block, number = programs.summarise(self.static, self.layout)(self.count, {}, lane)
            new = {"blocks": block, "counts": number}
        return programs.push(self.layout)(pooled, new, np.int32(t % slots))
