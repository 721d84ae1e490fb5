"""Measurement of a batch of lanes: references prepared from real data, features, metric values and noise floors."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.extractors.feature_source import FeatureSource
from selfconsume.extractors.representation import extractor_for
from selfconsume.lanes import metric_programs
from selfconsume.lanes.bound_source import BoundSource
from selfconsume.lanes.generation_programs import Arrays
from selfconsume.lanes.lane_inputs import LaneInputs
from selfconsume.lanes.records import Values
from selfconsume.loop import generation
from selfconsume.loop.keys import Role, key_at
from selfconsume.metrics import DECODED, FLOOR
from selfconsume.metrics.metric_key import metric_key
from selfconsume.metrics.on_features import compiled
from selfconsume.types import Extractor, Generation, Metric, Source

Views = dict[Extractor | None, Arrays]
"""Lanes by extractor, with its features in place of samples; None: the samples themselves."""


def masked(values: Mapping[str, Values], alive: np.ndarray) -> dict[str, Values]:
    """Values with NaN in place of those of diverged lanes; noise floors need no model, and stay.

    Args:
        values: ``{metric_key: {name: (lanes,)}}``.
        alive: Mask of lanes that have not diverged.
    """
    return {
        metric: {
            name: value if name.endswith(FLOOR) else np.where(alive, value, np.nan) for name, value in named.items()
        }
        for metric, named in values.items()
    }


class Measurement:
    """Metrics, noise floors and features of all lanes of a batch.

    Attributes:
        inputs: Numbers, keys and real data of the lanes.
        sizes: Numbers of real examples, by split.
    """

    def __init__(self, inputs: LaneInputs) -> None:
        self.inputs = inputs
        self.sizes = real_sizes(inputs.run.source)
        self._weights: dict[Extractor, Any] = {}
        self._feature_sources: dict[Extractor, FeatureSource] = {}

    def prepare(self, metrics: Sequence[Metric]) -> list[dict[str, Any]]:
        """What each metric prepares from the real data: one for all lanes where the source is fixed.

        Each is a dictionary: under "host" a list over lanes, under "shared" or "lane" arguments of the metric's program.
        """
        return [self._prepare(metric) for metric in metrics]

    def held_out(self, metrics: Sequence[Metric], prepared_data: Sequence[Any]) -> np.ndarray | None:
        """The examples at which metrics evaluate the generator's density, ``(lanes, m, *shape)``; None where none does."""
        for metric, prepared in zip(metrics, prepared_data, strict=True):
            if metric.needs_density:
                if "lane" in prepared:
                    return self.inputs.layout.fetch(prepared["lane"]["prepared"]["test"])[: self.inputs.count]
                examples = self.inputs.layout.fetch(prepared["shared"]["prepared"]["test"])
                return np.broadcast_to(examples, (self.inputs.count, *examples.shape))
        return None

    def measure(
        self, metrics: Sequence[Metric], prepared_data: Sequence[Any], t: int, lane: Arrays
    ) -> tuple[dict[str, Values], Values]:
        """Values of all metrics in one generation, and the number of samples that they compare.

        The values are ``{metric_key: {name: (lanes,)}}``, the numbers ``{metric_key: (lanes,)}``. Features are computed once
        for all metrics on one extractor, and fetched once for all of them on the host.
        """
        views = self.views(metrics, lane)
        result = self.values(metrics, prepared_data, t, views)
        check_value_names(result)
        counts = {extractor: self._valid_counts(view) for extractor, view in views.items()}
        compared = {}
        for metric in metrics:
            distinct, index = counts[self._extractor(metric)]
            numbers = [generation.compared_counts(metric, n, self.sizes)[0] for n in distinct]
            compared[metric_key(metric)] = np.array(numbers, np.int32)[index]
        return result, compared

    def views(self, metrics: Sequence[Metric], lane: Arrays) -> Views:
        """The lanes, and by each extractor of the metrics, with features in place of samples."""
        extractors = {extractor for metric in metrics if (extractor := self._extractor(metric)) is not None}
        return {None: lane} | {extractor: {**lane, **self._features(extractor, lane)} for extractor in extractors}

    def values(
        self, metrics: Sequence[Metric], prepared_data: Sequence[Any], t: int, views: Views
    ) -> dict[str, Values]:
        """Values of all metrics in one generation, ``{metric_key: {name: (lanes,)}}``; see `measure`."""
        inputs, layout = self.inputs, self.inputs.layout
        host_views: Views = {}
        result: dict[str, Values] = {}
        for metric, prepared in zip(metrics, prepared_data, strict=True):
            extractor = self._extractor(metric)
            if metric.runs_on == "host":
                if extractor not in host_views:
                    host_views[extractor] = layout.fetch(views[extractor])
                result[metric_key(metric)] = self._measure_on_host(metric, prepared, t, host_views[extractor])
                continue
            program = metric_programs.measure(metric, inputs.run.sample_size, layout)
            named = program(
                inputs.count,
                {"t": np.int32(t), **prepared.get("shared", {})},
                {**inputs.arrays(t), **views[extractor], **prepared.get("lane", {})},
            )
            columns = layout.fetch(named.values)[: inputs.count].T
            result[metric_key(metric)] = dict(zip(named.names, columns, strict=True))
        return result

    def floors(self, metrics: Sequence[Metric], prepared_data: Sequence[Any], generator: Any) -> dict[str, Values]:
        """Noise floors: real against real at the sample size, ``{metric_key: {name + ".floor": (lanes,)}}``.

        With a representation also the decoded codes of the same real examples, ``name + ".decoded.floor"``: what samples
        could reach if the family were perfect.
        """
        inputs = self.inputs
        groups: dict[str, list[tuple[Metric, Any]]] = {}
        for metric, prepared in zip(metrics, prepared_data, strict=True):
            extractor = self._extractor(metric)
            trained = extractor is not None and extractor.trained
            split = generation.floor_set(
                inputs.run.source, inputs.run.sample_size, metric.compares_with, trained=trained
            )
            if metric.has_noise_floor and split is not None:
                groups.setdefault(split, []).append((metric, prepared))
        result: dict[str, Values] = {}
        valid = inputs.layout.put(np.ones((inputs.count, inputs.run.sample_size), bool))
        for split, group in groups.items():
            for suffix, samples in self._perfect_samples(split).items():
                lane = {"generator": generator, "previous": generator, "samples": samples, "valid": valid}
                values, _ = self.measure([metric for metric, _ in group], [prepared for _, prepared in group], 0, lane)
                for key, named in values.items():
                    result.setdefault(key, {}).update({f"{name}{suffix}": value for name, value in named.items()})
        return result

    def _valid_counts(self, lane: Arrays) -> tuple[list[int], np.ndarray]:
        """The distinct numbers of valid samples, nearly always one, and the index of each lane's."""
        valid = self.inputs.layout.fetch(lane["valid"])
        counts = valid[: self.inputs.count, : self.inputs.run.sample_size].sum(axis=1)
        distinct, index = np.unique(counts, return_inverse=True)
        return distinct.tolist(), index

    def _extractor(self, metric: Metric) -> Extractor | None:
        return extractor_for(metric, self.inputs.run.representation)

    def _perfect_samples(self, split: str) -> dict[str, Any]:
        """Real examples in place of every lane's samples, by the suffix of their floors' names."""
        inputs, real = self.inputs, self._real_sample(split)
        representation = inputs.run.representation
        if representation is None:
            return {FLOOR: real}
        program = metric_programs.decoded_sample(representation, inputs.layout)
        shared = {"weights": self._shared_weights(representation)}
        return {FLOOR: real, DECODED + FLOOR: program(inputs.count, shared, {"samples": real})}

    def _real_sample(self, split: str) -> Any:
        """Real examples in place of every lane's samples, from the set that `generation.floor_set` names."""
        inputs, source = self.inputs, self.inputs.run.source
        shared = dict(inputs.real.shared)
        if split == "fresh":
            shared |= inputs.reserve_rows()
        elif split == "test":
            shared["real"] = inputs.layout.share(source.test(key_at(0, 0, Role.TEST)))
        program = metric_programs.real_sample(
            inputs.static.source, inputs.run.sample_size, split == "fresh", inputs.layout
        )
        return program(inputs.count, shared, {**inputs.arrays(0), **inputs.real.lane})

    def _features(self, extractor: Extractor, lane: Arrays) -> Arrays:
        inputs = self.inputs
        program = metric_programs.features(extractor, inputs.run.sample_size, inputs.layout)
        samples = {name: lane[name] for name in ("samples", "valid")}
        return program(inputs.count, {"weights": self._shared_weights(extractor)}, samples)

    def _shared_weights(self, extractor: Extractor) -> Any:
        """The extractor's weights on every device: an argument of programs, never a constant in them."""
        if extractor not in self._weights:
            self._weights[extractor] = self.inputs.layout.share(extractor.weights(self.inputs.run.source))
        return self._weights[extractor]

    def _prepare(self, metric: Metric) -> dict[str, Any]:
        inputs, extractor = self.inputs, self._extractor(metric)
        if inputs.run.source.fixed:
            source: Source = inputs.run.source
            if extractor is not None:
                # One for all metrics on an extractor: it caches the features of the real sets.
                source = self._feature_sources.setdefault(extractor, self._feature_source(extractor, source))
            prepared = metric.prepare(key_at(0, 0, Role.REFERENCE), source)
            if metric.runs_on == "host":
                return {"host": [prepared] * inputs.count}
            return {"shared": {"prepared": inputs.layout.share(prepared)}}
        if metric.runs_on == "host":
            rows = inputs.layout.fetch(inputs.real.lane["real"])
            sources: list[Source] = [BoundSource(run.source, row) for run, row in zip(inputs.runs, rows, strict=False)]
            if extractor is not None:
                sources = [self._feature_source(extractor, source) for source in sources]
            keys = inputs.host_keys(0, "reference")
            return {"host": [metric.prepare(key, source) for key, source in zip(keys, sources, strict=True)]}
        shared = {} if extractor is None else {"weights": self._shared_weights(extractor)}
        program = metric_programs.prepare(metric, extractor, inputs.static.source, inputs.layout)
        prepared = program(inputs.count, shared, {**inputs.arrays(0), **inputs.real.lane})
        return {"lane": {"prepared": prepared}}

    def _feature_source(self, extractor: Extractor, source: Source) -> FeatureSource:
        weights = extractor.weights(self.inputs.run.source)
        return FeatureSource(source, functools.partial(compiled(extractor), weights))

    def _measure_on_host(self, metric: Metric, prepared: dict[str, Any], t: int, lanes: Arrays) -> Values:
        n = self.inputs.run.sample_size
        keys = self.inputs.host_keys(t, "metric")
        rows = []
        for i, key in enumerate(keys):
            lane = jax.tree.map(lambda leaf, i=i: leaf[i], lanes)
            latest: Any = (t, lane["generator"], lane["previous"], lane["samples"][:n], lane["valid"][:n])
            rows.append(generation.measure(metric, key, Generation(*latest), prepared["host"][i]))
        with np.errstate(over="ignore"):  # Beyond float32 is inf.
            return {name: np.array([float(row[name]) for row in rows], np.float32) for name in rows[0]}


def real_sizes(source: Source) -> dict[str, int]:
    """Numbers of real examples, by split."""
    return {"train": source.size, "test": source.test_size}


def check_value_names(names: Mapping[str, Iterable[str]]) -> None:
    """Refuses a value name that two metrics share, ``{metric_key: names}``: one table holds all values by name.

    Raises:
        ConfigError: Two metrics have values of the same name.
    """
    owners: dict[str, str] = {}
    for metric, value_names in names.items():
        for name in value_names:
            if name in owners:
                raise ConfigError(
                    f"metrics: {owners[name]} and {metric} both give a value called {name!r}; "
                    "name values after the kind of their metric"
                )
            owners[name] = metric
