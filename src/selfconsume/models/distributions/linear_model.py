"""Linear models with Gaussian noise, and least squares of minimal norm."""

from __future__ import annotations

import math
from collections.abc import Mapping

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


def least_norm(matrix: Float[Array, "d d"], vector: Float[Array, " d"]) -> Float[Array, " d"]:
    """The minimum-norm solution of ``matrix @ w = vector`` for a positive semidefinite matrix, which may be singular.

    Eigenvalues below the float32 resolution of the largest count as 0.
    """
    values, vectors = jnp.linalg.eigh(matrix)
    is_positive = values > 4 * EPS * matrix.shape[0] * values.max()
    inverse = jnp.where(is_positive, 1.0 / jnp.where(is_positive, values, 1.0), 0.0)
    coordinates = jnp.matmul(vector, vectors, precision="highest") * inverse
    return jnp.matmul(vectors, coordinates, precision="highest")
