"""The Swiss roll in two dimensions."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.models.distributions.random import normal
from selfconsume.sources.distribution_source import Count, DistributionSource
from selfconsume.types import Generator, Number, Samples


class Roll(Generator):
    """A spiral with Gaussian noise."""

    noise: Float[Array, ""]

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        along, around = jax.random.split(key)
        angle = 1.5 * math.pi * (1 + 2 * jax.random.uniform(along, (n, 1)))
        clean = angle * jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], axis=1)
        return (clean + self.noise * normal(around, (n, 2))) / 5


@dataclasses.dataclass(frozen=True)
class SwissRoll(DistributionSource):
    """Spiral in the plane: scikit-learn's `make_swiss_roll` seen from the side, as in the toy data of FFJORD.

    First and third coordinate of the roll, (a cos a, a sin a) with a uniform in [1.5 pi, 4.5 pi], plus noise, all
    divided by 5 (Grathwohl et al. 2019, arXiv:1810.01367).

    Attributes:
        n: Training examples.
        n_test: Held-out examples.
        noise: Standard deviation of the noise in each coordinate, before the division by 5.
    """

    n: Count = 1000
    n_test: Annotated[int, Ge(2)] = 1000
    noise: Annotated[float, Number, Ge(0)] = 1.0

    @classmethod
    def tiny(cls) -> SwissRoll:
        return cls(n=20, n_test=20)

    @property
    def shape(self) -> tuple[int, ...]:
        return (2,)

    def truth(self) -> Roll:
        return Roll(jnp.asarray(self.noise, jnp.float32))
