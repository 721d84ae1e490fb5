"""Measuring the lanes of a batch: what metrics prepare from the real data, features, values, and noise floors."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.lanes import programs
from selfconsume.lanes.bound_source import BoundSource, FeatureSource
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.lanes.records import Values
from selfconsume.loop import generation as loop
from selfconsume.loop.keys import Role, key_at
from selfconsume.loop.run import Run
from selfconsume.metrics.metric_key import metric_key
from selfconsume.metrics.on_features import compiled, extractor_of
from selfconsume.types import Extractor, Generation, Metric, Source

Lane = dict[str, Any]


@dataclasses.dataclass
class Measuring:
    """The measuring half of a batch.

    Attributes:
        runs: The run of each lane.
        layout: The devices.
        lane: Generation -> numbers and keys of every lane.
        host_keys: Generation and name of a key -> this key of each lane.
        real: The fixed real set, under "shared" or "lane".
    """

    runs: Sequence[Run]
    layout: DeviceLayout
    lane: Callable[[int], Lane]
    host_keys: Callable[[int, str], list[jax.Array]]
    real: dict[str, Lane]

    def __post_init__(self) -> None:
        self.count = len(self.runs)
        self.run = self.runs[0]
        self.source = programs.static(self.run).source
        self.sizes = real_sizes(self.run.source)
        self._weights: dict[Extractor, Any] = {}
        self._seen: dict[Extractor, FeatureSource] = {}

    def prepare(self, metrics: Sequence[Metric]) -> list[dict[str, Any]]:
        """What each metric prepares from the real data: one for all lanes where the source is fixed."""
        return [self._prepare(metric) for metric in metrics]

    def measure(
        self, metrics: Sequence[Metric], prepared_data: Sequence[Any], t: int, lane: Lane
    ) -> tuple[dict[str, Values], Values]:
        """Values of all metrics in one generation, and the number of samples that they compare.

        The values are ``{metric_key(metric): {name: (lanes,)}}``, the numbers ``{metric_key(metric): (lanes,)}``.

        Features are computed once for all metrics on one extractor, and brought to the host once for all that are there.
        """
        views: dict[Extractor | None, Lane] = {None: lane}
        fetched: dict[Extractor | None, Lane] = {}
        result = {}
        for metric, prepared in zip(metrics, prepared_data, strict=True):
            extractor = extractor_of(metric)
            if extractor not in views:
                views[extractor] = {**lane, **self._features(extractor, lane)}
            if metric.runs_on == "host":
                if extractor not in fetched:
                    fetched[extractor] = self.layout.fetch(views[extractor])
                result[metric_key(metric)] = self._on_host(metric, prepared, t, fetched[extractor])
                continue
            program = programs.measure(metric, self.run.sampled, self.layout)
            values = program(
                self.count,
                {"t": np.int32(t), **prepared.get("shared", {})},
                {**self.lane(t), **views[extractor], **prepared.get("lane", {})},
            )
            rows = self.layout.fetch(values.values)[: self.count]
            result[metric_key(metric)] = dict(zip(values.names, rows.T, strict=True))
        distinct(result)
        counts = {each: self._valid(view) for each, view in views.items()}
        numbers = {}
        for metric in metrics:
            valid, which = counts[extractor_of(metric)]
            numbers[metric_key(metric)] = np.array([compared(metric, n, self.sizes)[0] for n in valid], np.int32)[which]
        return result, numbers

    def _valid(self, lane: Lane) -> tuple[list[int], np.ndarray]:
        """The numbers of valid samples that there are, nearly always one, and which of them is each lane's."""
        counts = self.layout.fetch(lane["valid"])[: self.count, : self.run.sampled].sum(axis=1)
        found, which = np.unique(counts, return_inverse=True)
        return found.tolist(), which

    def floors(self, metrics: Sequence[Metric], prepared_data: Sequence[Any], generator: Any) -> dict[str, Values]:
        """Real against real at the same number of examples, ``{metric_key(metric): {name + ".floor": (lanes,)}}``."""
        groups: dict[str, list[tuple[Metric, Any]]] = {}
        for metric, prepared in zip(metrics, prepared_data, strict=True):
            extractor = extractor_of(metric)
            trained = extractor is not None and extractor.trained
            role = loop.floor_set(self.run.source, self.run.sampled, metric.compares_with, trained=trained)
            if metric.has_noise_floor and role is not None:
                groups.setdefault(role, []).append((metric, prepared))
        result = {}
        valid = self.layout.put(np.ones((self.count, self.run.sampled), bool))
        for role, chosen in groups.items():
            lane = {"generator": generator, "previous": generator, "samples": self._real_sample(role), "valid": valid}
            for metric, each in self.measure(*zip(*chosen, strict=True), 0, lane)[0].items():
                result[metric] = {f"{name}.floor": value for name, value in each.items()}
        return result

    def _real_sample(self, role: str) -> Any:
        """Real examples of every lane, see `loop.floor_set`."""
        shared, source = dict(self.real["shared"]), self.run.source
        if role == "fresh":
            shared |= reserve_rows(source, self.layout)
        elif role == "test":
            shared["real"] = self.layout.share(source.test(key_at(0, 0, Role.TEST)))
        program = programs.real_sample(self.source, self.run.sampled, role == "fresh", self.layout)
        return program(self.count, shared, {**self.lane(0), **self.real["lane"]})

    def _features(self, extractor: Extractor, lane: Lane) -> Lane:
        program = programs.features(extractor, self.run.sampled, self.layout)
        given = {name: lane[name] for name in ("samples", "valid")}
        return program(self.count, {"weights": self._shared_weights(extractor)}, given)

    def _shared_weights(self, extractor: Extractor) -> Any:
        """The extractor's weights on every device: an argument of programs, never a constant in them."""
        if extractor not in self._weights:
            self._weights[extractor] = self.layout.share(extractor.weights(self.run.source))
        return self._weights[extractor]

    def _prepare(self, metric: Metric) -> dict[str, Any]:
        extractor = extractor_of(metric)
        if self.run.source.fixed:
            source: Source = self.run.source
            if extractor is not None:
                # One view for all metrics on an extractor: it keeps the features of the test set.
                source = self._seen.setdefault(extractor, self._view(extractor, source))
            prepared = metric.prepare(key_at(0, 0, Role.REFERENCE), source)
            return {"host": [prepared] * self.count, "shared": {"prepared": self.layout.share(prepared)}}
        if metric.runs_on == "host":
            rows = self.layout.fetch(self.real["lane"]["real"])
            sources: list[Source] = [BoundSource(run.source, row) for run, row in zip(self.runs, rows, strict=False)]
            if extractor is not None:
                sources = [self._view(extractor, source) for source in sources]
            keys = self.host_keys(0, "reference")
            return {"host": [metric.prepare(key, source) for key, source in zip(keys, sources, strict=True)]}
        shared = {} if extractor is None else {"weights": self._shared_weights(extractor)}
        program = programs.prepare(metric, self.source, self.layout)
        return {"lane": {"prepared": program(self.count, shared, {**self.lane(0), **self.real["lane"]})}}

    def _view(self, extractor: Extractor, source: Source) -> FeatureSource:
        weights = extractor.weights(self.run.source)
        return FeatureSource(source, functools.partial(compiled(extractor), weights))

    def _on_host(self, metric: Metric, prepared: dict[str, Any], t: int, host: Lane) -> Values:
        n = self.run.sampled
        keys = self.host_keys(t, "metric")
        rows = []
        for i in range(self.count):
            own = jax.tree.map(lambda leaf, i=i: leaf[i], host)
            generation = Generation(t, own["generator"], own["previous"], own["samples"][:n], own["valid"][:n])
            rows.append(loop.measure(metric, keys[i], generation, prepared["host"][i]))
        with np.errstate(over="ignore"):  # Beyond float32 is inf.
            return {name: np.array([float(row[name]) for row in rows], np.float32) for name in rows[0]}


