"""Sources as compiled programs and metrics see them: with data as arguments, or with features in place of examples."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.core
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.sources import dataset_source
from selfconsume.types import Generator, Samples, Source


class BoundSource(Source):
    """A source with its data as arguments, so that a compiled program holds no data.

    Args:
        source: The source.
        train: The fixed real set of the run; None: the source's own.
        reserve_rows: The rows that fresh examples are drawn from; None: the source's own.
    """

    def __init__(self, source: Source, train: Samples | None = None, reserve_rows: Samples | None = None) -> None:
        self.source = source
        self._train, self._reserve_rows = train, reserve_rows

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape

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
    def one_hot(self) -> bool:
        return self.source.one_hot

    @property
    def standard_inputs(self) -> bool:
        return self.source.standard_inputs

    @property
    def test_size(self) -> int:
        return self.source.test_size

    def fingerprint(self) -> str:
        return self.source.fingerprint()

    def mode_std(self) -> float | None:
        return self.source.mode_std()

    def train(self, key: PRNGKeyArray) -> Samples:
        """The run's fixed real set, for any key: metrics have the key of their reference only."""
        return self.source.train(key) if self._train is None else self._train

    def test(self, key: PRNGKeyArray) -> Samples:
        return self.source.test(key)

    def draw(self, key: PRNGKeyArray, n: int, batch: Int[Array, ""] | int) -> Samples:
        if self._reserve_rows is None:
            return self.source.draw(key, n, batch)
        return dataset_source.reserve_batch(key, self._reserve_rows, n, batch)

    def truth(self) -> Generator | None:
        return self.source.truth()

    def labels(self, key: PRNGKeyArray) -> Array | None:
        return self.source.labels(key)

    def modes(self) -> Array | None:
        return self.source.modes()


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
        like = jax.ShapeDtypeStruct((1, *self.source.shape), jnp.float32)
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
