"""Linear models with Gaussian noise, linear classifiers with random label errors, and least squares of minimal norm."""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.models.distributions.exact import EPS, MIN_VARIANCE
from selfconsume.models.distributions.random import normal
from selfconsume.types import Density, Samples


class LinearModel(Density):
    """The linear model ``y = coefficients . x + sigma * noise``, in rows ``(x_1 .. x_d, y)``; inputs are not modelled.

    The density is the conditional one of y given x, so that its sum over rows is the likelihood that least squares
    maximises; it does not depend on the distribution of inputs. With sigma = 0 its variance is 1e-30.
    """

    coefficients: Float[Array, " d"]
    sigma: Float[Array, ""]
    """Standard deviation of the labels around the plane."""
    inputs: Float[Array, "k d"]
    """Fixed design: inputs that `sample` labels in order, cyclically; if empty (k = 0), inputs are drawn from N(0, I_d)."""

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        k, d = self.inputs.shape
        if k:
            x, noise = self.inputs[jnp.arange(n) % k], normal(key, (n,))
        else:
            z = normal(key, (n, d + 1))
            x, noise = z[:, :d], z[:, d]
        y = jnp.matmul(x, self.coefficients, precision="highest") + self.sigma * noise
        return jnp.concatenate([x, y[:, None]], axis=1)

    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        variance = jnp.maximum(self.sigma**2, MIN_VARIANCE)
        residual = x[:, -1] - jnp.matmul(x[:, :-1], self.coefficients, precision="highest")
        # Divided before squaring: the square of a large residual may overflow.
        return -0.5 * (residual / jnp.sqrt(variance)) ** 2 - 0.5 * jnp.log(2 * math.pi * variance)

    def parameters(self) -> Mapping[str, Array]:
        """``coefficients`` (d,) and ``sigma`` ()."""
        return {"coefficients": self.coefficients, "sigma": self.sigma}


class NoisyHalfSpace(Density):
    """Labels 1 and -1 of half-spaces: rows ``(x_1 .. x_d, y)``, x from N(0, I_d), ``y = sign(coefficients . x)``, some flipped.

    The density is the conditional one of y given x. Only the direction of the coefficients matters to it.
    """

    coefficients: Float[Array, " d"]
    flip: Float[Array, ""]
    """Probability that a label is the other one, the same for all x."""

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        inputs, errors = jax.random.split(key)
        x = normal(inputs, (n, len(self.coefficients)))
        is_flipped = jax.random.uniform(errors, (n,)) < self.flip
        y = jnp.where(is_flipped, -1.0, 1.0) * half_space(x, self.coefficients)
        # A failed fit must be visible: no comparison with NaN is true, and every label would be -1.
        return jnp.concatenate([x, jnp.where(jnp.isfinite(self.coefficients).all(), y, jnp.nan)[:, None]], axis=1)

    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        is_right = x[:, -1] == half_space(x[:, :-1], self.coefficients)
        is_label = jnp.abs(x[:, -1]) == 1
        return jnp.where(is_label, jnp.log(jnp.where(is_right, 1.0 - self.flip, self.flip)), -jnp.inf)

    def parameters(self) -> Mapping[str, Array]:
        """``coefficients`` (d,) and ``flip`` ()."""
        return {"coefficients": self.coefficients, "flip": self.flip}


def half_space(x: Float[Array, "n d"], coefficients: Float[Array, " d"]) -> Float[Array, " n"]:
    """The sign of ``coefficients . x``, 1 on the boundary."""
    return jnp.where(jnp.matmul(x, coefficients, precision="highest") >= 0, 1.0, -1.0)


def least_norm(matrix: Float[Array, "d d"], vector: Float[Array, " d"]) -> Float[Array, " d"]:
    """The minimum-norm solution of ``matrix @ w = vector`` for a positive semidefinite matrix, which may be singular.

    Eigenvalues below the float32 resolution of the largest count as 0.
    """
    values, vectors = jnp.linalg.eigh(matrix)
    is_positive = values > 4 * EPS * matrix.shape[0] * values.max()
    inverse = jnp.where(is_positive, 1.0 / jnp.where(is_positive, values, 1.0), 0.0)
    coordinates = jnp.matmul(vector, vectors, precision="highest") * inverse
    return jnp.matmul(vectors, coordinates, precision="highest")
