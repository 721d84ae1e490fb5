"""Denoising diffusion probabilistic models (DDPM) with ancestral or DDIM sampling."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from annotated_types import Ge, Le
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
from selfconsume.models.training.samplers import AddedNoise, Spacing, ddim_sampler, linear_alpha_bars, visited_levels
from selfconsume.models.training.scaling import Scaling
from selfconsume.types import FitState, Samples, Source


class NoisePredictor(NeuralGenerator):
    """A network that predicts the noise in an example, given the example and the fraction ``t / T`` of its noise level."""

    net: Network
    scaling: Scaling
    temperature: Float[Array, ""]
    T: int = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    added: AddedNoise = eqx.field(static=True)
    spacing: Spacing = eqx.field(static=True, default="even")

    def sample_scaled(self, key: PRNGKeyArray, n: int) -> Float[Array, "n *shape"]:
        """Examples in network units."""
        initial, added = jax.random.split(key)
        spread = jnp.sqrt(self.temperature)
        return ddim_sampler(
            added,
            lambda z, fraction: self.net(z, jnp.reshape(fraction, 1)),
            normal(initial, (n, *self.scaling.shift.shape)) * spread,
            linear_alpha_bars(self.T),
            visited_levels(self.T, self.steps, self.spacing),
            added=self.added,
            noise=spread,
        )

    def attempt(self, key: PRNGKeyArray, n: int) -> tuple[Samples, Bool[Array, " n"]]:
        return decoded_samples(key, n, self.scaling.shift.shape, self.sample_scaled, self.scaling.decode)

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        return self.attempt(key, n)[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DDPM(NetworkFamily):
    """Denoising diffusion (DDPM): noise prediction on a linear schedule, with ancestral or DDIM sampling.

    Besides the fields of `TrainingSettings` and `NetworkSettings`:

    Attributes:
        T: Number of noise levels. Betas rise linearly from 0.1 / T to 20 / T: at T = 1000 the schedule of Ho et al.
        sampler: "ancestral" (Ho et al., algorithm 2) or "ddim" (Song et al., deterministic given the initial noise).
        variance: Variance of the noise that "ancestral" adds: "large" is the forward step's (beta), "small" the forward
            posterior's. Either changes the spread of samples by some percent even if the prediction is exact (see
            `selfconsume.models.training.samplers.ddim_sampler`); "large" changes it least.
        steps: Noise levels visited in sampling, from T down to 1; at most T. Each costs one network evaluation.
        spacing: Whether these levels are spaced "even"ly, or as a "quadratic" function, dense at low noise, as Song et al. do
            on CIFAR-10.

    The loss is the unweighted squared error of the predicted noise (eq. 14 of Ho et al.), not a likelihood. Noise added by
    ancestral sampling is scaled by the temperature too.

    References:
        Ho et al. 2020, arXiv:2006.11239, algorithms 1 and 2; Song et al. 2021, arXiv:2010.02502.
    """

    T: Annotated[int, Ge(21), Le(1_000_000)] = 100
    sampler: Literal["ancestral", "ddim"] = "ancestral"
    variance: Literal["small", "large"] = "large"
    steps: Annotated[int, Ge(1), Le(1_000_000)] = 100
    spacing: Spacing = "even"

    @classmethod
    def tiny(cls) -> DDPM:
        return cls(updates=8, batch=8, width=4, depth=1, T=21, steps=3)

    @property
    def evaluations(self) -> int:
        return self.steps

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> NoisePredictor:
        net, temperature = new_network(self, key, shape), jnp.asarray(self.temperature, jnp.float32)
        added = "none" if self.sampler == "ddim" else self.variance
        return NoisePredictor(net, Scaling.identity(shape), temperature, self.T, self.steps, added, self.spacing)

    def begin(self, key: PRNGKeyArray, x: Samples, weight: Float[Array, " n"], start: FitState | None) -> FitState:
        return begin_training(self, self.init, key, x, weight, start)

    def advance(self, state: FitState, updates: int) -> FitState:
        return advance_training(self, state, updates, prepare=self.prepare, loss=self.loss)

    def prepare(self, key: PRNGKeyArray, generator: NeuralGenerator, z: Samples) -> RegressionBatch:
        """Examples at uniformly drawn noise levels, and the noise in them."""
        key, z, training = augment_minibatch(self, key, z)
        level, noise = jax.random.split(key)
        t = jax.random.randint(level, z.shape[:1], 1, self.T + 1)
        signal = linear_alpha_bars(self.T)[t - 1].reshape(-1, *[1] * (z.ndim - 1))
        epsilon = normal(noise, z.shape)
        return RegressionBatch(jnp.sqrt(signal) * z + jnp.sqrt(1 - signal) * epsilon, t / self.T, epsilon, training)

    def loss(self, generator: NeuralGenerator, prepared: RegressionBatch) -> Float[Array, ""]:
        return prepared.squared_error(generator.net)

    def check(self, source: Source) -> None:
        check_network(self, source)
        if self.steps > self.T:
            raise ConfigError(
                f"family.steps: expected at most T = {self.T} noise levels, got {self.steps}; lower steps"
            )
