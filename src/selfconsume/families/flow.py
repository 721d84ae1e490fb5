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

from selfconsume.errors import ConfigError
from selfconsume.models.distributions.random import normal
from selfconsume.models.nets.glow import Glow
from selfconsume.models.training.gradient_loop import Trainable, Trained
from selfconsume.models.training.network_family import Portioned, check_bytes
from selfconsume.models.training.scaling import Scaling, is_image
from selfconsume.types import Density, Samples, Source

MARGIN = 0.05
"""How far the ends of an image's range are moved inwards before the logit, which is infinite there."""


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
def _template(architecture: Architecture, mesh: Any) -> tuple[Any, Any]:
    """The structure of the weights, and all else of a flow: functions and permutations, the same for every seed.

    It is built outside of any trace. Functions of a traced flow hold on to values of that trace; constants belong to the
    mesh of devices under which they were made.
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
        structure, rest = _template(self.architecture, jax.sharding.get_abstract_mesh())
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

    def continuous(self, key: PRNGKeyArray, z: Samples) -> Samples:
        """A batch in network units as it is trained on."""
        return z

    def cost(self, z: Samples) -> Float[Array, ""]:
        """Nats an example."""
        return -self.log_prob_scaled(z).mean()


class ImageFlow(Portioned, Density):
    """An invertible map of a standard Gaussian to the logits of dequantised bytes."""

    net: Glow
    scaling: Scaling
    temperature: Float[Array, ""]

    def drawn(self, key: PRNGKeyArray, n: int) -> Float[Array, "n h w c"]:
        """Logits of shares of the range of bytes."""
        shape = self.scaling.shift.shape
        return self.net.back(normal(key, (n, math.prod(shape))) * jnp.sqrt(self.temperature), shape)

    def decoded(self, z: Float[Array, "n h w c"]) -> Samples:
        share = (jax.nn.sigmoid(z) - MARGIN) / (1 - 2 * MARGIN)
        return jnp.nan_to_num(jnp.clip(jnp.floor(256 * share), 0, 255)).astype(jnp.uint8)

    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        """Log mass (nats) of bytes at temperature 1, estimated from below.

        The mass of an image is the density's integral over its unit cube; its logarithm is at least the mean of the log
        density there, of which this is the value at one uniform point of each image, the same points in every call.
        Divided by ``-log(2)`` and the number of bytes it is the literature's bits per dimension. Mass outside of the range
        of bytes, which samples are cut to, is not counted.

        References:
            Theis et al. 2016, arXiv:1511.01844, section 3.1.
        """
        points = jax.random.uniform(jax.random.key(0), x.shape)
        return self.log_prob_shares((x + points) / 256) - x[0].size * math.log(256)

    def log_prob_shares(self, share: Float[Array, "n h w c"]) -> Float[Array, " n"]:
        """Log density of values in [0, 1], through their logit (Dinh et al. 2017, section 4.1)."""
        inner = MARGIN + (1 - 2 * MARGIN) * share
        low, high = jnp.log(inner), jnp.log1p(-inner)
        noise, log_determinant = self.net.forth(low - high)
        each = math.log(1 - 2 * MARGIN) - low - high
        constant = 0.5 * noise.shape[1] * math.log(2 * math.pi)
        return log_determinant + each.sum(axis=(1, 2, 3)) - 0.5 * (noise**2).sum(axis=1) - constant

    def continuous(self, key: PRNGKeyArray, z: Samples) -> Samples:
        """A batch in network units as values in [0, 1], each byte uniformly in its own cell."""
        byte = jnp.round(z * self.scaling.scale + self.scaling.shift)
        return (byte + jax.random.uniform(key, z.shape)) / 256

    def cost(self, share: Samples) -> Float[Array, ""]:
        """Bits per dimension."""
        return 8.0 - self.log_prob_shares(share).mean() / (share[0].size * math.log(2))


@dataclasses.dataclass(frozen=True, kw_only=True)
class NormalizingFlow(Trained):
    """Normalizing flow of coupling layers, affine (RealNVP, Glow) or rational-quadratic splines, by maximum likelihood.

    Besides the fields of `Trained`:

    Attributes:
        architecture: "coupling" (affine, RealNVP) or "spline".
        layers: Coupling layers; each transforms half of the coordinates given the others, and then permutes them. Four
            spline layers cost as much as six affine ones and fit clusters better.
        width: Units of the conditioners' hidden layers.
        depth: Hidden layers of a conditioner.
        knots: Inner knots of a spline.
        interval: Splines act on [-interval, interval], in units of the data's deviation, and leave the rest as it is.
        levels: Resolutions at which images are transformed, each by as many layers (`selfconsume.models.nets.glow.Glow`).

    Vectors need at least two coordinates. The loss is the mean negative log-likelihood: of vectors in nats, scaled; of
    images in bits per dimension, of bytes with uniform noise.

    References:
        Dinh et al. 2017, arXiv:1605.08803; Durkan et al. 2019, arXiv:1906.04032; on images Kingma and Dhariwal 2018,
        arXiv:1807.03039. Layers for vectors are flowjax's.
    """

    architecture: Literal["coupling", "spline"] = "coupling"
    layers: Annotated[int, Ge(2)] = 6
    width: Annotated[int, Ge(1)] = 64
    depth: Annotated[int, Ge(1)] = 2
    knots: Annotated[int, Ge(2)] = 8
    interval: Annotated[float, Gt(0)] = 5.0
    levels: Annotated[int, Ge(1)] = 2

    @classmethod
    def tiny(cls) -> NormalizingFlow:
        return cls(updates=8, batch=8, layers=2, width=4, depth=1)

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Flow | ImageFlow:
        if is_image(shape):
            sizes = {"levels": self.levels, "steps": self.layers, "width": self.width, "depth": self.depth}
            net, temperature = Glow.init(key, shape, **sizes), jnp.asarray(self.temperature, jnp.float32)
            return ImageFlow(net, Scaling.identity(shape), temperature)
        architecture = Architecture(
            self.architecture, *shape, self.layers, self.width, self.depth, self.knots, float(self.interval)
        )
        weights = jax.tree.leaves(eqx.filter(architecture.build(key), eqx.is_inexact_array))
        temperature = jnp.asarray(self.temperature, jnp.float32)
        return Flow(tuple(weights), Scaling.identity(shape), temperature, architecture)

    def prepare(self, key: PRNGKeyArray, generator: Flow | ImageFlow, z: Samples) -> Samples:
        return generator.continuous(key, z)

    def loss(self, generator: Flow | ImageFlow, prepared: Samples) -> Float[Array, ""]:
        return generator.cost(prepared)

    def check(self, source: Source) -> None:
        if is_image(source.shape):
            self.check_batch()
            check_bytes(source)
            self._check_image(source.shape)
            return
        super().check(source)
        if source.shape[0] < 2:
            raise ConfigError("family: coupling layers need at least two coordinates, the source gives one")

    def _check_image(self, shape: tuple[int, ...]) -> None:
        if self.architecture != "coupling":
            raise ConfigError(f"family.architecture: {self.architecture!r} takes vectors, not images; use 'coupling'")
        multiple = 2**self.levels
        if shape[0] % multiple or shape[1] % multiple:
            raise ConfigError(
                f"family.levels: {self.levels} levels halve images down to 1/{multiple}, so that height and width must be "
                f"multiples of {multiple}, got {shape[0]} x {shape[1]}; resize or pad them, or take fewer levels"
            )
