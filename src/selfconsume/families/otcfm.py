"""Conditional flow matching with optimal-transport pairing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
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
from selfconsume.models.training.pairing import Pairing, paired
from selfconsume.models.training.samplers import Solver, divergence, solve
from selfconsume.models.training.scaling import Scaling, is_image
from selfconsume.types import Density, Samples, Source

ORDERS = {"euler": 1, "midpoint": 2, "heun": 2}
"""Evaluations of a step."""


class Velocity(Portioned):
    """A velocity that carries standard Gaussian noise at time 0 to the data at time 1, by an ordinary differential equation.

    For images it stays at that: their density takes too many derivatives, and bytes have none.
    """

    net: Network
    scaling: Scaling
    temperature: Float[Array, ""]
    solver: Solver = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    rtol: float = eqx.field(static=True)
    atol: float = eqx.field(static=True)

    def velocity(self, tau: Float[Array, ""], z: Float[Array, "n *shape"]) -> Float[Array, "n *shape"]:
        """The velocity of all rows at one time."""
        if self.solver != "dopri5":
            return self.net(z, jnp.reshape(tau, 1))
        # Adaptive steps would resolve the rounding of coarser types: three times as many, for no smaller an error.
        with jax.default_matmul_precision("highest"):
            return self.net.exact()(z, jnp.reshape(tau, 1))

    def drawn(self, key: PRNGKeyArray, n: int) -> Float[Array, "n *shape"]:
        z = normal(key, (n, *self.scaling.shift.shape)) * jnp.sqrt(self.temperature)
        return self._solve(self.velocity, z, 0.0, 1.0)

    def _solve(self, velocity: Callable[..., Array], z: Array, start: float, end: float) -> Array:
        return solve(velocity, z, start, end, solver=self.solver, steps=self.steps, rtol=self.rtol, atol=self.atol)


class VelocityField(Velocity, Density):
    """A velocity of vectors, which gives their density too."""

    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        """Log density (nats) at temperature 1, by the divergence along the path back to the noise.

        Costs d + 1 derivatives of the network for each evaluation that sampling needs; meant for d up to some tens. The
        solver's steps make it the density of nearly, not exactly, the distribution that `sample` draws from.
        """
        d = self.scaling.shift.size

        def back(tau, state):
            z, _ = state[:, :-1], state[:, -1]
            value, trace = divergence(lambda z: self.velocity(tau, z), z)
            return jnp.concatenate([value, trace[:, None]], axis=1)

        state = jnp.concatenate([self.scaling.encode(x), jnp.zeros((x.shape[0], 1))], axis=1)
        state = self._solve(back, state, 1.0, 0.0)
        base = -0.5 * (state[:, :-1] ** 2).sum(axis=1) - 0.5 * d * math.log(2 * math.pi)
        return base + state[:, -1] - d * jnp.log(self.scaling.scale)


class Path(NamedTuple):
    """Points on straight paths, and the velocity of each."""

    tau: Float[Array, " n"]
    z: Float[Array, "n *shape"]
    target: Float[Array, "n *shape"]
    training: Training | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class OTCFM(Networked):
    """Flow matching on straight paths between noise and data that minibatch optimal transport has paired.

    Besides the fields of `Trained` and `Networked`:

    Attributes:
        pairing: "independent", "exact" (least sum of squared distances) or "sinkhorn" (a permutation drawn by the
            entropic plan).
        pairing_block: Pairs are made inside blocks of so many examples of the minibatch; 0 is the whole minibatch.
            Larger blocks come nearer to optimal transport of the distributions and cost more: beside an update of 256
            examples at width 64 on a CPU, "exact" takes half as long in blocks of 16, 1.4 times as long in blocks of 32,
            6 times in blocks of 64 and 80 times in one block of 256.
        sinkhorn_epsilon: Regularisation of "sinkhorn", relative to the mean squared distance in the block.
        sinkhorn_iterations: Iterations of "sinkhorn".
        solver: "euler", "midpoint", "heun" (equal steps) or "dopri5" (adaptive, one sequence of steps for all samples drawn
            together; in float32, whatever `compute` is).
        steps: Number of equal steps.
        rtol: Relative tolerance of "dopri5", in units of the data's deviation.
        atol: Absolute tolerance of "dopri5", likewise.

    Samples drawn together whose solution "dopri5" does not reach in 4096 steps are not valid: they are left out of the data,
    and where no sample is left, the run has diverged.

    References:
        Tong et al. 2024, arXiv:2302.00482, algorithms 2 and 3 with sigma = 0; Lipman et al. 2023, arXiv:2210.02747.
    """

    pairing: Pairing = "exact"
    pairing_block: Annotated[int, Ge(0)] = 16
    sinkhorn_epsilon: Annotated[float, Gt(0)] = 0.05
    sinkhorn_iterations: Annotated[int, Ge(1)] = 20
    solver: Solver = "midpoint"
    steps: Annotated[int, Ge(1)] = 25
    rtol: Annotated[float, Gt(0)] = 1e-5
    atol: Annotated[float, Gt(0)] = 1e-5

    @classmethod
    def tiny(cls) -> OTCFM:
        return cls(updates=8, batch=8, width=4, depth=1, pairing_block=4, steps=2)

    @property
    def evaluations(self) -> int | None:
        return None if self.solver == "dopri5" else self.steps * ORDERS[self.solver]

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Velocity:
        net = self.network(key, shape)
        temperature = jnp.asarray(self.temperature, jnp.float32)
        field = Velocity if is_image(shape) else VelocityField
        return field(net, Scaling.identity(shape), temperature, self.solver, self.steps, self.rtol, self.atol)

    def prepare(self, key: PRNGKeyArray, generator: Velocity, z: Samples) -> Path:
        key, z, training = self.disturbed(key, z)
        noise, time, pair = jax.random.split(key, 3)
        x0 = paired(
            pair,
            normal(noise, z.shape).reshape(z.shape[0], -1),
            z.reshape(z.shape[0], -1),
            pairing=self.pairing,
            block=self.pairing_block or self.batch,
            epsilon=self.sinkhorn_epsilon,
            iterations=self.sinkhorn_iterations,
        ).reshape(z.shape)
        tau = jax.random.uniform(time, z.shape[:1])
        return Path(tau, x0 + tau.reshape(-1, *[1] * (z.ndim - 1)) * (z - x0), z - x0, training)

    def loss(self, generator: Velocity, prepared: Path) -> Float[Array, ""]:
        return jnp.mean((generator.net(prepared.z, prepared.tau, prepared.training) - prepared.target) ** 2)

    def check(self, source: Source) -> None:
        super().check(source)
        if self.pairing != "independent" and self.pairing_block and self.batch % self.pairing_block:
            raise ConfigError(
                f"family.pairing_block: {self.pairing_block} does not divide the batch of {self.batch}; "
                "give a divisor, or 0 for the whole batch"
            )
