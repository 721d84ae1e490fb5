"""A run's real data as programs and metrics are given it: arrays in place of what is loaded, features in place of examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.sources import dataset_source
from selfconsume.types import Generator, Samples, Source


class BoundSource(Source):
    """A source whose data is handed to it. A compiled program then holds no data, only the arguments it is called with.

    Args:
        source: The source; what is not handed over is asked of it.
        train: The fixed real set of the run.
        reserve_rows: The rows that `Source.draw` takes from.
    """

    def __init__(self, source: Source, train: Samples | None = None, reserve_rows: Samples | None = None) -> None:
        self.source = source
        self._train, self._reserve_rows = train, reserve_rows

    def __getattr__(self, name: str) -> Any:
        # Fields such as the standard deviation of a mode.
        return getattr(self.source, name)

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
        """The run's fixed real set, whatever the key: a metric knows the key of its reference only."""
        return self.source.train(key) if self._train is None else self._train

    def test(self, key: PRNGKeyArray) -> Samples:
        return self.source.test(key)

    def draw(self, key: PRNGKeyArray, n: int, batch: Int[Array, ""] | int) -> Samples:
        if self._reserve_rows is None:
            return self.source.draw(key, n, batch)
        return dataset_source.batch_of(key, self._reserve_rows, n, batch)

    def truth(self) -> Generator | None:
        return self.source.truth()

    def labels(self, key: PRNGKeyArray) -> Array | None:
        return self.source.labels(key)

    def modes(self) -> Array | None:
        return self.source.modes()


class FeatureSource(BoundSource):
    """Real data as an extractor sees it: its examples are features.

    Args:
        source: The source of the examples.
        extract: Examples -> features.
    """

    def __init__(self, source: Source, extract: Callable[[Samples], Array]) -> None:
        super().__init__(source)
        self._extract = extract
        self._made: dict[str, Array] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        like = jax.ShapeDtypeStruct((1, *self.source.shape), jnp.float32)
        return jax.eval_shape(self._extract, like).shape[1:]

    def train(self, key: PRNGKeyArray) -> Array:
        return self._once("train", lambda: self.source.train(key))

    def test(self, key: PRNGKeyArray) -> Array:
        return self._once("test", lambda: self.source.test(key))

    def draw(self, key: PRNGKeyArray, n: int, batch: Int[Array, ""] | int) -> Array:
        return self._extract(self.source.draw(key, n, batch))

    def truth(self) -> None:
        return None

    def modes(self) -> None:
        return None

    def _once(self, role: str, load: Callable[[], Samples]) -> Array:
        """Features of a set that has no key, kept for all metrics; under tracing they live as long as this object."""
        if role not in self._made:
            made = self._extract(load())
            if not isinstance(made, jax.core.Tracer) and not jnp.isfinite(made).all():
                raise ConfigError(
                    f"features: not finite for some real examples of the {role} set; nothing can be compared with them, "
                    "mend the extractor"
                )
            self._made[role] = made
        return self._made[role]
