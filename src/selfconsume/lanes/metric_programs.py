"""Compiled programs of measurement: real samples, features, what metrics prepare, and their values.

Metrics are compiled one by one: a metric added later then gives the same bits as one that was present from the start.
"""

from __future__ import annotations

import functools

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from selfconsume import validity
from selfconsume.extractors.feature_source import FeatureSource
from selfconsume.lanes.generation_programs import fill_source, lane_keys, shared_or_own
from selfconsume.lanes.lane_program import lane_program
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.lanes.program_cache import Program, cache_program
from selfconsume.loop import coding, generation
from selfconsume.metrics.on_features import features_of
from selfconsume.types import Extractor, Generation, Metric, Representation, Source


class NamedValues(eqx.Module):
    """Named numbers as one array: a program with one output is cheaper to compile, to call and to fetch."""

    values: Float[Array, "*lanes names"]
    names: tuple[str, ...] = eqx.field(static=True)


@cache_program
def real_sample(source: Source, n: int, fresh: bool, layout: DeviceLayout) -> Program:
    """Keys -> real examples in place of a generator's samples, for noise floors (`generation.real_sample`)."""
    return lane_program(
        lambda shared, lane: generation.real_sample(fill_source(source, shared, lane), lane_keys(lane), n, fresh=fresh),
        layout,
    )


@cache_program
def decoded_sample(representation: Representation, layout: DeviceLayout) -> Program:
    """Examples -> the examples of their codes: the best samples that the representation allows."""

    def decode_lane(shared, lane):
        weights = shared["weights"]
        return coding.decode(representation, weights, coding.encode(representation, weights, lane["samples"]))

    return lane_program(decode_lane, layout)


@cache_program
def prepare(metric: Metric, extractor: Extractor | None, source: Source, layout: DeviceLayout) -> Program:
    """Keys and real data -> what the metric prepares from the real data."""

    def prepare_lane(shared, lane):
        lane_source = fill_source(source, shared, lane)
        if extractor is not None:
            lane_source = FeatureSource(lane_source, functools.partial(features_of, extractor, shared["weights"]))
        return metric.prepare(lane_keys(lane).reference, lane_source)

    return lane_program(prepare_lane, layout)


@cache_program
def features(extractor: Extractor, n: int, layout: DeviceLayout) -> Program:
    """Samples -> their features, under the same names; rows whose features are not finite are not valid."""

    def extract_lane(shared, lane):
        x = features_of(extractor, shared["weights"], lane["samples"][:n])
        finite = validity.finite(x)
        return {"samples": validity.zeroed(x, finite), "valid": lane["valid"][:n] & finite}

    return lane_program(extract_lane, layout)


@cache_program
def resample(n: int, layout: DeviceLayout) -> Program:
    """Samples or features and their masks -> the rows of a bootstrap resample, under the same names."""

    def resample_lane(shared, lane):
        return {name: lane[name][:n][shared["rows"]] for name in ("samples", "valid")}

    return lane_program(resample_lane, layout)


@cache_program
def measure(metric: Metric, n: int, layout: DeviceLayout) -> Program:
    """A generation -> the metric's values, as `NamedValues`."""

    def measure_lane(shared, lane):
        latest = Generation(shared["t"], lane["generator"], lane["previous"], lane["samples"][:n], lane["valid"][:n])
        prepared = shared_or_own("prepared", shared, lane)
        values = generation.measure(metric, lane_keys(lane).metric, latest, prepared)
        return NamedValues(jnp.array(list(values.values()), jnp.float32), tuple(values))

    return lane_program(measure_lane, layout)
