"""The categorical family: relative frequencies."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import jax.numpy as jnp
from annotated_types import Gt
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.distributions.exact import CategoricalDistribution as CategoricalDistribution
from selfconsume.models.training.sufficient_statistics import Summarised
from selfconsume.types import Number, Samples, Source


@dataclasses.dataclass(frozen=True)
class Categorical(Summarised):
    """Categorical distribution fitted by relative frequencies; a category that is lost never returns.

    The replace regime is then the Wright-Fisher model of neutral drift (Seddik et al. 2024, Suresh et al. 2024).

    Attributes:
        temperature: Samples are drawn from p^(1/temperature), normalised; below 1 favours frequent categories.
    """

    temperature: Annotated[float, Number, Gt(0)] = 1.0

    @classmethod
    def tiny(cls) -> Categorical:
        return cls()

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> CategoricalDistribution:
        (k,) = shape
        return self._distribution(jnp.full(k, 1.0 / k))

    def summarise(self, x: Samples, weight: Float[Array, " n"]) -> Float[Array, " k"]:
        """Weighted counts."""
        return jnp.matmul(weight, x, precision="highest")

    def merge(
        self, first: Float[Array, " k"], second: Float[Array, " k"], weight: Float[Array, ""]
    ) -> Float[Array, " k"]:
        return first + weight * second

    def solve(self, summary: Float[Array, " k"]) -> CategoricalDistribution:
        return self._distribution(summary / summary.sum())

    def check(self, source: Source) -> None:
        if not source.one_hot:
            raise ConfigError("family: 'categorical' is fitted to one-hot rows; use source.kind = 'categorical'")

    def _distribution(self, p: Float[Array, " k"]) -> CategoricalDistribution:
        return CategoricalDistribution(p, jnp.asarray(self.temperature, p.dtype))
