"""Two interleaved half circles."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge
from jaxtyping import Array, Float, Int, PRNGKeyArray

from selfconsume.models.distributions.random import normal
from selfconsume.sources.distribution_source import Count, DistributionSource
from selfconsume.types import Generator, Number, Samples


class Moons(Generator):
    """Two half circles with Gaussian noise."""

    noise: Float[Array, ""]

    def moon(self, key: PRNGKeyArray, n: int) -> Int[Array, " n"]:
        """Moon of each row of ``sample(key, n)``: 0 outer, 1 inner."""
        return jax.random.bernoulli(jax.random.split(key, 3)[0], shape=(n,)).astype(jnp.int32)

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        _, along, around = jax.random.split(key, 3)
        angle = math.pi * jax.random.uniform(along, (n,))
        outer = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
        inner = jnp.array([1.0, 0.5]) - outer
        clean = jnp.where(self.moon(key, n)[:, None] == 0, outer, inner)
        return clean + self.noise * normal(around, (n, 2))


@dataclasses.dataclass(frozen=True)
class TwoMoons(DistributionSource):
    """Two interleaving half circles in the plane, as scikit-learn's `make_moons`, with labels.

    The outer moon is (cos a, sin a), the inner (1 - cos a, 1/2 - sin a), a in [0, pi]. Examples are
    independent: angle and moon are random, whereas scikit-learn spaces angles evenly and halves the set. FFJORD also uses
    noise 0.1, then doubles all coordinates and shifts them by (-1, -0.2).

    Attributes:
        n: Training examples.
        n_test: Held-out examples.
        noise: Standard deviation of the noise in each coordinate.
    """

    n: Count = 1000
    n_test: Annotated[int, Ge(2)] = 1000
    noise: Annotated[float, Number, Ge(0)] = 0.1

    @classmethod
    def tiny(cls) -> TwoMoons:
        return cls(n=20, n_test=20)

    @property
    def shape(self) -> tuple[int, ...]:
        return (2,)

    def truth(self) -> Moons:
        return Moons(jnp.asarray(self.noise, jnp.float32))

    def labels(self, key: PRNGKeyArray) -> Int[Array, " n"]:
        """Moon of each training example: 0 outer, 1 inner."""
        return self.truth().moon(key, self.n)
