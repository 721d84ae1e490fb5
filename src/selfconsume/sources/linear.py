"""Data with standard normal inputs: labels of a linear regression, and of two half-spaces."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, ClassVar

import jax.numpy as jnp
from annotated_types import Ge, Le

from selfconsume.models.distributions.linear_model import LinearModel, NoisyHalfSpace
from selfconsume.sources.distribution_source import DistributionSource
from selfconsume.types import Number


@dataclasses.dataclass(frozen=True)
class Linear(DistributionSource):
    """Linear regression pairs (x, y): standard normal inputs, labels linear in x plus Gaussian noise.

    An example is ``(x_1 .. x_d, y)``, ``d + 1`` numbers, with ``y = w . x + sigma * noise`` and equal coefficients w.
    The error of least squares does not depend on w.

    Attributes:
        dim: Number of inputs, d.
        n: Training examples.
        sigma: Standard deviation of the label noise.
        norm: Euclidean norm of the coefficients w.
        n_test: Held-out examples.
    """

    standard_inputs: ClassVar[bool] = True

    dim: Annotated[int, Ge(1)] = 10
    n: Annotated[int, Ge(1)] = 50
    sigma: Annotated[float, Number, Ge(0)] = 1.0
    norm: Annotated[float, Number, Ge(0)] = 1.0
    n_test: Annotated[int, Ge(2)] = 1000

    @classmethod
    def tiny(cls) -> Linear:
        return cls(dim=2, n=20, n_test=20)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.dim + 1,)

    def truth(self) -> LinearModel:
        coefficients = jnp.full(self.dim, self.norm / math.sqrt(self.dim), jnp.float32)
        return LinearModel(coefficients, jnp.asarray(self.sigma, jnp.float32), jnp.zeros((0, self.dim)))


@dataclasses.dataclass(frozen=True)
class HalfSpace(DistributionSource):
    """Inputs with the label of the half-space that they lie in: standard normal inputs, labels 1 and -1.

    An example is ``(x_1 .. x_d, y)``, ``d + 1`` numbers, with ``y = sign(w . x)`` and equal coefficients w.

    Attributes:
        dim: Number of inputs, d.
        n: Training examples.
        flip: Probability that a label is wrong, in training and held-out data.
        n_test: Held-out examples.
    """

    standard_inputs: ClassVar[bool] = True

    dim: Annotated[int, Ge(1)] = 10
    n: Annotated[int, Ge(1)] = 1000
    flip: Annotated[float, Number, Ge(0), Le(1)] = 0.0
    n_test: Annotated[int, Ge(2)] = 1000

    @classmethod
    def tiny(cls) -> HalfSpace:
        return cls(dim=2, n=20, n_test=20)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.dim + 1,)

    def truth(self) -> NoisyHalfSpace:
        coefficients = jnp.full(self.dim, 1 / math.sqrt(self.dim), jnp.float32)
        return NoisyHalfSpace(coefficients, jnp.asarray(self.flip, jnp.float32))
