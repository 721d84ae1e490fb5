"""Parametric distributions with exact samplers and densities: Gaussians, mixtures of Gaussians, categorical distributions.

Closed-form families fit them, and toy sources sample from them. Each has a `temperature`, the sampling bias of Alemohammad
et al. 2024 (arXiv:2307.01850, their lambda). It acts on `sample` only; `log_prob` and `parameters` are those of the fitted
distribution, temperature 1. A likelihood therefore measures the fit, not the biased samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from selfconsume.models.distributions.random import normal
from selfconsume.types import Density, Samples

EPS = float(jnp.finfo(jnp.float32).eps)
"""Machine epsilon of float32: the relative resolution of a covariance estimated in float32."""

MIN_VARIANCE = 1e-30
"""Smallest variance of a density, in squared data units."""


def _scalar(x: ArrayLike) -> Float[Array, ""]:
    return jnp.asarray(x, jnp.float32)


def _spread(z: Float[Array, "n r"], factor: Float[Array, "d r"] | Float[Array, " r"]) -> Float[Array, "n d"]:
    """``factor @ z`` for every row; a one-dimensional factor is a diagonal."""
    if factor.ndim == 1:
        return z * factor
    if factor.shape == (1, 1):
        return z * factor[0]
    return jnp.matmul(z, factor.T, precision="highest")


def _covariance(factor: Float[Array, "d r"] | Float[Array, " d"]) -> Float[Array, "d d"]:
    if factor.ndim == 1:
        return jnp.diag(factor**2)
    return jnp.matmul(factor, factor.T, precision="highest")


def _root(
    covariance: Float[Array, "d d"] | Float[Array, " d"],
) -> Float[Array, "d d"] | Float[Array, " d"]:
    """A factor of a covariance, or of variances, of the same shape.

    The symmetric square root is continuous: with common random numbers, close covariances give close samples, whatever the
    order and the signs of the eigenvectors.
    """
    if covariance.ndim == 1 or covariance.shape == (1, 1):
        return jnp.sqrt(jnp.maximum(covariance, 0.0))
    values, vectors = jnp.linalg.eigh(covariance)
    return jnp.matmul(vectors * jnp.sqrt(jnp.maximum(values, 0.0)), vectors.T, precision="highest")


def _normal_log_prob(
    x: Samples, mean: Float[Array, " d"], factor: Float[Array, "d r"] | Float[Array, " d"]
) -> Float[Array, " n"]:
    """Log density with each eigenvalue of the covariance raised by the larger of EPS times their mean and MIN_VARIANCE.

    Twice differentiable in mean and factor, also at equal eigenvalues and singular factors.
    """
    d = mean.shape[0]
    floor = jax.lax.stop_gradient(jnp.maximum(EPS * (factor**2).sum() / d, MIN_VARIANCE))
    # Beyond this distance all densities are 0 in float32; without the bound, inf - inf could give NaN.
    far = 1e25 * jnp.sqrt(floor)
    deviation = jnp.clip(x - mean, -far, far)
    if factor.ndim == 1 or factor.shape == (1, 1):
        variance = factor.reshape(d) ** 2 + floor
        # Divided by the standard deviation before squaring: the square of a large distance may overflow.
        z = deviation / jnp.sqrt(variance)
        log_volume = 0.5 * jnp.log(variance).sum()
    else:
        # R^T R = factor factor^T + floor I, by QR of the factor: forming the product would lose half of the digits.
        stacked = jnp.concatenate([factor.T, jnp.sqrt(floor) * jnp.eye(d, dtype=factor.dtype)])
        upper = jnp.linalg.qr(stacked, mode="reduced")[1]
        z = jax.scipy.linalg.solve_triangular(upper, deviation.T, trans=1).T
        log_volume = jnp.log(jnp.abs(jnp.diagonal(upper))).sum()
    return -0.5 * (z**2).sum(axis=1) - log_volume - 0.5 * d * math.log(2 * math.pi)


def _choose(key: PRNGKeyArray, weights: Float[Array, " k"], n: int) -> Int[Array, " n"]:
    """``n`` indices sampled in proportion to weights, which need not sum to 1; an index of weight 0 is never sampled.

    If weights are NaN or all 0, the indices are meaningless; callers then return NaN, so that the failure is visible.

    By inversion, with one uniform number per draw (23 bits: probabilities below 1e-7 are not resolved) where the Gumbel trick
    takes ``k``.
    """
    k = weights.shape[0]
    # A parallel prefix sum is not monotone to the last bit: a category of weight 0 could own a small interval.
    cumulative = jnp.where(weights > 0, jnp.cumsum(weights), 0.0)
    u = jax.random.uniform(key, (n, 1)) * cumulative.max()
    return jnp.where(u < cumulative, jnp.arange(k), k - 1).min(axis=1)


class Normal(Density):
    """A Gaussian: ``x = mean + sqrt(temperature) * factor @ z`` with standard normal ``z``.

    The covariance ``factor @ factor.T`` may be singular: samples then lie in its span. The density has each eigenvalue raised
    by 1.2e-7 times their mean, and by at least 1e-30, so that its logarithm is finite outside the span too (very negative;
    -inf once a square overflows) and never NaN; its value there has no meaning. Fits whose eigenvalues span more than about
    five orders of magnitude therefore have a biased likelihood.
    """

    mean: Float[Array, " d"]
    factor: Float[Array, "d r"] | Float[Array, " d"]
    """A factor of the covariance; one-dimensional: standard deviations of independent coordinates."""
    temperature: Float[Array, ""] = eqx.field(default=1.0, converter=_scalar)
    """Variance factor of the samples."""

    @classmethod
    def from_covariance(
        cls,
        mean: Float[Array, " d"],
        covariance: Float[Array, "d d"] | Float[Array, " d"],
        temperature: ArrayLike = 1.0,
    ) -> Normal:
        """The Gaussian of a covariance matrix, or of variances; negative eigenvalues (rounding) count as 0."""
        return cls(mean, _root(covariance), temperature)

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        z = normal(key, (n, self.factor.shape[-1]))
        return self.mean + jnp.sqrt(self.temperature) * _spread(z, self.factor)

    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        return _normal_log_prob(x, self.mean, self.factor)

    def parameters(self) -> Mapping[str, Array]:
        """``mean`` (d,) and ``covariance`` (d, d)."""
        return {"mean": self.mean, "covariance": _covariance(self.factor)}


class MixtureDistribution(Density):
    """A mixture of Gaussians; the temperature multiplies the covariance of each component, not weights or means.

    Singular covariances as in `Normal`. A component of weight 0 is never sampled and adds nothing to the density.
    """

    weights: Float[Array, " k"]
    """Weights of the components; normalised on use."""
    means: Float[Array, "k d"]
    factors: Float[Array, "k d r"] | Float[Array, "k d"]
    """A factor of each covariance; two-dimensional: standard deviations of independent coordinates."""
    temperature: Float[Array, ""] = eqx.field(default=1.0, converter=_scalar)
    """Variance factor of each component's samples."""

    @classmethod
    def from_covariances(
        cls,
        weights: Float[Array, " k"],
        means: Float[Array, "k d"],
        covariances: Float[Array, "k d d"] | Float[Array, "k d"],
        temperature: ArrayLike = 1.0,
    ) -> MixtureDistribution:
        """The mixture of covariance matrices, or of variances; negative eigenvalues (rounding) count as 0."""
        return cls(weights, means, jax.vmap(_root)(covariances), temperature)

    def component(self, key: PRNGKeyArray, n: int) -> Int[Array, " n"]:
        """The component of each row of ``sample(key, n)``."""
        return _choose(jax.random.split(key)[0], self.weights, n)

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        component = self.component(key, n)
        z = normal(jax.random.split(key)[1], (n, self.factors.shape[-1]))
        # The deviation of each row under all components, then a selection: gathering a matrix for each row would take d
        # times the memory of the samples.
        deviations = jax.vmap(_spread, in_axes=(None, 0))(z, self.factors)
        x = self.means[component] + jnp.sqrt(self.temperature) * deviations[component, jnp.arange(n)]
        return jnp.where(self.weights.sum() > 0, x, jnp.nan)

    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        log_p = jax.vmap(_normal_log_prob, in_axes=(None, 0, 0), out_axes=1)(x, self.means, self.factors)
        is_present = self.weights > 0
        # The inner `where` keeps the derivative of log 0 out of the gradient.
        log_weight = jnp.log(jnp.where(is_present, self.weights / self.weights.sum(), 1.0))
        return jax.nn.logsumexp(jnp.where(is_present, log_p + log_weight, -jnp.inf), axis=1)

    def parameters(self) -> Mapping[str, Array]:
        """``weights`` (k,), ``mean`` (k, d) and ``covariance`` (k, d, d)."""
        covariance = jax.vmap(_covariance)(self.factors)
        return {"weights": self.weights, "mean": self.means, "covariance": covariance}


