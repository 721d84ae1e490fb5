"""An isotropic Gaussian."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import jax.numpy as jnp
from annotated_types import Ge

from selfconsume.models.distributions.exact import Normal
from selfconsume.sources.distribution_source import Count, DistributionSource, Width
from selfconsume.types import Number


@dataclasses.dataclass(frozen=True)
class Gaussian(DistributionSource):
    """Isotropic Gaussian in any dimension, standard normal by default.

    Attributes:
        dim: Dimension.
        n: Training examples.
        n_test: Held-out examples.
        mean: Mean of every coordinate.
        std: Standard deviation of every coordinate.
    """

    dim: Count = 1
    n: Count = 1000
    n_test: Annotated[int, Ge(2)] = 1000
    mean: Annotated[float, Number] = 0.0
    std: Width = 1.0

    @classmethod
    def tiny(cls) -> Gaussian:
        return cls(dim=2, n=20, n_test=20)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.dim,)

    @property
    def parameter_count(self) -> int:
        return self.dim**2

    def truth(self) -> Normal:
        return Normal(jnp.full(self.dim, self.mean, jnp.float32), self.std * jnp.eye(self.dim))
