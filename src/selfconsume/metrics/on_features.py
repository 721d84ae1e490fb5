"""Metrics on features: an extractor composed with a metric that compares vectors."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.models.training.row_batches import map_rows
from selfconsume.types import Extractor, Family, Generation, Metric, Samples, Source


@dataclasses.dataclass(frozen=True)
class Featured(Metric):
    """A metric on the features of an extractor instead of the examples.

    Its values are those of the metric, named ``<extractor>.<value>``. The generation and the source that it receives hold
    features in place of examples: they are computed once for all metrics on one extractor.

    Attributes:
        metric: The metric.
        features: The extractor.
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
        """Prefix of the names of its values."""
        return registry.kind_of("extractor", type(self.features)) + "."

    def compared(self, n: int, m: int) -> tuple[int, int]:
        return self.metric.compared(n, m)

    def prepare(self, key: PRNGKeyArray, source: Source) -> Any:
        return self.metric.prepare(key, source)

    def __call__(self, key: PRNGKeyArray, generation: Generation, prepared: Any) -> Mapping[str, Float[Array, ""]]:
        return {self.prefix + name: value for name, value in self.metric(key, generation, prepared).items()}

    def check(self, source: Source, family: Family) -> None:
        self.features.check(source)
        if not self.metric.needs_probabilities:
            self.metric.check(source, family)
        name, extractor = (
            registry.kind_of("metric", type(self.metric)),
            registry.kind_of("extractor", type(self.features)),
        )
        if self.metric.needs_probabilities and not self.features.probabilities:
            raise ConfigError(
                f"metrics.{name}: expected class probabilities, {extractor!r} gives other features; write "
                "features = { kind = 'classifier', output = 'scores' }"
            )
        if self.metric.compares_with == "train" and self.features.trained:
            raise ConfigError(
                f"metrics.{name}: {extractor!r} is trained on the training set, so it cannot be compared with it; "
                "use against = 'test', or another extractor"
            )


def extractor_of(metric: Metric) -> Extractor | None:
    """The extractor of a metric; None if it compares the examples themselves."""
    return metric.features if isinstance(metric, Featured) else None


def features_of(extractor: Extractor, weights: Any, x: Samples) -> Float[Array, "n d"]:
    """Features of any number of examples, `Extractor.batch_size` at a time."""
    return map_rows(functools.partial(extractor, weights), x, extractor.batch_size)


@functools.lru_cache(maxsize=64)
def compiled(extractor: Extractor) -> Any:
    """`features_of` of one extractor, for data outside of lanes: weights and examples are arguments."""
    return jax.jit(functools.partial(features_of, extractor))
