"""Kernel density estimation with Gaussian kernels."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, ClassVar, Literal

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.distributions.random import normal, sample_indices
from selfconsume.types import Density, Family, FitState, Number, Samples, Source

BLOCK = 256
"""Points whose distances to all kernels are in memory at once."""


class Kernels(Density):
    """A Gaussian kernel at every weighted example: ``x = centre + sqrt(temperature) * factor @ z``."""

    centres: Float[Array, "n d"]
    weight: Float[Array, " n"]
    factor: Float[Array, "d d"]
    """A factor of the kernel's covariance."""
    temperature: Float[Array, ""]
    """Variance factor of the kernel noise in sampling; the density is that of temperature 1."""

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        index, noise = jax.random.split(key)
        z = normal(noise, (n, self.centres.shape[1])) * jnp.sqrt(self.temperature)
        return self.centres[sample_indices(index, self.weight, n)] + jnp.matmul(z, self.factor.T, precision="highest")

    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        d = self.centres.shape[1]
        values, vectors = jnp.linalg.eigh(jnp.matmul(self.factor, self.factor.T, precision="highest"))
        # A bandwidth rule gives 0 for a point mass.
        values = jnp.maximum(values, jnp.finfo(jnp.float32).tiny)
        whiten = vectors / jnp.sqrt(values)
        log_weight = jnp.log(self.weight) - jnp.log(self.weight.sum())
        constant = 0.5 * d * math.log(2 * math.pi) + 0.5 * jnp.log(values).sum()
        centres = jnp.matmul(self.centres, whiten, precision="highest")

        def log_density(point):
            return jax.nn.logsumexp(log_weight - 0.5 * ((point - centres) ** 2).sum(axis=1)) - constant

        return jax.lax.map(log_density, jnp.matmul(x, whiten, precision="highest"), batch_size=BLOCK)


@dataclasses.dataclass(frozen=True)
class Kde(Family):
    """Gaussian kernel density estimate: samples are training examples plus Gaussian noise.

    Attributes:
        bandwidth: Standard deviation of the kernel in data units; or a rule that scales the data's covariance: "scott" by
            n_eff^(-2/(d+4)), "silverman" by (n_eff (d+2) / 4)^(-2/(d+4)), with n_eff = (sum w)^2 / sum w^2.
        temperature: Variance factor of the kernel noise in sampling.

    Each generation adds the kernel's variance to that of its training data, so that without real data the loop diffuses. The
    rules assume one Gaussian cluster and oversmooth separate clusters. The generator grows with the training set, so that
    warm starts do not apply.

    References:
        Scott 1992, Multivariate Density Estimation; Silverman 1986, Density Estimation; weights as in
        `scipy.stats.gaussian_kde`.
    """

    parametric: ClassVar[bool] = False

    bandwidth: Annotated[float, Number, Gt(0)] | Literal["scott", "silverman"] = "scott"
    temperature: Annotated[float, Number, Ge(0)] = 1.0

    @classmethod
    def tiny(cls) -> Kde:
        return cls()

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Kernels:
        (d,) = shape
        return self._kernels(jnp.zeros((1, d)), jnp.ones(1), jnp.eye(d))

    def begin(self, key: PRNGKeyArray, x: Samples, weight: Float[Array, " n"], start: FitState | None) -> FitState:
        d = x.shape[1]
        unfitted = self._kernels(jnp.zeros_like(x), jnp.ones_like(weight), jnp.zeros((d, d)))
        return FitState(unfitted, None, jnp.zeros((), jnp.int32), jnp.array(jnp.nan), (x, weight))

    def advance(self, state: FitState, updates: int) -> FitState:
        x, weight = state.data
        generator = self._kernels(x, weight, self._factor(x, weight))
        return dataclasses.replace(state, generator=generator, iteration=state.iteration + updates)

    def check(self, source: Source) -> None:
        if len(source.shape) != 1:
            raise ConfigError(
                f"family: 'kde' takes vectors, the source gives examples of shape {source.shape}; flatten them"
            )
        if isinstance(self.bandwidth, str) and source.size < 2:
            raise ConfigError(
                f"family.bandwidth: the rule {self.bandwidth!r} needs at least 2 real examples, there is {source.size}; "
                "give a number, or raise source.n"
            )

    def _factor(self, x: Samples, weight: Float[Array, " n"]) -> Float[Array, "d d"]:
        d = x.shape[1]
        if not isinstance(self.bandwidth, str):
            return self.bandwidth * jnp.eye(d)
        total, squares = weight.sum(), (weight**2).sum()
        deviation = x - jnp.matmul(weight, x, precision="highest") / total
        # The covariance with reliability weights, as in scipy.stats.gaussian_kde.
        scatter = jnp.matmul((deviation * weight[:, None]).T, deviation, precision="highest")
        covariance = scatter / (total - squares / total)
        n_effective = total**2 / squares
        base = n_effective if self.bandwidth == "scott" else n_effective * (d + 2) / 4
        width = base ** (-1.0 / (d + 4))
        if d == 1:
            return width * jnp.sqrt(covariance)
        values, vectors = jnp.linalg.eigh(covariance)
        return width * vectors * jnp.sqrt(jnp.maximum(values, 0.0))

    def _kernels(self, x: Samples, weight: Float[Array, " n"], factor: Float[Array, "d d"]) -> Kernels:
        return Kernels(x, weight, factor, jnp.asarray(self.temperature, x.dtype))
