"""Normalizing flows of coupling layers, trained by maximum likelihood."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Annotated, Any, Literal, NamedTuple

import equinox as eqx
import flowjax.bijections as bijections
import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt, Le
from flowjax.distributions import StandardNormal
from flowjax.flows import coupling_flow
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.distributions.random import normal
from selfconsume.models.nets.glow import Glow
from selfconsume.models.training.batched_sampling import decoded_samples
from selfconsume.models.training.gradient_loop import NeuralGenerator, advance_training, begin_training
from selfconsume.models.training.scaling import Scaling, is_image
from selfconsume.models.training.training_settings import TrainingSettings, check_training
from selfconsume.tracing import traced_in_lane
from selfconsume.types import Density, Family, FitState, Samples, Source

MARGIN = 0.05
"""Margin of the logit transform of images: their range [0, 1] becomes [MARGIN, 1 - MARGIN], where the logit is finite (alpha
of Dinh et al. 2017, section 4.1)."""


class Architecture(NamedTuple):
    """The hyperparameters that determine a flow's functions, its weights aside."""

    kind: Literal["coupling", "spline"]
    d: int
    """Length of an example."""
    layers: int
    width: int
    depth: int
    knots: int
    interval: float

    def build(self, key: PRNGKeyArray) -> Any:
        """A new bijection from noise to data; its inverse is the fast direction."""
        spline = bijections.RationalQuadraticSpline(knots=self.knots, interval=self.interval)
        # flowjax's run-time checks of constants fail while they are traced; NaN would show them in a lane.
        return traced_in_lane(coupling_flow)(
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
    """The structure of a flow's weights, and its other leaves: functions and permutations, the same for every seed.

    Built outside any trace, because the functions of a traced flow would leak that trace's values; and once per mesh of
    devices, because constants belong to the mesh under which they are created.
    """
    with jax.ensure_compile_time_eval():
        weights, static = eqx.partition(architecture.build(jax.random.key(0)), eqx.is_inexact_array)
    return jax.tree.structure(weights), static


class VectorFlow(NeuralGenerator, Density):
    """An invertible map from standard Gaussian noise to vectors."""

    net: tuple[Float[Array, "..."], ...]
    """The weights, in the order of the bijection's leaves."""
    scaling: Scaling
    temperature: Float[Array, ""]
    architecture: Architecture = eqx.field(static=True)

    @property
    def bijection(self) -> Any:
        """The map from noise to data in network units."""
        structure, static = _template(self.architecture, jax.sharding.get_abstract_mesh())
        return eqx.combine(jax.tree.unflatten(structure, self.net), static)

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        z = normal(key, (n, self.architecture.d)) * jnp.sqrt(self.temperature)
        return self.scaling.decode(jax.vmap(self.bijection.transform)(z))

    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        """Log density (nats) at temperature 1."""
        return self.log_prob_scaled(self.scaling.encode(x)) - self.architecture.d * jnp.log(self.scaling.scale)

    def log_prob_scaled(self, z: Samples) -> Float[Array, " n"]:
        """Log density of examples in network units, with respect to volume in these units."""
        noise, log_determinant = jax.vmap(self.bijection.inverse_and_log_det)(z)
        constant = 0.5 * self.architecture.d * math.log(2 * math.pi)
        return log_determinant - 0.5 * (noise**2).sum(axis=1) - constant

    def dequantise(self, key: PRNGKeyArray, z: Samples) -> Samples:
        """Vectors in network units are trained on unchanged."""
        return z

    def mean_loss(self, z: Samples) -> Float[Array, ""]:
        """Mean negative log-likelihood, in nats per example."""
        return -self.log_prob_scaled(z).mean()


class ImageFlow(NeuralGenerator, Density):
    """An invertible map from standard Gaussian noise to the logits of dequantised bytes."""

    net: Glow
    scaling: Scaling
    temperature: Float[Array, ""]

    def sample_logits(self, key: PRNGKeyArray, n: int) -> Float[Array, "n h w c"]:
        """Logits of values in [MARGIN, 1 - MARGIN]."""
        height, width, channels = self.scaling.shift.shape
        noise = normal(key, (n, height * width * channels)) * jnp.sqrt(self.temperature)
        return self.net.to_image(noise, (height, width, channels))

    def quantise(self, y: Float[Array, "n h w c"]) -> Samples:
        """Logits to bytes; values outside the range of bytes are clipped."""
        value = (jax.nn.sigmoid(y) - MARGIN) / (1 - 2 * MARGIN)
        return jnp.nan_to_num(jnp.clip(jnp.floor(256 * value), 0, 255)).astype(jnp.uint8)

    def attempt(self, key: PRNGKeyArray, n: int) -> tuple[Samples, Bool[Array, " n"]]:
        return decoded_samples(key, n, self.scaling.shift.shape, self.sample_logits, self.quantise)

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        return self.attempt(key, n)[0]

    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        """Log mass (nats) of bytes at temperature 1: a lower bound, by one uniform sample per image.

        The mass of an image is the integral of the density over its unit cube; by Jensen's inequality its logarithm is at
        least the mean of the log density there, estimated at one uniform point of each image, the same points in every
        call. Divided by ``-log(2)`` and the number of bytes it is the bits per dimension of the literature. Mass outside
        the range of bytes, to which samples are clipped, is not counted.

        References:
            Theis et al. 2016, arXiv:1511.01844, section 3.1.
        """
        points = jax.random.uniform(jax.random.key(0), x.shape)
        return self.log_prob_continuous((x + points) / 256) - x[0].size * math.log(256)

    def log_prob_continuous(self, value: Float[Array, "n h w c"]) -> Float[Array, " n"]:
        """Log density of images with values in [0, 1], through their logits (Dinh et al. 2017, section 4.1)."""
        inner = MARGIN + (1 - 2 * MARGIN) * value
        low, high = jnp.log(inner), jnp.log1p(-inner)
        noise, log_determinant = self.net.to_noise(low - high)
        log_derivative = math.log(1 - 2 * MARGIN) - low - high
        constant = 0.5 * noise.shape[1] * math.log(2 * math.pi)
        return log_determinant + log_derivative.sum(axis=(1, 2, 3)) - 0.5 * (noise**2).sum(axis=1) - constant

    def dequantise(self, key: PRNGKeyArray, z: Samples) -> Samples:
        """Images in network units as values in [0, 1], each byte uniform in its own cell."""
        byte = jnp.round(z * self.scaling.scale + self.scaling.shift)
        return (byte + jax.random.uniform(key, z.shape)) / 256

    def mean_loss(self, value: Samples) -> Float[Array, ""]:
        """Mean negative log-likelihood, in bits per dimension."""
        return 8.0 - self.log_prob_continuous(value).mean() / (value[0].size * math.log(2))


@dataclasses.dataclass(frozen=True, kw_only=True)
class NormalizingFlow(TrainingSettings, Family):
    """Normalizing flow of coupling layers, affine (RealNVP, Glow) or rational-quadratic splines, by maximum likelihood.

    Besides the fields of `TrainingSettings`:

    Attributes:
        architecture: Coupling layers: affine ("coupling": RealNVP, on images Glow) or "spline" (rational-quadratic; vectors
            only).
        layers: Coupling layers; each transforms half of the coordinates given the other half, followed by a permutation. On
            images, layers of each resolution. Four spline layers cost as much as six affine ones and fit clusters better.
        width: Units of the conditioners' hidden layers.
        depth: Hidden layers of a conditioner.
        knots: Inner knots of a spline.
        interval: Splines act on [-interval, interval], in units of the data's standard deviation; the identity outside.
        levels: Resolutions of the multi-scale architecture on images (`selfconsume.models.nets.glow.Glow`).

    The loss is the mean negative log-likelihood: of vectors in nats, in network units; of images in bits per dimension, of
    uniformly dequantised bytes. Vectors need at least two coordinates. An affine flow maps one connected cloud: between
    separate clusters it leaves bridges of samples, which a loop feeds back.

    References:
        Dinh et al. 2017, arXiv:1605.08803 (affine coupling, eqs. 7 and 8); Durkan et al. 2019, arXiv:1906.04032 (splines);
        on images Kingma and Dhariwal 2018, arXiv:1807.03039. Layers for vectors are flowjax's.
    """

    architecture: Literal["coupling", "spline"] = "coupling"
    layers: Annotated[int, Ge(2), Le(100)] = 6
    width: Annotated[int, Ge(1), Le(100_000)] = 64
    depth: Annotated[int, Ge(1), Le(100)] = 2
    knots: Annotated[int, Ge(2), Le(10_000)] = 8
    interval: Annotated[float, Gt(0)] = 5.0
    levels: Annotated[int, Ge(1), Le(20)] = 2

    @classmethod
    def tiny(cls) -> NormalizingFlow:
        return cls(updates=8, batch=8, layers=2, width=4, depth=1)

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> VectorFlow | ImageFlow:
        temperature = jnp.asarray(self.temperature, jnp.float32)
        if is_image(shape):
            net = Glow.init(key, shape, levels=self.levels, steps=self.layers, width=self.width, depth=self.depth)
            return ImageFlow(net, Scaling.identity(shape), temperature)
        (d,) = shape
        architecture = Architecture(
            self.architecture, d, self.layers, self.width, self.depth, self.knots, float(self.interval)
        )
        weights = jax.tree.leaves(eqx.filter(architecture.build(key), eqx.is_inexact_array))
        return VectorFlow(tuple(weights), Scaling.identity(shape), temperature, architecture)

    def begin(self, key: PRNGKeyArray, x: Samples, weight: Float[Array, " n"], start: FitState | None) -> FitState:
        return begin_training(self, self.init, key, x, weight, start)

    def advance(self, state: FitState, updates: int) -> FitState:
        return advance_training(self, state, updates, prepare=self.prepare, loss=self.loss)

    def prepare(self, key: PRNGKeyArray, generator: VectorFlow | ImageFlow, z: Samples) -> Samples:
        """A minibatch in network units as continuous values."""
        return generator.dequantise(key, z)

    def loss(self, generator: VectorFlow | ImageFlow, prepared: Samples) -> Float[Array, ""]:
        return generator.mean_loss(prepared)

    def check(self, source: Source) -> None:
        check_training(self, source)
        shape = source.shape
        if not is_image(shape):
            if shape[0] < 2:
                raise ConfigError(
                    "family: coupling layers need at least two coordinates, the source gives one; use another family"
                )
            return
        if self.architecture != "coupling":
            raise ConfigError(f"family.architecture: {self.architecture!r} takes vectors, not images; use 'coupling'")
        multiple = 2**self.levels
        if shape[0] % multiple or shape[1] % multiple:
            raise ConfigError(
                f"family.levels: {self.levels} levels halve images down to 1/{multiple}, so that height and width must be "
                f"multiples of {multiple}, got {shape[0]} x {shape[1]}; resize or pad them, or use fewer levels"
            )
