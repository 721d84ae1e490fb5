"""Gaussian mixtures with known modes."""

from __future__ import annotations

import abc
import dataclasses
from typing import Annotated

import jax.numpy as jnp
import numpy as np
from annotated_types import Ge
from jaxtyping import Array, Float, Int, PRNGKeyArray

from selfconsume.models.distributions.exact import MixtureDistribution
from selfconsume.sources.distribution_source import Count, DistributionSource, Width


class IsotropicMixture(DistributionSource):
    """Mixture of equally weighted isotropic Gaussians with means `modes()` and standard deviation `std`."""

    std: float

    @abc.abstractmethod
    def modes(self) -> Float[Array, "k d"]:
        """Component means."""

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.modes().shape[1],)

    def truth(self) -> MixtureDistribution:
        k, d = self.modes().shape
        return MixtureDistribution(jnp.full(k, 1 / k), self.modes(), jnp.broadcast_to(self.std * jnp.eye(d), (k, d, d)))

    def mode_std(self) -> float:
        return self.std

    def labels(self, key: PRNGKeyArray) -> Int[Array, " n"]:
        """Component of each training example."""
        return self.truth().component(key, self.n)


@dataclasses.dataclass(frozen=True)
class GaussianMixture(IsotropicMixture):
    """Mixture of equally weighted isotropic Gaussians with means on a square lattice.

    The means are the first ``k`` points of a cubic lattice with ``ceil(k^(1/dim))`` points a side (the first coordinate
    runs fastest), shifted so that they average to 0. In one dimension they are evenly spaced on a line; ``k = 4`` in two
    is a square.

    Attributes:
        dim: Dimension.
        k: Number of components.
        n: Training examples.
        n_test: Held-out examples.
        separation: Distance of neighbouring means.
        std: Standard deviation of every component in every coordinate.
    """

    dim: Count = 2
    k: Count = 4
    n: Count = 1000
    n_test: Annotated[int, Ge(2)] = 1000
    separation: Width = 5.0
    std: Width = 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.dim,)

    @property
    def parameter_count(self) -> int:
        return self.k * self.dim**2

    @classmethod
    def tiny(cls) -> GaussianMixture:
        return cls(k=2, n=20, n_test=20)

    def modes(self) -> Float[Array, "k d"]:
        # No side is longer than with 64 coordinates: s^64 is above any k for s >= 2.
        side = next(s for s in range(1, self.k + 1) if s ** min(self.dim, 64) >= self.k)
        # Coordinates are the digits of 0, ..., k - 1 in base `side`; further coordinates are 0.
        lattice = np.zeros((self.k, self.dim))
        quotient, j = np.arange(self.k), 0
        while quotient.any():
            lattice[:, j], quotient, j = quotient % side, quotient // side, j + 1
        return self.separation * jnp.asarray(lattice - lattice.mean(axis=0), jnp.float32)
