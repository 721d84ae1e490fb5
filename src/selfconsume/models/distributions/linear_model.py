"""Generators of rows (x, y) that model the label y given the inputs x."""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.models.distributions.exact import EPS, LEAST
from selfconsume.models.distributions.random import normal
from selfconsume.types import Density, Samples


class LinearModel(Density):
    """``y = coefficients . x + sigma * noise`` in rows ``(x_1 .. x_d, y)``, with inputs that are given, not modelled.

    The density is that of y given x, so its sum over rows is the likelihood that least squares maximises; of the inputs it
    says nothing. With sigma = 0 it is taken with a variance of 1e-30: finite, and far below 0 off the plane.
    """

    coefficients: Float[Array, " d"]
    sigma: Float[Array, ""]
    """Standard deviation of the labels around the plane."""
    inputs: Float[Array, "k d"]
    """Inputs that `sample` labels, in order, and again from the first after the last; if there are none (k = 0), inputs
    are drawn from N(0, I_d)."""

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
        variance = jnp.maximum(self.sigma**2, LEAST)
        residual = x[:, -1] - jnp.matmul(x[:, :-1], self.coefficients, precision="highest")
        # The root first: the square of a large residual may overflow.
        return -0.5 * (residual / jnp.sqrt(variance)) ** 2 - 0.5 * jnp.log(2 * math.pi * variance)

    def parameters(self) -> Mapping[str, Array]:
        """``coefficients`` (d,) and ``sigma`` ()."""
        return {"coefficients": self.coefficients, "sigma": self.sigma}


def least_norm(matrix: Float[Array, "d d"], vector: Float[Array, " d"]) -> Float[Array, " d"]:
    """The shortest solution of ``matrix @ w = vector`` for a positive semidefinite matrix, singular ones included.

    Eigenvalues below what float32 resolves of the largest count as 0.
    """
    values, vectors = jnp.linalg.eigh(matrix)
    kept = values > 4 * EPS * matrix.shape[0] * values.max()
    inverse = jnp.where(kept, 1.0 / jnp.where(kept, values, 1.0), 0.0)
    along = jnp.matmul(vector, vectors, precision="highest") * inverse
    return jnp.matmul(vectors, along, precision="highest")
