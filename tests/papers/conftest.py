"""Literature against the real loop: many runs as lanes, and means within so many standard errors of what is claimed."""

from __future__ import annotations

import numpy as np
import pytest

from selfconsume.lanes.cohorts import cohort_of
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.metrics.metric_key import metric_key
from selfconsume.metrics.parameters import Parameters

LANES = 20_000
"""In a batch, shared out among its runs: batches of equal size share their compiled programs."""
ERRORS = 4.5
"""Standard errors of the mean, estimated from the lanes, that a claim may be off: 7 in a million claims are, by chance."""


def mean_agrees(lanes, expected):
    """Whether the mean over the last axis is what is expected, within `ERRORS` standard errors."""
    lanes = np.asarray(lanes, np.float64)
    error = lanes.std(axis=-1) / np.sqrt(lanes.shape[-1])
    np.testing.assert_array_less(np.abs(lanes.mean(axis=-1) - expected), ERRORS * error + 1e-7)


@pytest.fixture(scope="session")
def agrees():
    return mean_agrees


@pytest.fixture(scope="session")
def records(layout):
    """Runs every run with the same seeds, as lanes of one batch, and yields the records; lanes lie run by run."""

    def record(runs, until, lanes=LANES, metrics=()):
        assert len({cohort_of(run) for run in runs}) == 1
        each = [run for run in runs for _ in range(lanes // len(runs))]
        return LaneBatch(each, list(range(lanes // len(runs))) * len(runs), layout).generations(metrics, until)

    return record


@pytest.fixture(scope="session")
def curves(records):
    """The parameters of every run, ``{name: (runs, generations, lanes)}``."""

    def curve(runs, until, lanes=LANES):
        values = [record.values[metric_key(Parameters())] for record in records(runs, until, lanes, [Parameters()])]
        return {
            name: np.stack([value[name] for value in values]).reshape(until + 1, len(runs), -1).swapaxes(0, 1)
            for name in values[0]
        }

    return curve
