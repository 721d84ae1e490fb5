"""Categorical distributions fitted by relative frequencies."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import jax.numpy as jnp
from annotated_types import Gt, Le
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.distributions.exact import CategoricalDistribution
from selfconsume.models.training.sufficient_statistics import SufficientStatisticsFamily
from selfconsume.types import Number, Samples, Source


@dataclasses.dataclass(frozen=True)
class Categorical(SufficientStatisticsFamily):
    """Categorical distribution fitted by relative frequencies (maximum likelihood).

    Attributes:
        temperature: Samples are drawn from p^(1/temperature), normalised; below 1 it favours frequent categories.
        top_p: Samples come from the fewest most frequent categories that hold this share of the mass (nucleus sampling), so
            that each generation cuts the tail of its data; None: from all.

    In the replace regime this is the Wright-Fisher model of genetic drift: a category that is lost never returns, and all
    but one are lost in the end.

    References:
        Seddik et al. 2024, arXiv:2404.05090; Suresh et al. 2024, arXiv:2412.17646; cut tails: Dohmatob et al. 2024,
        arXiv:2402.07043.
    """

    temperature: Annotated[float, Number, Gt(0)] = 1.0
    top_p: Annotated[float, Gt(0), Le(1)] | None = None

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
            raise ConfigError(
                "family: 'categorical' takes one-hot rows, which the source does not give; use source.kind = 'categorical'"
            )

    def _distribution(self, p: Float[Array, " k"]) -> CategoricalDistribution:
        return CategoricalDistribution(p, jnp.asarray(self.temperature, p.dtype), self.top_p)
