"""Metrics on Inception features of 50,000 images: memory as the compiler plans it, nothing computed."""

import jax
import jax.numpy as jnp
import pytest

from selfconsume.metrics.coverage.nearest_real import NearestReal
from selfconsume.metrics.kernel import EnergyDistance
from selfconsume.metrics.neighbours import Neighbours

N, D = 50_000, 2048
GIGABYTE = 10**9
METRICS = [
    Neighbours(),
    *(pytest.param(each, marks=pytest.mark.slow) for each in (NearestReal(), EnergyDistance())),
]


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_what_is_held_beside_the_features_is_under_4_gigabytes(metric, given, generation_of):
    rows = jax.ShapeDtypeStruct((N, D), jnp.float32)

    def prepared(y):
        return metric.prepare(jax.random.key(0), given(y))

    def called(x, valid, data):
        return metric(jax.random.key(0), generation_of(x, valid), data)

    data = jax.eval_shape(prepared, rows)
    valid = jax.ShapeDtypeStruct((N,), bool)
    for program, given_to_it in ((prepared, (rows,)), (called, (rows, valid, data))):
        planned = jax.jit(program).lower(*given_to_it).compile().memory_analysis()
        # Two sets of features are 0.8 GB; all distances at once would be 10 GB.
        assert planned.temp_size_in_bytes + planned.output_size_in_bytes < 4 * GIGABYTE
