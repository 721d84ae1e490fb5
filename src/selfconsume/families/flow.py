"""Normalizing flows, trained by maximum likelihood."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Annotated, Any, Literal, NamedTuple

import equinox as eqx
import flowjax.bijections as bijections
import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt
from flowjax.distributions import StandardNormal
from flowjax.flows import coupling_flow
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.draws import normal
from selfconsume.fit import Scaling, Trainable, Trained
from selfconsume.types import Density, Problem, Samples, Source


class Architecture(NamedTuple):
    """What a flow's functions depend on, beside its weights."""

    kind: Literal["coupling", "spline"]
    d: int
    layers: int
    width: int
    depth: int
    knots: int
    interval: float

    def build(self, key: PRNGKeyArray) -> Any:
        """A new bijection from noise to data, fast from data to noise."""
        spline = bijections.RationalQuadraticSpline(knots=self.knots, interval=self.interval)
        return coupling_flow(
            key,
            base_dist=StandardNormal((self.d,)),
            transformer=spline if self.kind == "spline" else None,
            flow_layers=self.layers,
            nn_width=self.width,
            nn_depth=self.depth,
            nn_activation=jax.nn.silu,
        ).bijection


@functools.lru_cache(maxsize=64)
def _template(architecture: Architecture) -> tuple[Any, Any]:
    """The structure of the weights, and all else of a flow: functions and permutations, the same for every seed.

    It is built outside of any trace. Functions of a traced flow hold on to values of that trace.
    """
    with jax.ensure_compile_time_eval():
        weights, rest = eqx.partition(architecture.build(jax.random.key(0)), eqx.is_inexact_array)
    return jax.tree.structure(weights), rest


class Flow(Trainable, Density):
    """An invertible map of a standard Gaussian."""

    net: tuple[Float[Array, "..."], ...]
    """The weights, in the order of the bijection's leaves."""
    scaling: Scaling
    temperature: Float[Array, ""]
    architecture: Architecture = eqx.field(static=True)

    @property
    def bijection(self) -> Any:
        """The map from noise to scaled data."""
        structure, rest = _template(self.architecture)
        return eqx.combine(jax.tree.unflatten(structure, self.net), rest)

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        z = normal(key, (n, self.architecture.d)) * jnp.sqrt(self.temperature)
        return self.scaling.decode(jax.vmap(self.bijection.transform)(z))

    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        """Log density (nats) at temperature 1."""
        return self.log_prob_scaled(self.scaling.encode(x)) - self.architecture.d * jnp.log(self.scaling.scale)

    def log_prob_scaled(self, z: Samples) -> Float[Array, " n"]:
        """Log density of scaled examples, with respect to scaled volume."""
        noise, log_determinant = jax.vmap(self.bijection.inverse_and_log_det)(z)
        constant = 0.5 * self.architecture.d * math.log(2 * math.pi)
        return log_determinant - 0.5 * (noise**2).sum(axis=1) - constant


@dataclasses.dataclass(frozen=True, kw_only=True)
class NormalizingFlow(Trained):
    """Normalizing flow of coupling layers, affine (RealNVP) or rational-quadratic splines, by maximum likelihood.

    Besides the fields of `selfconsume.fit.Trained`:

    Attributes:
        architecture: "coupling" (affine, RealNVP) or "spline".
        layers: Coupling layers; each transforms half of the coordinates given the others, and then permutes them. Four
            spline layers cost as much as six affine ones and fit clusters better.
        width: Units of the conditioners' hidden layers.
        depth: Hidden layers of a conditioner.
        knots: Inner knots of a spline.
        interval: Splines act on [-interval, interval], in units of the data's deviation, and leave the rest as it is.

    Needs at least two coordinates. The loss is the mean negative log-likelihood in nats, of scaled examples.

    References:
        Dinh et al. 2017, arXiv:1605.08803; Durkan et al. 2019, arXiv:1906.04032. The layers are flowjax's.
    """

    architecture: Literal["coupling", "spline"] = "coupling"
    layers: Annotated[int, Ge(2)] = 6
    width: Annotated[int, Ge(1)] = 64
    depth: Annotated[int, Ge(1)] = 2
    knots: Annotated[int, Ge(2)] = 8
    interval: Annotated[float, Gt(0)] = 5.0

    @classmethod
    def tiny(cls) -> NormalizingFlow:
        return cls(updates=8, batch=8, layers=2, width=4, depth=1)

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Flow:
        architecture = Architecture(
            self.architecture, *shape, self.layers, self.width, self.depth, self.knots, float(self.interval)
        )
        weights = jax.tree.leaves(eqx.filter(architecture.build(key), eqx.is_inexact_array))
        temperature = jnp.asarray(self.temperature, jnp.float32)
        return Flow(tuple(weights), Scaling.identity(shape), temperature, architecture)

    def prepare(self, key: PRNGKeyArray, generator: Flow, z: Samples) -> Samples:
        return z

    def loss(self, generator: Flow, prepared: Samples) -> Float[Array, ""]:
        return -generator.log_prob_scaled(prepared).mean()

    def check(self, source: Source) -> None:
        super().check(source)
        if source.shape[0] < 2:
            raise Problem("family: coupling layers need at least two coordinates, the source gives one")
