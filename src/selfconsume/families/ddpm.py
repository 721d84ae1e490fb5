"""Denoising diffusion with a fixed number of noise levels."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from annotated_types import Ge
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.distributions.random import normal
from selfconsume.models.nets import Network, Training
from selfconsume.models.training.network_family import Networked, Portioned
from selfconsume.models.training.samplers import Added, ddim_sampler, linear_alpha_bars
from selfconsume.models.training.scaling import Scaling
from selfconsume.types import Samples, Source


class NoisePredictor(Portioned):
    """A network that predicts the noise in an example from the example and the share ``t / T`` of its noise level."""

    net: Network
    scaling: Scaling
    temperature: Float[Array, ""]
    T: int = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    added: Added = eqx.field(static=True)

    def drawn(self, key: PRNGKeyArray, n: int) -> Float[Array, "n *shape"]:
        start, between = jax.random.split(key)
        spread = jnp.sqrt(self.temperature)
        return ddim_sampler(
            between,
            lambda z, share: self.net(z, jnp.reshape(share, 1)),
            normal(start, (n, *self.scaling.shift.shape)) * spread,
            linear_alpha_bars(self.T),
            self.steps,
            added=self.added,
            noise=spread,
        )


class Noised(NamedTuple):
    """Examples at random noise levels, and the noise in them."""

    share: Float[Array, " n"]
    z: Float[Array, "n *shape"]
    noise: Float[Array, "n *shape"]
    training: Training | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DDPM(Networked):
    """Denoising diffusion that predicts the noise, with a linear schedule and ancestral or DDIM sampling.

    Besides the fields of `Trained` and `Networked`:

    Attributes:
        T: Noise levels. Betas rise linearly from 0.1 / T to 20 / T, which at T = 1000 is the schedule of Ho et al.
        sampler: "ancestral" or "ddim".
        variance: Noise of "ancestral": "large" is the variance of the forward step (beta), "small" that of the forward
            posterior. All of them change the samples' spread by some percent even if the prediction is exact (see
            `selfconsume.models.training.samplers.ddim_sampler`); "large" changes it least.
        steps: Levels that sampling visits, evenly spaced from T down to 1; at most T.

    Noise that ancestral sampling adds on its way is scaled by the temperature as well.

    References:
        Ho et al. 2020, arXiv:2006.11239, algorithms 1 and 2; Song et al. 2021, arXiv:2010.02502.
    """

    T: Annotated[int, Ge(21)] = 100
    sampler: Literal["ancestral", "ddim"] = "ancestral"
    variance: Literal["small", "large"] = "large"
    steps: Annotated[int, Ge(1)] = 100

    @classmethod
    def tiny(cls) -> DDPM:
        return cls(updates=8, batch=8, width=4, depth=1, T=21, steps=3)

    @property
    def evaluations(self) -> int:
        return self.steps

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> NoisePredictor:
        net = self.network(key, shape)
        temperature = jnp.asarray(self.temperature, jnp.float32)
        added = "none" if self.sampler == "ddim" else self.variance
        return NoisePredictor(net, Scaling.identity(shape), temperature, self.T, self.steps, added)

    def prepare(self, key: PRNGKeyArray, generator: NoisePredictor, z: Samples) -> Noised:
        key, z, training = self.disturbed(key, z)
        level, noise = jax.random.split(key)
        t = jax.random.randint(level, z.shape[:1], 1, self.T + 1)
        signal = linear_alpha_bars(self.T)[t - 1].reshape(-1, *[1] * (z.ndim - 1))
        epsilon = normal(noise, z.shape)
        return Noised(t / self.T, jnp.sqrt(signal) * z + jnp.sqrt(1 - signal) * epsilon, epsilon, training)

    def loss(self, generator: NoisePredictor, prepared: Noised) -> Float[Array, ""]:
        return jnp.mean((generator.net(prepared.z, prepared.share, prepared.training) - prepared.noise) ** 2)

    def check(self, source: Source) -> None:
        super().check(source)
        if self.steps > self.T:
            raise ConfigError(f"family.steps: {self.steps} levels cannot be visited, there are T = {self.T}")
