"""Toy distributions of the literature, each with its law: what samples it, and its density where that is simple."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Gt
from jaxtyping import Array, Float, Int, PRNGKeyArray

from selfconsume.distributions import Mixture, Normal
from selfconsume.draws import normal
from selfconsume.sources.law import Law
from selfconsume.types import Density, Generator, Number, Samples

Count = Annotated[int, Ge(1)]
Width = Annotated[float, Number, Gt(0)]


@dataclasses.dataclass(frozen=True)
class Gaussian(Law):
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

    def truth(self) -> Normal:
        return Normal(jnp.full(self.dim, self.mean, jnp.float32), self.std * jnp.eye(self.dim))


class _Modes(Law):
    """Equal Gaussians of standard deviation `std` around `modes()`."""

    std: float

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.modes().shape[1],)

    def truth(self) -> Mixture:
        k, d = self.modes().shape
        return Mixture(jnp.full(k, 1 / k), self.modes(), jnp.broadcast_to(self.std * jnp.eye(d), (k, d, d)))

    def labels(self, key: PRNGKeyArray) -> Int[Array, " n"]:
        """The mode that each training example comes from."""
        return self.truth().component(key, self.n)


@dataclasses.dataclass(frozen=True)
class GaussianMixture(_Modes):
    """Mixture of equal isotropic Gaussians on a square lattice.

    The means are the first ``k`` points of a cubic lattice with ``ceil(k^(1/dim))`` points a side (the first coordinate
    runs fastest), shifted so that they average to 0. In one dimension they are evenly spaced on a line; ``k = 4`` in two
    is a square.

    Attributes:
        dim: Dimension.
        k: Components, of weight 1/k each.
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

    @classmethod
    def tiny(cls) -> GaussianMixture:
        return cls(k=2, n=20, n_test=20)

    def modes(self) -> Float[Array, "k d"]:
        side = next(s for s in range(1, self.k + 1) if s**self.dim >= self.k)
        # As many digits of 0, ..., k - 1 to the base `side` as are needed; further coordinates are 0.
        lattice = np.zeros((self.k, self.dim))
        rest, j = np.arange(self.k), 0
        while rest.any():
            lattice[:, j], rest, j = rest % side, rest // side, j + 1
        return self.separation * jnp.asarray(lattice - lattice.mean(axis=0), jnp.float32)


@dataclasses.dataclass(frozen=True)
class EightGaussians(_Modes):
    """Ring of eight equal Gaussians in the plane, as in the toy data of FFJORD.

    Means at angles 0, 45, ..., 315 degrees. The set comes from Gulrajani et al. 2017 (arXiv:1704.00028), where std is
    0.02 and radius 2, both divided by sqrt 2; the defaults are those of Grathwohl et al. 2019 (arXiv:1810.01367): std 0.5
    and radius 4, both divided by sqrt 2 (their code divides by 1.414). For the set in the torchcfm examples give
    radius 5 and std 0.5623 (there "var = 0.1" makes the *covariance* sqrt 0.1).

    Attributes:
        n: Training examples.
        n_test: Held-out examples.
        radius: Distance of the means from 0.
        std: Standard deviation of every component in each coordinate.
    """

    n: Count = 1000
    n_test: Annotated[int, Ge(2)] = 1000
    radius: Width = 4 / math.sqrt(2)
    std: Width = 0.5 / math.sqrt(2)

    @classmethod
    def tiny(cls) -> EightGaussians:
        return cls(n=40, n_test=40)

    def modes(self) -> Float[Array, "8 2"]:
        angle = np.arange(8) * (math.pi / 4)
        return self.radius * jnp.asarray(np.stack([np.cos(angle), np.sin(angle)], axis=1), jnp.float32)


class Moons(Generator):
    """Two half circles with Gaussian noise."""

    noise: Float[Array, ""]

    def moon(self, key: PRNGKeyArray, n: int) -> Int[Array, " n"]:
        """The moon (0: outer, 1: inner) that each row of ``sample(key, n)`` lies on."""
        return jax.random.bernoulli(jax.random.split(key, 3)[0], shape=(n,)).astype(jnp.int32)

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        _, along, around = jax.random.split(key, 3)
        angle = math.pi * jax.random.uniform(along, (n,))
        outer = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
        inner = jnp.array([1.0, 0.5]) - outer
        clean = jnp.where(self.moon(key, n)[:, None] == 0, outer, inner)
        return clean + self.noise * normal(around, (n, 2))


@dataclasses.dataclass(frozen=True)
class TwoMoons(Law):
    """Two interleaving half circles in the plane, as scikit-learn's `make_moons`, with labels.

    The outer moon is (cos a, sin a), the inner (1 - cos a, 1/2 - sin a), a in [0, pi]. Unlike there, examples are
    independent: angle and moon are drawn at random, not spaced evenly and halved. FFJORD uses noise 0.1 too, and then
    doubles all coordinates and shifts them by (-1, -0.2).

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
        """The moon that each training example lies on: 0 outer, 1 inner."""
        return self.truth().moon(key, self.n)


class Roll(Generator):
    """A spiral with Gaussian noise."""

    noise: Float[Array, ""]

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        along, around = jax.random.split(key)
        angle = 1.5 * math.pi * (1 + 2 * jax.random.uniform(along, (n, 1)))
        clean = angle * jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], axis=1)
        return (clean + self.noise * normal(around, (n, 2))) / 5


@dataclasses.dataclass(frozen=True)
class SwissRoll(Law):
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


class Board(Density):
    """Uniform on every second square of a 4 x 4 board of side 8."""

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        where, row = jax.random.split(key)
        u, v = jax.random.uniform(where, (2, n))
        u = 4 * u - 2
        # Every column has two squares two rows apart, one row higher in every second column.
        v = v + jnp.where(jax.random.bernoulli(row, shape=(n,)), 0, -2) + jnp.floor(u) % 2
        return 2 * jnp.stack([u, v], axis=1)

    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        square = jnp.floor(x / 2)
        inside = ((square >= -2) & (square < 2)).all(axis=1) & (square.sum(axis=1) % 2 == 0)
        return jnp.where(inside, -math.log(32.0), -jnp.inf)


@dataclasses.dataclass(frozen=True)
class Checkerboard(Law):
    """Uniform on the eight dark squares of a 4 x 4 board in the plane, as in the toy data of FFJORD.

    The board is [-4, 4) x [-4, 4) with squares of side 2; a square is dark where floor(x / 2) + floor(y / 2) is even
    (Grathwohl et al. 2019, arXiv:1810.01367). The truth has a density: 1/32 on dark squares, 0 elsewhere.

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