class CategoricalDistribution(Density):
    """A distribution over ``k`` categories; samples are one-hot float32 rows from ``p^(1/temperature)``, normalised.

    A category of probability 0 is never sampled, at any temperature, and has log mass -inf. Temperature 0 samples the modes
    alone. Temperature and ``top_p`` are settings of sampling: log masses are those of ``p``.
    """

    p: Float[Array, " k"]
    """Probabilities; normalised on use."""
    temperature: Float[Array, ""] = eqx.field(default=1.0, converter=_scalar)
    """Below 1 it favours probable categories, above 1 rare ones."""
    top_p: float | None = eqx.field(default=None, static=True)
    """Samples come from the nucleus, the fewest most probable categories that hold this mass; None: from all."""

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        # Relative to the largest, so that not all of them underflow at a small temperature.
        weights = (self.p / self.p.max()) ** (1.0 / self.temperature)
        if self.top_p is not None:
            weights = nucleus(weights, self.top_p)
        x = jax.nn.one_hot(_choose(key, weights, n), weights.shape[0], dtype=jnp.float32)
        return jnp.where(weights.sum() > 0, x, jnp.nan)

    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        """Log mass of one-hot rows."""
        return jnp.log((x * self.p).sum(axis=1)) - jnp.log(self.p.sum())

    def parameters(self) -> Mapping[str, Array]:
        """``p`` (k,)."""
        return {"p": self.p}


def nucleus(weights: Float[Array, " k"], mass: float) -> Float[Array, " k"]:
    """Weights of the fewest largest categories whose share of the sum reaches ``mass``, 0 for the others; ties by position.

    Source: Holtzman et al. 2020, arXiv:1904.09751, section 3.1.
    """
    order = jnp.argsort(-weights)
    mass_above = jnp.cumsum(weights[order]) - weights[order]
    chosen = jnp.zeros(weights.shape, bool).at[order].set(mass_above < mass * weights.sum())
    return jnp.where(chosen, weights, 0.0)
