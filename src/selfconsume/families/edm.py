"""Diffusion in the design space of Karras et al.: preconditioning, noise levels in training, Heun's sampler."""

from __future__ import annotations

import dataclasses
from typing import Annotated, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.distributions.random import normal
from selfconsume.models.nets import Network, Training
from selfconsume.models.training.network_family import Networked, Portioned
from selfconsume.models.training.samplers import karras_sampler, karras_sigmas
from selfconsume.models.training.scaling import Scaling, is_image
from selfconsume.types import Number, Samples, Source


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
    """How noise is taken away; names and defaults of Karras et al."""

    steps: int
    sigma_min: float
    sigma_max: float
    rho: float
    S_churn: float
    S_tmin: float
    S_tmax: float
    S_noise: float


class Denoiser(Portioned):
    """A preconditioned network that predicts the clean example from a noisy one and its noise level."""

    net: Network
    scaling: Scaling
    temperature: Float[Array, ""]
    sigma_data: float = eqx.field(static=True)
    sampling: Sampling = eqx.field(static=True)

    def denoised(self, x: Samples, sigma: Float[Array, ""]) -> Samples:
        """``D(x; sigma)`` for rows at one noise level, in the units of `unit`."""
        c_skip, c_out, c_in, c_noise = Preconditioning.at(sigma, self.sigma_data)
        return c_skip * x + c_out * self.net(c_in * x, jnp.reshape(c_noise, 1))

    def drawn(self, key: PRNGKeyArray, n: int) -> Float[Array, "n *shape"]:
        start, between = jax.random.split(key)
        own, spread = self.sampling, jnp.sqrt(self.temperature)
        x = karras_sampler(
            between,
            self.denoised,
            own.sigma_max * spread * normal(start, (n, *self.scaling.shift.shape)),
            karras_sigmas(own.steps, own.sigma_min, own.sigma_max, own.rho),
            S_churn=own.S_churn,
            S_tmin=own.S_tmin,
            S_tmax=own.S_tmax,
            S_noise=own.S_noise * spread,
        )
        return x / unit(self.scaling.shift.shape, self.sigma_data)


def unit(shape: tuple[int, ...], sigma_data: float) -> float:
    """What network units are multiplied by, so that noise levels mean what they mean in the paper.

    Vectors have deviation 1 there and are scaled to `sigma_data`. Images are in [-1, 1] as in the paper, where 0.5 is about
    the deviation that they have by themselves.
    """
    return 1.0 if is_image(shape) else sigma_data


class Noised(NamedTuple):
    """Inputs of the network at random noise levels, and what it should answer."""

    c_noise: Float[Array, " n"]
    x: Float[Array, "n *shape"]
    target: Float[Array, "n *shape"]
    training: Training | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class EDM(Networked):
    """Diffusion with the preconditioning, log-normal noise levels and Heun sampler of Karras et al.

    Besides the fields of `Trained` and `Networked`:

    Attributes:
        P_mean: Mean of the logarithm of the noise level in training.
        P_std: Its standard deviation.
        sigma_data: Vectors are scaled to this root-mean-square deviation, so that the paper's noise levels mean the same.
            Images are always scaled to [-1, 1], and this is the deviation that they are taken to have.
        steps: Noise levels of sampling before 0; each costs two evaluations of the network, the last one.
        sigma_min: Lowest noise level of sampling.
        sigma_max: Highest noise level of sampling.
        rho: How much sampling crowds its steps towards low noise.
        S_churn: Noise added in a whole run; 0 is the deterministic sampler.
        S_tmin: Lowest level at which noise is added.
        S_tmax: Highest level at which noise is added.
        S_noise: Standard deviation of the added noise, relative to what keeps the level.

    Noise that the stochastic sampler adds is scaled by the temperature as well. With an exact denoiser and the paper's
    levels, 18 steps widen a Gaussian of 0.2 to 1 of the data's deviation by 9 to 6 %, 40 steps by 2 to 1 %: a loop
    multiplies that.

    References:
        Karras et al. 2022, arXiv:2206.00364, table 1 and algorithms 1 and 2.
    """

    P_mean: Annotated[float, Number] = -1.2
    P_std: Annotated[float, Number, Ge(0)] = 1.2
    sigma_data: Annotated[float, Gt(0)] = 0.5
    steps: Annotated[int, Ge(2)] = 18
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
        net = self.network(key, shape)
        temperature = jnp.asarray(self.temperature, jnp.float32)
        sampling = Sampling(*(getattr(self, name) for name in Sampling._fields))
        return Denoiser(net, Scaling.identity(shape), temperature, self.sigma_data, sampling)

    def prepare(self, key: PRNGKeyArray, generator: Denoiser, z: Samples) -> Noised:
        key, z, training = self.disturbed(key, z)
        level, noise = jax.random.split(key)
        each = (z.shape[0], *[1] * (z.ndim - 1))
        sigma = jnp.exp(self.P_mean + self.P_std * jax.random.normal(level, each))
        y = unit(z.shape[1:], self.sigma_data) * z
        x = y + sigma * normal(noise, z.shape)
        c_skip, c_out, c_in, c_noise = Preconditioning.at(sigma, self.sigma_data)
        return Noised(c_noise.reshape(-1), c_in * x, (y - c_skip * x) / c_out, training)

    def loss(self, generator: Denoiser, prepared: Noised) -> Float[Array, ""]:
        """Equation 8 of the paper: with its weighting ``1 / c_out^2`` the network's output has one target and weight 1."""
        return jnp.mean((generator.net(prepared.x, prepared.c_noise, prepared.training) - prepared.target) ** 2)

    def check(self, source: Source) -> None:
        super().check(source)
        if self.sigma_min >= self.sigma_max:
            raise ConfigError(f"family.sigma_min: {self.sigma_min:g} must be below sigma_max = {self.sigma_max:g}")
