"""Sources with a known distribution: unlimited real data, independent for every seed."""

from __future__ import annotations

import abc
import math
from typing import Annotated

import jax
from annotated_types import Ge, Gt
from jaxtyping import Array, Int, PRNGKeyArray

from selfconsume.files.memory import check_fits
from selfconsume.types import Generator, Number, Samples, Source


class DistributionSource(Source):
    """A source whose training, test and fresh data are samples of `truth()`; subclasses have fields `n` and `n_test`."""

    n: int
    n_test: int

    @abc.abstractmethod
    def truth(self) -> Generator:
        """The distribution itself."""

    @property
    def size(self) -> int:
        return self.n

    @property
    def test_size(self) -> int:
        return self.n_test

    @property
    def parameter_count(self) -> int:
        """Numbers that the distribution consists of, about; computed without making it."""
        return math.prod(self.shape)

    def check(self) -> None:
        row = max(math.prod(self.shape), getattr(self, "k", None) or 1)
        check_fits(
            4 * (3 * self.parameter_count + 2 * row * (self.n + self.n_test)),
            f"source: {self.n} + {self.n_test} examples of shape {self.shape} and their distribution",
            "lower the source's sizes",
        )

    def train(self, key: PRNGKeyArray) -> Samples:
        return self.truth().sample(key, self.n)

    def test(self, key: PRNGKeyArray) -> Samples:
        return self.truth().sample(key, self.n_test)

    def draw(self, key: PRNGKeyArray, n: int, batch: Int[Array, ""] | int) -> Samples:
        return self.truth().sample(jax.random.fold_in(key, batch), n)


Count = Annotated[int, Ge(1)]
Width = Annotated[float, Number, Gt(0)]
