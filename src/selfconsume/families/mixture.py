"""Gaussian mixtures fitted by expectation-maximisation."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.distributions.exact import Mixture as MixtureDistribution
from selfconsume.models.distributions.random import by_weight
from selfconsume.types import Family, FitState, Number, Samples, Source


@dataclasses.dataclass(frozen=True)
class Mixture(Family):
    """Gaussian mixture fitted by weighted EM from starts drawn as in k-means++.

    Attributes:
        k: Components.
        covariance: "full" or "diagonal".
        floor: Added to every variance, in squared data units: the covariance floor that keeps components from shrinking
            onto single examples. It biases variances upwards by as much.
        iterations: Most EM iterations.
        tolerance: EM stops when the mean log-likelihood gains less than this in an iteration.
        temperature: Variance factor of each component in sampling.

    A warm start continues EM from the last mixture; EM finds a local optimum, so cold starts differ between seeds.
    """

    k: Annotated[int, Ge(1)] = 10
    covariance: Literal["full", "diagonal"] = "full"
    floor: Annotated[float, Number, Gt(0)] = 1e-3
    iterations: Annotated[int, Ge(1)] = 100
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
        means = spread_starts(key, x, weight, self.k)
        generator = self._distribution(jnp.full(self.k, 1 / self.k), means, factors)
        return FitState(generator, None, jnp.zeros((), jnp.int32), jnp.array(jnp.nan), (x, weight))

    def advance(self, state: FitState, updates: int) -> FitState:
        x, weight = state.data
        total = jnp.maximum(weight.sum(), jnp.finfo(x.dtype).tiny)
        start = state.generator

        def improve(carry):
            count, p, means, factors, now, _ = carry
            log_joint = self._log_joint(x, p, means, factors)
            log_x = jax.nn.logsumexp(log_joint, axis=1)
            # A row without weight may be so far off that no component reaches it.
            share = jnp.where(weight[:, None] > 0, jnp.exp(log_joint - log_x[:, None]) * weight[:, None], 0.0)
            return (
                count + 1,
                *self._maximise(x, share, total, means),
                weight @ jnp.where(weight > 0, log_x, 0.0) / total,
                now,
            )

        def goes_on(carry):
            count, _, _, _, now, before = carry
            return (count < self.iterations) & ((count < 2) | (now - before > self.tolerance))

        nothing = jnp.array(-jnp.inf)
        first = (0, start.weights, start.means, start.factors, nothing, nothing)
        # GPUs multiply float32 matrices with the digits of a half unless told otherwise.
        with jax.default_matmul_precision("highest"):
            _, p, means, factors, now, _ = jax.lax.while_loop(goes_on, improve, first)
        generator = self._distribution(p, means, factors)
        return dataclasses.replace(state, generator=generator, iteration=state.iteration + updates, loss=-now)

    def check(self, source: Source) -> None:
        if len(source.shape) != 1:
            raise ConfigError(f"family: 'mixture' takes vectors, the source gives examples of shape {source.shape}")
        if source.size < self.k:
            raise ConfigError(
                f"family.k: {self.k} components need at least as many real examples; there are {source.size}"
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

    def _maximise(self, x, share, total, means):
        mass = share.sum(axis=0)
        alive = mass > 1e-6
        safe = jnp.where(alive, mass, 1.0)
        # An empty component keeps its place with no weight, instead of dividing 0 by 0.
        new = jnp.where(alive[:, None], share.T @ x / safe[:, None], means)

        def factor(mean, column, size):
            centred = x - mean
            if self.covariance == "diagonal":
                return jnp.diag(jnp.sqrt(column @ centred**2 / size + self.floor))
            scatter = (centred * column[:, None]).T @ centred / size
            return jnp.linalg.cholesky(scatter + self.floor * jnp.eye(x.shape[1]))

        factors = jax.vmap(factor, in_axes=(0, 1, 0))(new, share, safe)
        return mass / total, new, factors

    def _distribution(self, p, means, factors) -> MixtureDistribution:
        return MixtureDistribution(p, means, factors, jnp.asarray(self.temperature, means.dtype))


def spread_starts(key: PRNGKeyArray, x: Samples, weight: Float[Array, " n"], k: int) -> Float[Array, "k d"]:
    """``k`` rows of ``x``, each drawn by weight times squared distance to the rows drawn before.

    Arthur and Vassilvitskii 2007 (k-means++), for weighted examples.
    """

    def add(i, carry):
        starts, distance = carry
        # On fewer than k distinct examples all distances become 0; then any example will do.
        mass = jnp.where((distance * weight).sum() > 0, distance * weight, weight)
        chosen = x[by_weight(jax.random.fold_in(key, i), mass, 1)[0]]
        return starts.at[i].set(chosen), jnp.minimum(distance, ((x - chosen) ** 2).sum(axis=1))

    first = x[by_weight(jax.random.fold_in(key, 0), weight, 1)[0]]
    starts = jnp.zeros((k, x.shape[1]), x.dtype).at[0].set(first)
    return jax.lax.fori_loop(1, k, add, (starts, ((x - first) ** 2).sum(axis=1)))[0]
