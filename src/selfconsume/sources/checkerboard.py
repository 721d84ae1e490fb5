"""Uniform distribution on the dark squares of a checkerboard."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.sources.distribution_source import Count, DistributionSource
from selfconsume.types import Density, Samples


class Board(Density):
    """Uniform distribution on the dark squares of a 4 x 4 board of side 8."""

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        position, row = jax.random.split(key)
        u, v = jax.random.uniform(position, (2, n))
        u = 4 * u - 2
        # Each column has two dark squares two rows apart; neighbouring columns are shifted by one row.
        v = v + jnp.where(jax.random.bernoulli(row, shape=(n,)), 0, -2) + jnp.floor(u) % 2
        return 2 * jnp.stack([u, v], axis=1)

    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        square = jnp.floor(x / 2)
        inside = ((square >= -2) & (square < 2)).all(axis=1) & (square.sum(axis=1) % 2 == 0)
        return jnp.where(inside, -math.log(32.0), -jnp.inf)


@dataclasses.dataclass(frozen=True)
class Checkerboard(DistributionSource):
    """Uniform on the eight dark squares of a 4 x 4 board in the plane, as in the toy data of FFJORD.

    The board is [-4, 4) x [-4, 4) with squares of side 2; a square is dark where floor(x / 2) + floor(y / 2) is even
    (Grathwohl et al. 2019, arXiv:1810.01367). The density is 1/32 on dark squares and 0 elsewhere.

    Attributes:
        n: Training examples.
        n_test: Held-out examples.
    """

    n: Count = 1000
    n_test: Annotated[int, Ge(2)] = 1000

    @classmethod
    def tiny(cls) -> Checkerboard:
        return cls(n=20, n_test=20)

    @property
    def shape(self) -> tuple[int, ...]:
        return (2,)

    def truth(self) -> Board:
        return Board()
