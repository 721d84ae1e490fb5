"""A source as compiled programs see it: with its data as arguments."""

from __future__ import annotations

from jaxtyping import Array, Int, PRNGKeyArray

from selfconsume.sources import dataset_source
from selfconsume.types import Generator, Samples, Source, Vocabulary


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
    def vocabulary(self) -> Vocabulary | None:
        return self.source.vocabulary

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
