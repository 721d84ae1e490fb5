"""What holds for every curation: it publishes as many samples as it is asked for, from what was drawn."""

import numpy as np
import pytest

from selfconsume import registry
from selfconsume.families.gaussian import Gaussian
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.loop import step
from selfconsume.loop.run import Run
from selfconsume.regimes.mix import Mix
from selfconsume.sources.eight_gaussians import EightGaussians


@pytest.fixture(params=registry.kinds("curation"))
def curation(request, tiny):
    return tiny("curation", request.param)


def test_it_runs_and_lanes_are_single_runs(curation, layout):
    """Three generations as lanes, equal to the map of a single run."""
    run = Run(EightGaussians(n=40), Gaussian(), Mix(1.0), curation=curation)
    records = list(LaneBatch([run] * 3, range(3), layout).generations([], 2))
    assert all(record.alive.all() for record in records)
    generations = step.retrain(run, seed=2)
    for record in records:
        single = next(generations)
        np.testing.assert_allclose(record.samples[2], single.samples, rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(record.valid[2], single.valid)
