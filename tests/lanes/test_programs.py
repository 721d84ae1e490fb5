import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest

from selfconsume.families.gaussian import Gaussian
from selfconsume.families.kde import Kde
from selfconsume.lanes import generation_programs, metric_programs, program_cache
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.loop import pool
from selfconsume.loop.generation import DataShape
from selfconsume.loop.run import Run
from selfconsume.regimes.accumulate import Accumulate
from selfconsume.regimes.fresh import Fresh
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.real_only import RealOnly
from selfconsume.regimes.replace import Replace
from selfconsume.regimes.subsample import Subsample
from selfconsume.regimes.window import Window
from selfconsume.sources.gaussian import Gaussian as Normal

N, SLOTS, UNTIL = 10, 4, 4
TRACES = []
REGIMES = {
    "real only": RealOnly(),
    "mix": Mix(0.5),
    "replace": Replace(),
    "accumulate": Accumulate(),
    "window": Window(size=2),
    "subsample": Subsample(budget=12),
    "fresh": Fresh(),
    "fresh, golden": Fresh(weight="golden"),
    "fresh, weighted": Fresh(weight=0.8),
}


@dataclasses.dataclass(frozen=True)
class Traced(Gaussian):
    """A Gaussian fitted to rows, which counts how often it is traced."""

    def begin(self, key, x, weight, start):
        TRACES.append(x.shape)
        return super().begin(key, x, weight, start)


def retrained(layout, regimes):
    """The loop by hand: every regime a lane of the same programs, which see plans as nothing but data."""
    runs = [Run(Normal(n=N), Traced(), regime) for regime in regimes]
    static = generation_programs.static_part(runs[0])
    assert all(generation_programs.static_part(run) == static for run in runs)
    fit = generation_programs.fit(static, 1, DataShape(N, N * (SLOTS + 1), mixed=True), layout)
    count = len(runs)
    source, family = {"mean": 0.0, "std": 1.0}, {"temperature": 1.0}
    numbers = jax.tree.map(lambda x: np.full(count, x, np.float32), {"source": source, "family": family})
    seed = layout.put(np.full(count, 3, np.uint32))

    def lane_at(t):
        keys = generation_programs.keys(layout)(count, {"t": np.int32(t)}, {"seed": seed})
        return {"numbers": layout.put(numbers), "keys": keys}

    real = generation_programs.train(static.source, layout)(count, {}, lane_at(0))
    blocks = pool.RowBlocks(
        layout.put(np.zeros((count, SLOTS, N, 1), np.float32)),
        layout.put(np.zeros((count, SLOTS, N), bool)),
    )
    alive = layout.put(np.ones(count, bool))
    generators = []
    for t in range(UNTIL + 1):
        plans = [pool.place(run.plan(t), t, SLOTS) for run in runs]
        placed = layout.put(jax.tree.map(lambda *leaves: np.stack(leaves), *plans))
        lane = {**lane_at(t), "real": real, "blocks": blocks, "plan": placed, "start": None}
        state = fit(count, {"t": np.int32(t)}, lane)
        if t == 0:
            TRACES.clear()
        out = generation_programs.sample_block(N, layout)(
            count, {}, {**lane_at(t), "generator": state.generator, "alive": alive}
        )
        new = pool.RowBlocks(out.samples, out.valid)
        blocks = generation_programs.push(layout)(blocks, new, np.int32(t % SLOTS))
        generators.append(jax.tree.map(lambda leaf: np.asarray(leaf)[:count], state.generator))
    return generators


@pytest.fixture(scope="module")
def nine(layout):
    generators = retrained(layout, list(REGIMES.values()))
    assert (
        TRACES == []
    )  # generation 0 has traced the one program there is; no regime and no later generation needs another
    return generators


@pytest.mark.parametrize("name", REGIMES)
def test_nine_regimes_in_one_trace_are_each_what_it_is_alone(layout, nine, name):
    """To the last bit beside other lanes; and to float tolerance in the programs that a study of it alone would compile."""
    place = list(REGIMES).index(name)
    if name in ("subsample", "fresh, golden"):
        for got, expected in zip(retrained(layout, [REGIMES[name]] * 9), nine, strict=True):
            jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[0], b[place]), got, expected)
    if name == "subsample":
        return  # which rows are drawn depends on the size that the program was compiled for
    batch = LaneBatch([Run(Normal(n=N), Gaussian(), REGIMES[name])] * 4, [3] * 4, layout)
    for record, generator in zip(batch.generations([], UNTIL), nine, strict=True):
        np.testing.assert_allclose(generator.mean[place], record.fit.generator.mean[0], atol=2e-5)
        np.testing.assert_allclose(generator.factor[place], record.fit.generator.factor[0], rtol=1e-4)


def test_the_nine_differ(nine):
    assert len(np.unique(nine[0].mean)) == 1  # generation 0 is the same for every regime of a seed
    assert len(np.unique(nine[-1].mean)) == len(REGIMES)


def test_what_is_data_is_not_in_the_program():
    """Lane numbers and regimes are taken out of what is compiled, and put back in a lane."""
    run = Run(Normal(n=N, mean=2.0), Kde(bandwidth=0.3, temperature=0.5), Subsample())
    differing = dataclasses.replace(run, source=Normal(n=N, std=3.0), family=Kde(bandwidth=0.4), regime=Replace())
    assert generation_programs.static_part(run) == generation_programs.static_part(differing)
    assert generation_programs.static_part(run) != generation_programs.static_part(
        dataclasses.replace(run, family=Kde(bandwidth="scott"))
    )
    assert generation_programs.static_part(run) != generation_programs.static_part(
        dataclasses.replace(run, source=Normal(n=N + 1))
    )
    numbers = {"source": {"mean": 2.0, "std": 1.0}, "family": {"bandwidth": 0.3, "temperature": 0.5}}
    full = generation_programs.fill_run(generation_programs.static_part(run), {"numbers": numbers})
    assert (full.source, full.family) == (run.source, run.family)
    assert hash(generation_programs.static_part(run)) == hash(generation_programs.static_part(differing))


def test_programs_are_built_once(layout):
    run = generation_programs.static_part(Run(Normal(n=N), Gaussian(), RealOnly()))
    assert generation_programs.real_statistics(run, layout) is generation_programs.real_statistics(
        dataclasses.replace(run), layout
    )
    assert generation_programs.sample_block(N, layout) is not generation_programs.sample_block(N + 1, layout)
    assert Run(Normal(n=N), Gaussian(), Mix(2.0)).block == 2 * N


def test_programs_are_forgotten_before_the_system_refuses_more(layout, monkeypatch):
    """A fake limit below what the process has mapped: everything built is let go; a generous one: nothing is."""
    program = generation_programs.keys(layout)
    program_cache.make_room()
    assert generation_programs.keys(layout) is program
    maps = Path("/proc/self/maps").read_bytes().count(b"\n")
    monkeypatch.setattr(Path, "read_text", lambda self: str(maps))
    program_cache.make_room()
    assert generation_programs.keys(layout) is not program
    modules = (generation_programs, metric_programs)
    cached = {id(value) for module in modules for value in vars(module).values() if hasattr(value, "cache_clear")}
    assert len(cached) == len(program_cache.BUILDERS)  # no builder with a cache of its own
