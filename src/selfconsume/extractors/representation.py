"""The run's representation as features, and the source as families and metrics see it through the representation."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from jaxtyping import Array, Float

from selfconsume.errors import ConfigError
from selfconsume.extractors.feature_source import FeatureSource
from selfconsume.metrics.on_features import compiled, extractor_of
from selfconsume.types import Extractor, Metric, Representation, Samples, Source


@dataclasses.dataclass(frozen=True)
class Codes(Extractor):
    """Codes of the run's own representation: what its family is fitted to.

    Distances in it see what the family models and nothing of what the representation leaves out; the same metric on the
    examples, or on another extractor, sees both. Values are comparable for runs of one representation.
    """

    trained = True

    @classmethod
    def tiny(cls) -> Codes:
        """The only configuration."""
        return cls()

    def weights(self, source: Source) -> Any:
        raise ConfigError(f"features: {UNDEFINED}")

    def __call__(self, weights: Any, x: Samples) -> Float[Array, "n d"]:
        raise ConfigError(f"features: {UNDEFINED}")

    def fingerprint(self, source: Source) -> str:
        raise ConfigError(f"features: {UNDEFINED}")


UNDEFINED = "'representation' stands for the representation of a run, and there is none; add a [representation] table"


def extractor_for(metric: Metric, representation: Representation | None) -> Extractor | None:
    """The extractor of a metric in a run: metrics of the generator, and on "representation", see codes.

    Raises:
        ConfigError: The metric is on the run's representation, and the run has none.
    """
    extractor = extractor_of(metric)
    if isinstance(extractor, Codes):
        if representation is None:
            raise ConfigError(f"metrics: {UNDEFINED}")
        return representation
    return representation if extractor is None and metric.evaluates_generator else extractor


def code_source(source: Source, representation: Representation | None) -> Source:
    """The source whose examples are what the family is fitted to: the codes, or the examples themselves."""
    if representation is None:
        return source
    return FeatureSource(source, functools.partial(compiled(representation), representation.weights(source)))
