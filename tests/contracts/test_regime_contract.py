"""What holds for every regime: its plans are something that the pool can do."""

import math

import numpy as np
import pytest

from selfconsume import registry
from selfconsume.families.gaussian import Gaussian
from selfconsume.lanes.cohorts import cohort_of
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.loop import pool
from selfconsume.loop.run import Run
from selfconsume.sources.gaussian import Gaussian as Normal

SIZES = [(10, 10), (7, 25), (25, 7)]
HORIZON = range(1, 7)


@pytest.fixture(params=registry.kinds("regime"))
def regime(request, tiny):
    return tiny("regime", request.param)


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_plans_use_what_there_is(regime, n, m):
    """Counts lie within blocks, blocks within what is looked back at, and something is always trained on."""
    block = regime.block(n, m)
    assert isinstance(block, int) and block >= m  # metrics see m samples
    reach = math.inf if regime.lookback is None else regime.lookback
    assert reach >= 1
    for t in HORIZON:
        plan = regime.plan(t, n, m)
        assert plan == regime.plan(t, n, m)
        assert len(plan.counts) == len(plan.weight) <= 1 + min(t, reach)
        assert all(isinstance(count, int) for count in plan.counts)
        assert 0 <= plan.counts[0] <= (regime.real(n) if plan.fresh else n)
        assert all(0 <= count <= block for count in plan.counts[1:])
        assert all(math.isfinite(weight) and weight >= 0 for weight in plan.weight)
        assert sum(count * weight for count, weight in zip(plan.counts, plan.weight, strict=True)) > 0
        assert plan.budget is None or plan.budget >= 1
        placed = pool.place(plan, t, pool.capacity(t, regime.lookback))
        assert placed.counts.sum() == sum(plan.counts)


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_what_is_compiled_in_holds_for_all_generations(regime, n, m):
    """A cohort is formed by the plan of generation 1."""
    plans = [regime.plan(t, n, m) for t in HORIZON]
    assert len({plan.budget for plan in plans}) == 1
    assert len({plan.fresh for plan in plans}) == 1


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_a_whole_block_is_used_as_its_summary_was_made(regime, n, m):
    """Where `whole` is promised, the rows that generation g + 1 uses of block g are those that all later ones use."""
    if not regime.fixed_block_use:
        return
    for g in range(max(HORIZON)):
        first = [*regime.plan(g + 1, n, m).counts[1:], 0][0]
        for t in range(g + 2, max(HORIZON) + 1):
            ages = regime.plan(t, n, m).counts[1:]
            later = ages[t - 1 - g] if t - 1 - g < len(ages) else 0
            assert later in (0, first)


def test_it_runs(regime, layout):
    """Three generations of the real loop, from which every block that a plan names is there."""
    run = Run(Normal(n=10), Gaussian(), regime)
    regime.check(run.source, run.sample_size, 4)
    assert cohort_of(run) == cohort_of(Run(Normal(n=10, mean=1.0), Gaussian(temperature=0.5), regime))
    for record in LaneBatch([run] * 4, range(4), layout).generations([], 3):
        assert record.alive.all() and record.valid.all()
        assert record.samples.shape == (4, run.block, 1)
        assert np.isfinite(record.samples).all()
        assert len(np.unique(record.samples)) == record.samples.size
