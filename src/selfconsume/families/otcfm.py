"""Conditional flow matching with minibatch optimal-transport pairing (OT-CFM)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

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
from selfconsume.models.training.pairing import Pairing, draw_pairs, paired
from selfconsume.models.training.samplers import Solver, divergence, solve
from selfconsume.models.training.scaling import Scaling, is_image
from selfconsume.types import Density, FitState, Samples, Source

ORDERS = {"euler": 1, "midpoint": 2, "heun": 2}
"""Network evaluations of one step of each fixed-step solver."""


class Integrator(NamedTuple):
    """The solver of ``dz/dtau = v(tau, z)`` in sampling, see the fields of `OTCFM`."""

    solver: Solver
    steps: int
    rtol: float
    atol: float

    def velocity(self, net: Network, tau: Float[Array, ""], z: Float[Array, "n *shape"]) -> Float[Array, "n *shape"]:
        """The velocity of all rows at one time."""
        if self.solver != "dopri5":
            return net(z, jnp.reshape(tau, 1))
        # Adaptive steps would resolve the rounding of coarser types: three times as many, for no smaller an error.
        with jax.default_matmul_precision("highest"):
            return net.exact()(z, jnp.reshape(tau, 1))

    def solve(self, velocity: Callable[..., Array], z: Array, start: float, end: float) -> Array:
        """The solution at time ``end`` from ``z`` at time ``start``; NaN where "dopri5" fails."""
        return solve(velocity, z, start, end, solver=self.solver, steps=self.steps, rtol=self.rtol, atol=self.atol)

    def sample_scaled(self, generator: NeuralGenerator, key: PRNGKeyArray, n: int) -> Float[Array, "n *shape"]:
        """Examples in network units: the flow from noise at time 0 to data at time 1."""
        z = normal(key, (n, *generator.scaling.shift.shape)) * jnp.sqrt(generator.temperature)
        return self.solve(lambda tau, z: self.velocity(generator.net, tau, z), z, 0.0, 1.0)


class ImageVelocity(NeuralGenerator):
    """A velocity field on images, from standard Gaussian noise at time 0 to data at time 1.

    It has no `log_prob`: the divergence takes one derivative per pixel, and bytes have none.
    """

    net: Network
    scaling: Scaling
    temperature: Float[Array, ""]
    integrator: Integrator = eqx.field(static=True)

    def sample_scaled(self, key: PRNGKeyArray, n: int) -> Float[Array, "n *shape"]:
        """Examples in network units."""
        return self.integrator.sample_scaled(self, key, n)

    def attempt(self, key: PRNGKeyArray, n: int) -> tuple[Samples, Bool[Array, " n"]]:
        return decoded_samples(key, n, self.scaling.shift.shape, self.sample_scaled, self.scaling.decode)

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        return self.attempt(key, n)[0]


class VectorVelocity(NeuralGenerator, Density):
    """A velocity field on vectors, which gives their density too."""

    net: Network
    scaling: Scaling
    temperature: Float[Array, ""]
    integrator: Integrator = eqx.field(static=True)

    def sample_scaled(self, key: PRNGKeyArray, n: int) -> Float[Array, "n *shape"]:
        """Examples in network units."""
        return self.integrator.sample_scaled(self, key, n)

    def attempt(self, key: PRNGKeyArray, n: int) -> tuple[Samples, Bool[Array, " n"]]:
        return decoded_samples(key, n, self.scaling.shift.shape, self.sample_scaled, self.scaling.decode)

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        return self.attempt(key, n)[0]

    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        """Log density (nats) at temperature 1, by the divergence along the path back to the noise.

        Each network evaluation of sampling costs d + 1 derivatives of the network; meant for d up to some tens. The
        solver's steps make it nearly, not exactly, the density of the distribution of `sample`.

        References:
            Chen et al. 2018, arXiv:1806.07366, theorem 1 (instantaneous change of variables).
        """
        d = self.scaling.shift.size

        def reverse(tau, state):
            value, trace = divergence(lambda z: self.integrator.velocity(self.net, tau, z), state[:, :-1])
            return jnp.concatenate([value, trace[:, None]], axis=1)

        state = jnp.concatenate([self.scaling.encode(x), jnp.zeros((x.shape[0], 1))], axis=1)
        state = self.integrator.solve(reverse, state, 1.0, 0.0)
        base = -0.5 * (state[:, :-1] ** 2).sum(axis=1) - 0.5 * d * math.log(2 * math.pi)
        return base + state[:, -1] - d * jnp.log(self.scaling.scale)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OTCFM(NetworkFamily):
    """Flow matching on straight paths between noise and data paired by minibatch optimal transport (OT-CFM).

    Besides the fields of `TrainingSettings` and `NetworkSettings`:

    Attributes:
        pairing: Coupling of noise and data in a minibatch: "independent" (random pairs), "exact" (the assignment with the
            least sum of squared distances) or "sinkhorn" (a permutation sampled from the entropic transport plan).
        pairing_block: Pairs are computed inside blocks of this many examples of the minibatch; 0: the whole minibatch.
            Larger blocks are closer to optimal transport of the distributions and cost more: relative to an update of 256
            examples at width 64 on a CPU, "exact" takes half as long in blocks of 16, 1.4 times as long in blocks of 32,
            6 times in blocks of 64 and 80 times in one block of 256.
        pairing_draw: Pairs of a block as a "permutation", which uses every example once, or drawn from the transport plan with
            "replacement", as in the code of Tong et al.: each draw has the same distribution, and about 37 % of a minibatch
            is left out.
        sinkhorn_epsilon: Entropic regularisation of "sinkhorn", relative to the mean squared distance in the block.
        sinkhorn_iterations: Iterations of "sinkhorn".
        solver: ODE solver of sampling: "euler", "midpoint", "heun" (equal steps) or "dopri5" (adaptive, one sequence of steps
            for all examples sampled together; in float32, whatever `compute` is).
        steps: Number of equal steps; each is one network evaluation with "euler", two with "midpoint" and "heun".
        rtol: Relative tolerance of "dopri5".
        atol: Absolute tolerance of "dopri5", in units of the data's standard deviation.

    The loss is the mean squared error of the velocity, not a likelihood. The solver's error is part of every generation, and
    a loop accumulates it. Examples sampled together for which "dopri5" needs more than 4096 steps are invalid: they are left
    out of the training data, and if no valid sample is left, the run has diverged.

    References:
        Tong et al. 2024, arXiv:2302.00482, algorithms 2 and 3 with sigma = 0; Lipman et al. 2023, arXiv:2210.02747.
    """

    pairing: Pairing = "exact"
    pairing_block: Annotated[int, Ge(0), Le(1_000_000)] = 16
    pairing_draw: Literal["permutation", "replacement"] = "permutation"
    sinkhorn_epsilon: Annotated[float, Gt(0)] = 0.05
    sinkhorn_iterations: Annotated[int, Ge(1), Le(1_000_000)] = 20
    solver: Solver = "midpoint"
    steps: Annotated[int, Ge(1), Le(100_000)] = 25
    rtol: Annotated[float, Gt(0)] = 1e-5
    atol: Annotated[float, Gt(0)] = 1e-5

    @classmethod
    def tiny(cls) -> OTCFM:
        return cls(updates=8, batch=8, width=4, depth=1, pairing_block=4, steps=2)

    @property
    def evaluations(self) -> int | None:
        return None if self.solver == "dopri5" else self.steps * ORDERS[self.solver]

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> ImageVelocity | VectorVelocity:
        velocity = ImageVelocity if is_image(shape) else VectorVelocity
        integrator = Integrator(self.solver, self.steps, self.rtol, self.atol)
        temperature = jnp.asarray(self.temperature, jnp.float32)
        return velocity(new_network(self, key, shape), Scaling.identity(shape), temperature, integrator)

    def begin(self, key: PRNGKeyArray, x: Samples, weight: Float[Array, " n"], start: FitState | None) -> FitState:
        return begin_training(self, self.init, key, x, weight, start)

    def advance(self, state: FitState, updates: int) -> FitState:
        return advance_training(self, state, updates, prepare=self.prepare, loss=self.loss)

    def prepare(self, key: PRNGKeyArray, generator: NeuralGenerator, z: Samples) -> RegressionBatch:
        """Points at random times on straight paths from noise to data, and the velocity of each path."""
        key, z, training = augment_minibatch(self, key, z)
        noise, time, pair = jax.random.split(key, 3)
        x0, x1 = normal(noise, z.shape).reshape(z.shape[0], -1), z.reshape(z.shape[0], -1)
        settings: Any = {
            "pairing": self.pairing,
            "block": self.pairing_block or self.batch,
            "epsilon": self.sinkhorn_epsilon,
            "iterations": self.sinkhorn_iterations,
        }
        if self.pairing_draw == "permutation" or self.pairing == "independent":
            x0 = paired(pair, x0, x1, **settings).reshape(z.shape)
        else:
            x0, index = draw_pairs(pair, x0, x1, **settings)
            x0, z = x0.reshape(z.shape), z[index]
            training = jax.tree.map(lambda leaf: leaf[index], training)
        tau = jax.random.uniform(time, z.shape[:1])
        return RegressionBatch(x0 + tau.reshape(-1, *[1] * (z.ndim - 1)) * (z - x0), tau, z - x0, training)

    def loss(self, generator: NeuralGenerator, prepared: RegressionBatch) -> Float[Array, ""]:
        return prepared.squared_error(generator.net)

    def check(self, source: Source) -> None:
        check_network(self, source)
        if self.pairing != "independent" and self.pairing_block and self.batch % self.pairing_block:
            raise ConfigError(
                f"family.pairing_block: {self.pairing_block} does not divide the batch of {self.batch}; "
                "give a divisor, or 0 for the whole batch"
            )
