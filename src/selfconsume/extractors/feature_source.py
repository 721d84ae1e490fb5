"""A source as metrics on features see it: an extractor's features in place of examples."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.core
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.types import Samples, Source


class FeatureSource(Source):
    """A source whose examples are an extractor's features of another source's examples.

    Args:
        source: The source of the examples.
        extract: Examples -> features.
    """

    def __init__(self, source: Source, extract: Callable[[Samples], Array]) -> None:
        self.source = source
        self._extract = extract
        self._features: dict[str, Array] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        dtype = jax.eval_shape(self.source.train, jax.random.key(0)).dtype
        like = jax.ShapeDtypeStruct((1, *self.source.shape), dtype)
        return jax.eval_shape(self._extract, like).shape[1:]

    @property
    def size(self) -> int:
        return self.source.size

    @property
    def reserve(self) -> int | None:
        return self.source.reserve

    @property
    def fixed(self) -> bool:
        return self.source.fixed

    @property
    def test_size(self) -> int:
        return self.source.test_size

    def fingerprint(self) -> str:
        return self.source.fingerprint()

    def train(self, key: PRNGKeyArray) -> Array:
        return self._features_of("train", lambda: self.source.train(key))

    def test(self, key: PRNGKeyArray) -> Array:
        return self._features_of("test", lambda: self.source.test(key))

    def draw(self, key: PRNGKeyArray, n: int, batch: Int[Array, ""] | int) -> Array:
        return self._extract(self.source.draw(key, n, batch))

    def labels(self, key: PRNGKeyArray) -> Array | None:
        return self.source.labels(key)

    def _features_of(self, split: str, load: Callable[[], Samples]) -> Array:
        """Features of a real set, cached for all metrics; under tracing they live as long as this object."""
        if split not in self._features:
            features = self._extract(load())
            if not isinstance(features, jax.core.Tracer) and not jnp.isfinite(features).all():
                raise ConfigError(
                    f"features: not finite for some real examples of the {split} set, so that no metric is defined; "
                    "mend the extractor"
                )
            self._features[split] = features
        return self._features[split]
