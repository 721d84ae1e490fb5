"""What holds for every metric that compares samples with real data."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.lanes.lane_program import lane_program
from selfconsume.metrics.coverage.mode_coverage import ModeCoverage
from selfconsume.metrics.frechet import Frechet
from selfconsume.metrics.kernel import MMD, EnergyDistance
from selfconsume.metrics.moments import Moments
from selfconsume.metrics.neighbours import Neighbours
from selfconsume.metrics.transport import SlicedWasserstein, Wasserstein

METRICS = [
    Moments.tiny(),
    Frechet.tiny(),
    SlicedWasserstein.tiny(),
    Wasserstein.tiny(),
    EnergyDistance.tiny(),
    EnergyDistance(estimator="unbiased", block=16),
    MMD.tiny(),
    Neighbours.tiny(),
    ModeCoverage.tiny(),
]
LANE = [metric for metric in METRICS if metric.runs_on == "lane"]
random = np.random.default_rng(7)
REAL = random.normal(size=(45, 2)).astype(np.float32)
SOURCE = {"centres": np.array([[-1, 0], [1, 0]], np.float32), "std": 0.5}


def name(metric):
    return f"{type(metric).__name__}-{getattr(metric, 'estimator', '')}"


@pytest.mark.parametrize("metric", METRICS, ids=name)
def test_invalid_rows_do_not_count(measure, metric):
    """Zeroed rows with a mask give what the valid rows alone give."""
    x = random.normal(size=(40, 2)).astype(np.float32) + 0.5
    valid = np.arange(40) % 4 != 1
    values = measure(metric, REAL, np.where(valid[:, None], x, 0), valid, **SOURCE)
    alone = measure(metric, REAL, x[valid], **SOURCE)
    assert values == pytest.approx(alone, rel=1e-4, abs=1e-6)
    assert values != pytest.approx(measure(metric, REAL, np.where(valid[:, None], x, 0), **SOURCE), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("metric", METRICS, ids=name)
def test_no_valid_row_gives_nan(measure, metric):
    values = measure(metric, REAL, np.zeros((40, 2)), np.zeros(40, bool), **SOURCE)
    assert values
    assert all(math.isnan(value) for value in values.values())


@pytest.mark.parametrize("metric", METRICS, ids=name)
def test_duplicates_and_point_masses_give_numbers(measure, metric):
    for samples in (np.tile(REAL[:1], (40, 1)), np.repeat(REAL[:4], 10, axis=0), np.full((40, 2), 1e3)):
        values = measure(metric, REAL, samples, **SOURCE)
        assert all(math.isfinite(value) for value in values.values())
    both = measure(metric, np.full((45, 2), 0.1, np.float32), np.full((40, 2), 0.1), **SOURCE)
    assert all(math.isfinite(value) for value in both.values())


@pytest.mark.parametrize("metric", [m for m in LANE if hasattr(m, "block")], ids=name)
def test_the_block_size_changes_no_value(measure, metric):
    x = random.normal(size=(40, 2)).astype(np.float32)
    values = [measure(dataclasses.replace(metric, block=block), REAL, x, **SOURCE) for block in (1, metric.block)]
    assert values[0] == pytest.approx(values[1], rel=1e-5, abs=1e-6)


def test_uint8_images_are_measured_in_units_of_one(measure):
    real, fake = random.integers(0, 256, (2, 30, 2, 2, 1), dtype=np.uint8)
    for metric in (EnergyDistance.tiny(), Wasserstein.tiny()):
        scaled = measure(metric, real / np.float32(255), fake / np.float32(255))
        assert measure(metric, real, fake) == pytest.approx(scaled, rel=1e-5)


def test_lane_metrics_run_in_lanes_and_vectorised(measure, given, generation_of, layout):
    """Prepared in each lane of one lane program, and there called under vmap on two generations; equal to single calls."""
    xs = random.normal(size=(3, 2, 40, 2)).astype(np.float32)

    def one(shared, x):
        source, key = given(REAL, **SOURCE), jax.random.key(0)
        prepared_data = [metric.prepare(key, source) for metric in LANE]
        return jax.vmap(lambda x: [m(key, generation_of(x), r) for m, r in zip(LANE, prepared_data, strict=True)])(x)

    lanes = lane_program(one, layout)(3, jnp.zeros(()), layout.put(xs))
    for metric, values in zip(LANE, lanes, strict=True):
        alone = measure(metric, REAL, xs[2, 1], **SOURCE)
        assert {key: float(value[2, 1]) for key, value in values.items()} == pytest.approx(alone, rel=1e-4, abs=1e-6)
