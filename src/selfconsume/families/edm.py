"""Diffusion with the preconditioning, training noise levels and Heun sampler of Karras et al. (EDM)."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt, Le
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.distributions.random import normal
from selfconsume.models.nets import Network
from selfconsume.models.training.batched_sampling import decoded_samples
from selfconsume.models.training.gradient_loop import NeuralGenerator, advance_training, begin_training
from selfconsume.models.training.network_family import (
    NetworkFamily,
    RegressionBatch,
    augment_minibatch,
    check_network,
    new_network,
)
from selfconsume.models.training.samplers import karras_sampler, karras_sigmas
from selfconsume.models.training.scaling import Scaling, is_image
from selfconsume.types import FitState, Number, Samples, Source


class Preconditioning(NamedTuple):
    """The factors of ``D(x; sigma) = c_skip x + c_out F(c_in x; c_noise)``, Karras et al. 2022, table 1."""

    c_skip: Array
    c_out: Array
    c_in: Array
    c_noise: Array

    @classmethod
    def at(cls, sigma: Array, sigma_data: float) -> Preconditioning:
        """The factors at noise levels."""
        total = jnp.sqrt(sigma**2 + sigma_data**2)
        return cls(sigma_data**2 / total**2, sigma * sigma_data / total, 1 / total, jnp.log(sigma) / 4)


class Sampling(NamedTuple):
    """Settings of the sampler, under the names of Karras et al.; see the fields of `EDM`."""

    steps: int
    sigma_min: float
    sigma_max: float
    rho: float
    S_churn: float
    S_tmin: float
    S_tmax: float
    S_noise: float


class Denoiser(NeuralGenerator):
    """A preconditioned network ``D(x; sigma)``: an estimate of the clean example, given a noisy one and its noise level."""

    net: Network
    scaling: Scaling
    temperature: Float[Array, ""]
    sigma_data: float = eqx.field(static=True)
    sampling: Sampling = eqx.field(static=True)

    def denoise(self, x: Samples, sigma: Float[Array, ""]) -> Samples:
        """``D(x; sigma)`` of rows at one noise level, in network units times `unit`."""
        c_skip, c_out, c_in, c_noise = Preconditioning.at(sigma, self.sigma_data)
        return c_skip * x + c_out * self.net(c_in * x, jnp.reshape(c_noise, 1))

    def sample_scaled(self, key: PRNGKeyArray, n: int) -> Float[Array, "n *shape"]:
        """Examples in network units."""
        initial, churn = jax.random.split(key)
        settings, spread = self.sampling, jnp.sqrt(self.temperature)
        x = karras_sampler(
            churn,
            self.denoise,
            settings.sigma_max * spread * normal(initial, (n, *self.scaling.shift.shape)),
            karras_sigmas(settings.steps, settings.sigma_min, settings.sigma_max, settings.rho),
            S_churn=settings.S_churn,
            S_tmin=settings.S_tmin,
            S_tmax=settings.S_tmax,
            S_noise=settings.S_noise * spread,
        )
        return x / unit(self.scaling.shift.shape, self.sigma_data)

    def attempt(self, key: PRNGKeyArray, n: int) -> tuple[Samples, Bool[Array, " n"]]:
        return decoded_samples(key, n, self.scaling.shift.shape, self.sample_scaled, self.scaling.decode)

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        return self.attempt(key, n)[0]


def unit(shape: tuple[int, ...], sigma_data: float) -> float:
    """Factor from network units to the units in which noise levels have the meaning of the paper.

    Vectors have standard deviation 1 in network units and are scaled to `sigma_data`. Images are in [-1, 1] as in the paper,
    where 0.5 is about their own standard deviation.
    """
    return 1.0 if is_image(shape) else sigma_data


@dataclasses.dataclass(frozen=True, kw_only=True)
class EDM(NetworkFamily):
    """Diffusion with the preconditioning, log-normal noise levels and Heun sampler of Karras et al.

    Besides the fields of `TrainingSettings` and `NetworkSettings`:

    Attributes:
        loss_over: Whether the loss of an example is the "mean" or, as in the paper's code, the "sum" over its coordinates. Adam
            divides by the size of gradients, so that this matters for `clip_norm` and Adam's epsilon alone.
        P_mean: Mean of the log noise level in training.
        P_std: Standard deviation of the log noise level in training.
        sigma_data: Standard deviation that vectors are scaled to (root mean square over coordinates), so that noise levels
            have the meaning of the paper. Images are always scaled to [-1, 1]; for them it is the assumed standard deviation.
        steps: Noise levels of sampling, before level 0; each costs two network evaluations, the last one.
        sigma_min: Lowest noise level of sampling.
        sigma_max: Highest noise level of sampling.
        rho: Exponent of the spacing of noise levels (eq. 5): larger values put more steps at low noise.
        S_churn: Amount of noise added over the whole sampling trajectory; 0 is the deterministic sampler.
        S_tmin: Lowest noise level at which noise is added.
        S_tmax: Highest noise level at which noise is added.
        S_noise: Standard deviation of the added noise, relative to the one that preserves the noise level.

    Noise added by the stochastic sampler is scaled by the temperature too. The sampler has a bias of its own: with an exact
    denoiser and the paper's noise levels, 18 steps widen a Gaussian of 0.2 to 1 of the data's standard deviation by 9 to
    6 %, 40 steps by 2 to 1 %, and a loop accumulates that.

    References:
        Karras et al. 2022, arXiv:2206.00364, table 1 and algorithms 1 and 2.
    """

    loss_over: Literal["mean", "sum"] = "mean"
    P_mean: Annotated[float, Number] = -1.2
    P_std: Annotated[float, Number, Ge(0)] = 1.2
    sigma_data: Annotated[float, Gt(0)] = 0.5
    steps: Annotated[int, Ge(2), Le(100_000)] = 18
    sigma_min: Annotated[float, Gt(0)] = 0.002
    sigma_max: Annotated[float, Gt(0)] = 80.0
    rho: Annotated[float, Gt(0)] = 7.0
    S_churn: Annotated[float, Ge(0)] = 0.0
    S_tmin: Annotated[float, Ge(0)] = 0.0
    S_tmax: Annotated[float, Ge(0)] = 1e6
    S_noise: Annotated[float, Ge(0)] = 1.0

    @classmethod
    def tiny(cls) -> EDM:
        return cls(updates=8, batch=8, width=4, depth=1, steps=2)

    @property
    def evaluations(self) -> int:
        return 2 * self.steps - 1

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Denoiser:
        net, temperature = new_network(self, key, shape), jnp.asarray(self.temperature, jnp.float32)
        sampling = Sampling(*(getattr(self, name) for name in Sampling._fields))
        return Denoiser(net, Scaling.identity(shape), temperature, self.sigma_data, sampling)

    def begin(self, key: PRNGKeyArray, x: Samples, weight: Float[Array, " n"], start: FitState | None) -> FitState:
        return begin_training(self, self.init, key, x, weight, start)

    def advance(self, state: FitState, updates: int) -> FitState:
        return advance_training(self, state, updates, prepare=self.prepare, loss=self.loss)

    def prepare(self, key: PRNGKeyArray, generator: NeuralGenerator, z: Samples) -> RegressionBatch:
        """Examples at log-normal noise levels, preconditioned, and the effective targets of the network."""
        key, z, training = augment_minibatch(self, key, z)
        level, noise = jax.random.split(key)
        sigma = jnp.exp(self.P_mean + self.P_std * jax.random.normal(level, (z.shape[0], *[1] * (z.ndim - 1))))
        y = unit(z.shape[1:], self.sigma_data) * z
        x = y + sigma * normal(noise, z.shape)
        c_skip, c_out, c_in, c_noise = Preconditioning.at(sigma, self.sigma_data)
        return RegressionBatch(c_in * x, c_noise.reshape(-1), (y - c_skip * x) / c_out, training)

    def loss(self, generator: NeuralGenerator, prepared: RegressionBatch) -> Float[Array, ""]:
        """Equation 8 of the paper; the weighting ``1 / c_out^2`` gives all noise levels the same weight on the network."""
        factor = math.prod(prepared.x.shape[1:]) if self.loss_over == "sum" else 1
        return factor * prepared.squared_error(generator.net)

    def check(self, source: Source) -> None:
        check_network(self, source)
        if self.sigma_min >= self.sigma_max:
            raise ConfigError(
                f"family.sigma_min: expected less than sigma_max = {self.sigma_max:g}, got {self.sigma_min:g}; "
                "lower sigma_min or raise sigma_max"
            )