def compared(metric: Metric, n: int, sizes: Mapping[str, int]) -> tuple[int, int]:
    """How many of ``n`` valid samples, and of the real examples (`real_sizes`), a value of a metric compares."""
    return metric.compared(n, sum(sizes[part] for part in metric.compares_with.split(" and ") if part))


def real_sizes(source: Source) -> dict[str, int]:
    """How many real examples there are to compare with, by split."""
    return {"train": source.size, "test": jax.eval_shape(source.test, jax.random.key(0)).shape[0]}


def distinct(names: Mapping[str, Iterable[str]]) -> None:
    """Refuses value names that two metrics share, ``{metric_key(metric): names}``: one table holds all values by their name.

    Raises:
        ConfigError: There is such a name.
    """
    givers: dict[str, str] = {}
    for metric, each in names.items():
        for name in each:
            if name in givers:
                raise ConfigError(
                    f"metrics: {givers[name]} and {metric} both give a value called {name!r}; "
                    "name values after the kind of their metric"
                )
            givers[name] = metric


def reserve_rows(source: Source, layout: DeviceLayout) -> dict[str, Any]:
    """What a source draws fresh examples from, where all lanes can read it; nothing where it draws them from a law."""
    rows = source.reserve_rows()
    return {} if rows is None else {"reserve_rows": layout.share(rows)}
