"""Multivariate Gaussians fitted by mean and covariance."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.distributions.exact import Normal
from selfconsume.models.training.sufficient_statistics import SufficientStatisticsFamily
from selfconsume.types import Number, Samples, Source


class ScatterStatistics(NamedTuple):
    """Sufficient statistics of a Gaussian: total weight, mean and centred scatter matrix."""

    weight: Float[Array, ""]
    """Sum of weights."""
    squares: Float[Array, ""]
    """Sum of squared weights, over distinct examples."""
    mean: Float[Array, " d"]
    scatter: Array
    """Sum of w (x - mean)(x - mean)^T; its diagonal if covariances are diagonal."""


@dataclasses.dataclass(frozen=True)
class Gaussian(SufficientStatisticsFamily):
    """Multivariate Gaussian fitted by its sample mean and covariance.

    Attributes:
        estimator: Covariance estimator: "ml" divides the scatter by the total weight, "unbiased" by
            sum w - sum w^2 / sum w over distinct examples (n - 1 for equal weights).
        covariance: "full" or "diagonal".
        temperature: Variance factor of the samples, the sampling bias of Alemohammad et al. 2024 (their lambda).

    The exactly solvable model of model collapse: in the replace regime the variance shrinks to 0 almost surely, with "ml" in
    expectation too, while with "unbiased" its expectation is constant. d >= n is allowed: samples then lie in the span of
    the data, and their likelihood has little meaning.

    References:
        Shumailov et al. 2024, Nature 631; Alemohammad et al. 2024, arXiv:2307.01850; Bertrand et al. 2024,
        arXiv:2310.00429.
    """

    estimator: Literal["ml", "unbiased"] = "ml"
    covariance: Literal["full", "diagonal"] = "full"
    temperature: Annotated[float, Number, Ge(0)] = 1.0

    @classmethod
    def tiny(cls) -> Gaussian:
        return cls()

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Normal:
        if len(shape) != 1:
            raise ValueError(f"family: expected vectors, got examples of shape {shape}; flatten them")
        (d,) = shape
        return self._normal(jnp.zeros(d), jnp.ones(d) if self.covariance == "diagonal" else jnp.eye(d))

    def summarise(self, x: Samples, weight: Float[Array, " n"]) -> ScatterStatistics:
        total = weight.sum()
        # By default GPUs multiply float32 matrices in TF32, with the precision of 16-bit numbers.
        with jax.default_matmul_precision("highest"):
            mean = weight @ x / jnp.where(total > 0, total, 1.0)
            deviation = x - mean
            if self.covariance == "diagonal" or x.shape[1] == 1:
                scatter = weight @ deviation**2
            else:
                scatter = (deviation * weight[:, None]).T @ deviation
        return ScatterStatistics(total, (weight**2).sum(), mean, scatter)

    def merge(self, first: ScatterStatistics, second: ScatterStatistics, weight: Float[Array, ""]) -> ScatterStatistics:
        mass = weight * second.weight
        total = first.weight + mass
        share = mass / jnp.where(total > 0, total, 1.0)
        delta = second.mean - first.mean
        between = delta**2 if first.scatter.ndim == 1 else jnp.outer(delta, delta)
        return ScatterStatistics(
            total,
            first.squares + weight**2 * second.squares,
            first.mean + share * delta,
            first.scatter + weight * second.scatter + first.weight * share * between,
        )

    def solve(self, summary: ScatterStatistics) -> Normal:
        total, squares, mean, scatter = summary
        divisor = total if self.estimator == "ml" else total - squares / jnp.where(total > 0, total, 1.0)
        covariance = scatter / jnp.where(divisor > 0, divisor, jnp.nan)
        return self._normal(mean, covariance)

    def check(self, source: Source) -> None:
        if len(source.shape) != 1:
            raise ConfigError(
                f"family: 'gaussian' takes vectors, the source gives examples of shape {source.shape}; flatten them"
            )
        if source.size < 2:
            raise ConfigError("family: a covariance needs at least 2 real examples, there is 1; raise source.n")

    def _normal(self, mean: Float[Array, " d"], covariance: Array) -> Normal:
        if covariance.ndim == 1:
            factor = jnp.diag(jnp.sqrt(jnp.maximum(covariance, 0.0)))
            return Normal(mean, factor, jnp.asarray(self.temperature, mean.dtype))
        return Normal.from_covariance(mean, covariance, temperature=self.temperature)
