"""Inputs of lane programs: the runs of a batch as arrays on devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from selfconsume.lanes import generation_programs, lane_numbers
from selfconsume.lanes.generation_programs import Arrays
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.loop.keys import Role, key_at
from selfconsume.loop.run import Run
from selfconsume.types import Source


class RealSet(NamedTuple):
    """The fixed real set under the name "real": shared by all lanes, or one for each lane. The other one is empty."""

    shared: Arrays
    lane: Arrays


class LaneInputs:
    """Lane ``i`` is ``runs[i]`` with ``seeds[i]``; all runs are of one cohort.

    Attributes:
        runs: The run of each lane.
        seeds: The seed of each lane.
        layout: The devices.
        count: Number of lanes.
        run: The first run: all have the same static part.
        static: The static part of the runs.
        distinct: The different runs among them.
        real: The fixed real set.
    """

    def __init__(self, runs: Sequence[Run], seeds: Sequence[int], layout: DeviceLayout) -> None:
        self.runs, self.seeds, self.layout = runs, seeds, layout
        self.count = len(runs)
        self.run = runs[0]
        self.static = generation_programs.static_part(self.run)
        self.distinct = list(dict.fromkeys(runs))
        position = {run: i for i, run in enumerate(self.distinct)}
        self._index = np.array([position[run] for run in runs])
        self._seeds = layout.put(np.array(seeds, np.uint32))
        self._numbers = layout.put({role: self._stack_numbers(role) for role in ("source", "family", "curation")})
        self._keys: tuple[int, Any] | None = None
        self._reserve_rows: Arrays | None = None
        self._representation: Arrays | None = None
        self.real = self._real_set()

    def stack(self, value: Callable[[Run], Any]) -> Any:
        """A value of every lane's run, stacked; computed once for each distinct run."""
        values = [value(run) for run in self.distinct]
        return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves])[self._index], *values)

    def arrays(self, t: int) -> Arrays:
        """Lane numbers and keys of generation ``t``, which nearly all programs need."""
        if self._keys is None or self._keys[0] != t:
            program = generation_programs.keys(self.layout)
            self._keys = (t, program(self.count, {"t": np.int32(t)}, {"seed": self._seeds}))
        return {**self.numbers, "keys": self._keys[1]}

    @property
    def numbers(self) -> Arrays:
        """Lane numbers, under the name "numbers"."""
        return {"numbers": self._numbers}

    def host_keys(self, t: int, name: str) -> list[jax.Array]:
        """One key of every lane. From the compiled program: deriving them one by one takes longer than most metrics."""
        data = self.layout.fetch(getattr(self.arrays(t)["keys"], name))
        return [jax.random.wrap_key_data(row) for row in data[: self.count]]

    def reserve_rows(self) -> Arrays:
        """The reserve of fresh real examples, as `reserve_rows`."""
        if self._reserve_rows is None:
            self._reserve_rows = reserve_rows(self.run.source, self.layout)
        return self._reserve_rows

    @property
    def representation(self) -> Arrays:
        """The weights of the representation, under the name "representation"; empty without one."""
        if self._representation is None:
            run = self.run
            weights = {"representation": run.representation.weights(run.source)} if run.representation else {}
            self._representation = self.layout.share(weights)
        return self._representation or {}

    def _stack_numbers(self, role: str) -> Arrays:
        recipe = getattr(self.run, role)
        names = lane_numbers.numbers(recipe) if recipe is not None else {}
        return {name: self.stack(lambda run, name=name: getattr(getattr(run, role), name)) for name in names}

    def _real_set(self) -> RealSet:
        if self.run.source.fixed:
            data = jax.device_get(self.run.source.train(key_at(0, 0, Role.TRAIN)))
            return RealSet({"real": self.layout.share(data)}, {})
        program = generation_programs.train(self.static.source, self.layout)
        return RealSet({}, {"real": program(self.count, {}, self.arrays(0))})


def reserve_rows(source: Source, layout: DeviceLayout) -> Arrays:
    """The rows that a finite source draws fresh examples from, on every device; empty for a source without such rows."""
    rows = source.reserve_rows()
    return {} if rows is None else {"reserve_rows": layout.share(rows)}
