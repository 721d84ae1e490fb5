"""Gaussian mixtures fitted by expectation-maximisation (EM)."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt, Le
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.distributions.exact import MixtureDistribution
from selfconsume.models.distributions.random import sample_indices
from selfconsume.types import Family, FitState, Number, Samples, Source


@dataclasses.dataclass(frozen=True)
class Mixture(Family):
    """Gaussian mixture fitted by weighted EM from k-means++ initial means.

    Attributes:
        k: Number of components.
        covariance: "full" or "diagonal".
        floor: Added to the variances of every component, in squared data units: keeps components from collapsing onto
            single examples. It biases variances upwards by as much in every generation.
        iterations: Largest number of EM iterations.
        tolerance: EM stops when the mean log-likelihood (nats per example) increases by less than this in an iteration.
        temperature: Variance factor of each component in sampling.

    EM finds a local optimum, so that cold starts differ between seeds by more than sampling noise. A warm start continues EM
    from the mixture of the last generation, in which a component without examples stays lost.

    References:
        Dempster et al. 1977, Journal of the Royal Statistical Society B 39; Arthur and Vassilvitskii 2007 (k-means++).
    """

    k: Annotated[int, Ge(1), Le(100_000)] = 10
    covariance: Literal["full", "diagonal"] = "full"
    floor: Annotated[float, Number, Gt(0)] = 1e-3
    iterations: Annotated[int, Ge(1), Le(10_000_000)] = 100
    tolerance: Annotated[float, Number, Ge(0)] = 1e-3
    temperature: Annotated[float, Number, Ge(0)] = 1.0

    @classmethod
    def tiny(cls) -> Mixture:
        return cls(k=2, iterations=5)

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> MixtureDistribution:
        (d,) = shape
        means = jax.random.normal(key, (self.k, d))
        return self._distribution(jnp.full(self.k, 1 / self.k), means, jnp.broadcast_to(jnp.eye(d), (self.k, d, d)))

    def begin(self, key: PRNGKeyArray, x: Samples, weight: Float[Array, " n"], start: FitState | None) -> FitState:
        if start is not None:
            return dataclasses.replace(start, iteration=jnp.zeros((), jnp.int32), data=(x, weight))
        d = x.shape[1]
        total = jnp.maximum(weight.sum(), jnp.finfo(x.dtype).tiny)
        with jax.default_matmul_precision("highest"):
            variance = weight @ (x - weight @ x / total) ** 2 / total + self.floor
        factors = jnp.broadcast_to(jnp.diag(jnp.sqrt(variance)), (self.k, d, d))
        means = kmeans_plus_plus(key, x, weight, self.k)
        generator = self._distribution(jnp.full(self.k, 1 / self.k), means, factors)
        return FitState(generator, None, jnp.zeros((), jnp.int32), jnp.array(jnp.nan), (x, weight))

    def advance(self, state: FitState, updates: int) -> FitState:
        x, weight = state.data
        total = jnp.maximum(weight.sum(), jnp.finfo(x.dtype).tiny)
        start = state.generator
        if not isinstance(start, MixtureDistribution):
            raise TypeError(f"expected the state of a mixture, got {type(start).__name__}")

        def em_iteration(carry):
            count, p, means, factors, log_likelihood, _ = carry
            log_joint = self._log_joint(x, p, means, factors)
            log_x = jax.nn.logsumexp(log_joint, axis=1)
            # An example of weight 0 may be so far away that no component reaches it.
            responsibility = jnp.where(weight[:, None] > 0, jnp.exp(log_joint - log_x[:, None]) * weight[:, None], 0.0)
            return (
                count + 1,
                *self._maximise(x, responsibility, total, means),
                weight @ jnp.where(weight > 0, log_x, 0.0) / total,
                log_likelihood,
            )

        def is_unfinished(carry):
            count, _, _, _, log_likelihood, previous = carry
            return (count < self.iterations) & ((count < 2) | (log_likelihood - previous > self.tolerance))

        lowest = jnp.array(-jnp.inf)
        initial = (0, start.weights, start.means, start.factors, lowest, lowest)
        # By default GPUs multiply float32 matrices in TF32, with the precision of 16-bit numbers.
        with jax.default_matmul_precision("highest"):
            _, p, means, factors, log_likelihood, _ = jax.lax.while_loop(is_unfinished, em_iteration, initial)
        generator = self._distribution(p, means, factors)
        return dataclasses.replace(
            state, generator=generator, iteration=state.iteration + updates, loss=-log_likelihood
        )

    def check(self, source: Source) -> None:
        if len(source.shape) != 1:
            raise ConfigError(
                f"family: 'mixture' takes vectors, the source gives examples of shape {source.shape}; flatten them"
            )
        if source.size < self.k:
            raise ConfigError(
                f"family.k: {self.k} components need at least as many real examples, there are {source.size}; lower k or raise "
                "source.n"
            )

    def _log_joint(self, x, p, means, factors) -> Float[Array, "n k"]:
        d = x.shape[1]

        def component(mean, factor):
            if self.covariance == "diagonal":
                scale = jnp.diagonal(factor)
                z = (x - mean) / scale
                return -0.5 * (z**2).sum(axis=1) - jnp.log(scale).sum()
            inverse = jax.scipy.linalg.solve_triangular(factor, jnp.eye(d), lower=True)
            z = (x - mean) @ inverse.T
            return -0.5 * (z**2).sum(axis=1) - jnp.log(jnp.diagonal(factor)).sum()

        return jax.vmap(component)(means, factors).T + jnp.log(p) - 0.5 * d * math.log(2 * math.pi)

    def _maximise(self, x, responsibility, total, means):
        mass = responsibility.sum(axis=0)
        is_alive = mass > 1e-6
        size = jnp.where(is_alive, mass, 1.0)
        # An empty component keeps its mean with no weight, instead of dividing 0 by 0.
        new_means = jnp.where(is_alive[:, None], responsibility.T @ x / size[:, None], means)

        def factor(mean, column, size):
            deviation = x - mean
            if self.covariance == "diagonal":
                return jnp.diag(jnp.sqrt(column @ deviation**2 / size + self.floor))
            scatter = (deviation * column[:, None]).T @ deviation / size
            return jnp.linalg.cholesky(scatter + self.floor * jnp.eye(x.shape[1]))

        factors = jax.vmap(factor, in_axes=(0, 1, 0))(new_means, responsibility, size)
        return mass / total, new_means, factors

    def _distribution(self, p, means, factors) -> MixtureDistribution:
        return MixtureDistribution(p, means, factors, jnp.asarray(self.temperature, means.dtype))


def kmeans_plus_plus(key: PRNGKeyArray, x: Samples, weight: Float[Array, " n"], k: int) -> Float[Array, "k d"]:
    """The k-means++ initialisation for weighted examples: ``k`` rows of ``x``, sampled in turn.

    The probability of a row is proportional to its weight times its squared distance from the nearest row sampled so far.

    References:
        Arthur and Vassilvitskii 2007, k-means++: the advantages of careful seeding.
    """

    def add(i, carry):
        starts, distance = carry
        # With fewer than k distinct examples all distances become 0; then rows are sampled by weight alone.
        mass = jnp.where((distance * weight).sum() > 0, distance * weight, weight)
        start = x[sample_indices(jax.random.fold_in(key, i), mass, 1)[0]]
        return starts.at[i].set(start), jnp.minimum(distance, ((x - start) ** 2).sum(axis=1))

    first = x[sample_indices(jax.random.fold_in(key, 0), weight, 1)[0]]
    starts = jnp.zeros((k, x.shape[1]), x.dtype).at[0].set(first)
    return jax.lax.fori_loop(1, k, add, (starts, ((x - first) ** 2).sum(axis=1)))[0]
