"""Metrics on features: an extractor in front of a metric that compares examples, neither of which knows of the other."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.types import Extractor, Family, Generation, Metric, Prepared, Samples, Source


@dataclasses.dataclass(frozen=True)
class Featured(Metric):
    """A metric that compares what an extractor makes of the examples.

    Its values are those of the metric, named ``<extractor>.<value>``. It is given a generation and a source whose examples
    are features already: they are computed once for all metrics on one extractor (`batch`).

    Attributes:
        metric: What is measured.
        features: On what.
    """

    metric: Metric
    features: Extractor

    accepts_features = True

    @property
    def runs_on(self) -> str:
        return self.metric.runs_on

    @property
    def has_noise_floor(self) -> bool:
        return self.metric.has_noise_floor

    @property
    def compares_with(self) -> str:
        return self.metric.compares_with

    @property
    def better(self) -> str | Mapping[str, str | None] | None:
        better = self.metric.better
        return {self.prefix + name: way for name, way in better.items()} if isinstance(better, Mapping) else better

    @property
    def prefix(self) -> str:
        """What the names of its values begin with."""
        return registry.kind_of("extractor", type(self.features)) + "."

    def compared(self, n: int, m: int) -> tuple[int, int]:
        return self.metric.compared(n, m)

    def better_of(self, name: str) -> str | None:
        return self.metric.better_of(name.removeprefix(self.prefix))

    def prepare(self, key: PRNGKeyArray, source: Source) -> Prepared:
        return self.metric.prepare(key, source)

    def __call__(self, key: PRNGKeyArray, generation: Generation, prepared: Prepared) -> Mapping[str, Float[Array, ""]]:
        return {self.prefix + name: value for name, value in self.metric(key, generation, prepared).items()}

    def check(self, source: Source, family: Family) -> None:
        self.features.check(source)
        name, seen = registry.kind_of("metric", type(self.metric)), registry.kind_of("extractor", type(self.features))
        if self.metric.needs_probabilities and not self.features.probabilities:
            raise ConfigError(
                f"metrics.{name}: expected class probabilities, {seen!r} gives other features; write "
                "features = { kind = 'classifier', output = 'scores' }"
            )
        if self.metric.compares_with == "train" and self.features.trained:
            raise ConfigError(
                f"metrics.{name}: {seen!r} is trained on the training set, which cannot be its reference; "
                "use against = 'test', or another extractor"
            )


def extractor_of(metric: Metric) -> Extractor | None:
    """What a metric is measured on; None: the examples themselves."""
    return metric.features if isinstance(metric, Featured) else None


def features_of(extractor: Extractor, weights: Any, x: Samples) -> Float[Array, "n d"]:
    """Features of any number of examples, `Extractor.batch_size` at a time; the last portion is filled up with zeros."""
    n, rows = x.shape[0], extractor.batch_size
    if n <= rows:
        return extractor(weights, x)
    portions = -(-n // rows)
    filled = jnp.pad(x, ((0, portions * rows - n), *[(0, 0)] * (x.ndim - 1)))
    parts = jax.lax.map(lambda part: extractor(weights, part), filled.reshape(portions, rows, *x.shape[1:]))
    return parts.reshape(portions * rows, -1)[:n]


@functools.lru_cache(maxsize=64)
def compiled(extractor: Extractor) -> Any:
    """`features_of` of one extractor, for data outside of lanes: weights and examples are arguments."""
    return jax.jit(functools.partial(features_of, extractor))
