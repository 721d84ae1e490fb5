"""Noise schedules and samplers, as functions of a denoiser, a noise prediction or a velocity field.

Nothing here is trained, so that each can be tested on a Gaussian, whose denoiser and velocity are known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from selfconsume.models.distributions.random import normal
from selfconsume.types import Samples

Solver = Literal["euler", "midpoint", "heun", "dopri5"]

Spacing = Literal["even", "quadratic"]
"""Spacing of the noise levels of `ddim_sampler`."""

AddedNoise = Literal["none", "small", "large"]
"""Variance of the noise added by `ddim_sampler`."""

MAX_STEPS = 4096
"""Largest number of steps of an adaptive solver; a solution that needs more has failed."""


def solve(
    velocity: Callable[[Float[Array, ""], Float[Array, "..."]], Float[Array, "..."]],
    x: Float[Array, "..."],
    start: float,
    end: float,
    *,
    solver: Solver,
    steps: int,
    rtol: float,
    atol: float,
) -> Float[Array, "..."]:
    """The solution of ``dx/dtau = velocity(tau, x)`` at ``end``, from ``x`` at ``start``.

    Args:
        velocity: Right-hand side, a function of the time and of all rows at once.
        x: Initial values. All rows are one system: an adaptive solver takes the same steps for all of them.
        start: First time.
        end: Last time; may be before ``start``.
        solver: "euler" (order 1), "midpoint" or "heun" (order 2) with equal steps; "dopri5" (order 5) with adaptive ones.
        steps: Number of equal steps.
        rtol: Relative tolerance of "dopri5".
        atol: Absolute tolerance of "dopri5".

    Returns:
        The solution; NaN throughout if an adaptive solver failed.
    """
    import diffrax

    term = diffrax.ODETerm(lambda tau, y, _: velocity(jnp.asarray(tau), y))
    if solver == "dopri5":
        method, controller, max_steps = diffrax.Dopri5(), diffrax.PIDController(rtol=rtol, atol=atol), MAX_STEPS
    else:
        method = {"euler": diffrax.Euler, "midpoint": diffrax.Midpoint, "heun": diffrax.Heun}[solver]()
        controller, max_steps = diffrax.StepTo(ts=jnp.linspace(start, end, steps + 1)), steps
    solution = diffrax.diffeqsolve(
        term, method, start, end, None, x, stepsize_controller=controller, max_steps=max_steps, throw=False
    )
    # A failed solution is finite: the state at which the steps ran out.
    return jnp.where(solution.result == diffrax.RESULTS.successful, jnp.asarray(solution.ys)[0], jnp.nan)


def divergence(
    velocity: Callable[[Float[Array, "n d"]], Float[Array, "n d"]], x: Float[Array, "n d"]
) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
    """A velocity field and its exact divergence at each row, by d forward derivatives: meant for small d.

    Args:
        velocity: A function of all rows in which rows do not influence each other.
        x: Points at which both are evaluated.
    """
    d = x.shape[1]
    value, push = jax.linearize(velocity, x)
    columns = jax.lax.map(lambda unit: push(jnp.broadcast_to(unit, x.shape)) @ unit, jnp.eye(d))
    return value, columns.sum(axis=0)


def karras_sigmas(n: int, sigma_min: float, sigma_max: float, rho: float) -> Float[Array, " n"]:
    """Noise levels from ``sigma_max`` down to ``sigma_min``, evenly spaced in ``sigma^(1/rho)``.

    References:
        Karras et al. 2022, arXiv:2206.00364, eq. 5 (which appends a last level 0).
    """
    i = jnp.arange(n) / max(n - 1, 1)
    return (sigma_max ** (1 / rho) + i * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho


def karras_sampler(
    key: PRNGKeyArray,
    D: Callable[[Samples, Float[Array, ""]], Samples],
    x: Samples,
    t: Float[Array, " n"],
    *,
    S_churn: float = 0.0,
    S_tmin: float = 0.0,
    S_tmax: float = float("inf"),
    S_noise: Float[Array, ""] | float = 1.0,
) -> Samples:
    """The sampler of EDM: Heun's method on ``dx/dsigma = (x - D(x, sigma)) / sigma``, optionally with added noise.

    Args:
        key: Randomness of the added noise.
        D: The denoiser, a function of all rows and one noise level.
        x: Rows at noise level ``t[0]``.
        t: Decreasing noise levels; level 0 follows the last one, by an Euler step.
        S_churn: Amount of noise added over the whole trajectory; 0 is the deterministic sampler.
        S_tmin: Lowest noise level at which noise is added.
        S_tmax: Highest noise level at which noise is added.
        S_noise: Standard deviation of the added noise, relative to the one that preserves the noise level.

    References:
        Karras et al. 2022, arXiv:2206.00364, algorithm 1, and algorithm 2 where ``S_churn > 0``.
    """
    N = t.shape[0]

    def add_noise(key, x, t_i):
        if S_churn == 0:
            return x, t_i
        gamma = jnp.where((t_i >= S_tmin) & (t_i <= S_tmax), min(S_churn / N, 2**0.5 - 1), 0.0)
        # sqrt(t_hat^2 - t_i^2) without cancellation.
        added = t_i * jnp.sqrt(gamma * (gamma + 2))
        return x + added * S_noise * normal(key, x.shape), t_i + gamma * t_i

    def step(x, level):
        key, t_i, t_next = level
        x_hat, t_hat = add_noise(key, x, t_i)
        d_i = (x_hat - D(x_hat, t_hat)) / t_hat
        x_next = x_hat + (t_next - t_hat) * d_i
        d_prime = (x_next - D(x_next, t_next)) / t_next
        return x_hat + (t_next - t_hat) * 0.5 * (d_i + d_prime), None

    keys = jax.random.split(key, N)
    x, _ = jax.lax.scan(step, x, (keys[:-1], t[:-1], t[1:]))
    # The Euler step to level 0 ends at the denoiser's output.
    return D(*add_noise(keys[-1], x, t[-1]))


def linear_alpha_bars(T: int) -> Float[Array, " T"]:
    """Cumulative products of ``1 - beta`` for ``T`` linearly increasing betas: the squared signal of each noise level.

    Ho et al. have T = 1000 betas from 1e-4 to 0.02. Other T scale both ends by 1000 / T, which preserves the sum of the
    betas, and with it the signal variance at the last level (4e-5).

    References:
        Ho et al. 2020, arXiv:2006.11239, section 4.
    """
    return jnp.cumprod(1 - jnp.linspace(0.1 / T, 20.0 / T, T))


def visited_levels(T: int, steps: int, spacing: Spacing) -> Int[Array, " steps"]:
    """The noise levels that a sampler visits, ascending from 1 to T; a single one is T.

    The last step of sampling starts at level 1, whose noise is below one grey level. "quadratic" levels are the integer parts
    of c i^2 with c = T / steps^2, at least 1; low ones may repeat, and repeated ones change nothing.

    References:
        Song et al. 2021, arXiv:2010.02502, appendix D.2.
    """
    if spacing == "even":
        return jnp.round(jnp.linspace(T, 1, steps)).astype(jnp.int32)[::-1]
    squares = [max(T * i * i // steps**2, 1) for i in range(1, steps + 1)]
    return jnp.array(squares, jnp.int32)


def ddim_sampler(
    key: PRNGKeyArray,
    epsilon: Callable[[Samples, Float[Array, ""]], Samples],
    x: Samples,
    alpha_bars: Float[Array, " T"],
    levels: Int[Array, " steps"],
    *,
    added: AddedNoise,
    noise: Float[Array, ""] | float = 1.0,
) -> Samples:
    """Ancestral (DDPM) and DDIM sampling through some of the T noise levels, with a noise prediction.

    Args:
        key: Randomness of the noise added between levels.
        epsilon: The noise prediction, a function of all rows and the fraction ``t / T`` of one level, t = 1 ... T.
        x: Rows of pure noise.
        alpha_bars: Squared signal of each level.
        levels: The levels visited, 1 to T, in ascending order; see `visited_levels`.
        added: Variance of the added noise: "none" is DDIM; "small" and "large" are ancestral sampling with the variance of
            the forward posterior, or of the forward step.
        noise: Factor of the added noise's standard deviation.

    Note:
        The samplers have a bias of their own. With the exact prediction and T = steps = 100, the standard deviation of a
        Gaussian of 0.4 in network units changes by -3 % ("none"), -7.5 % ("small") or +2 % ("large"). No training removes
        it, and a loop accumulates it.

    References:
        Song et al. 2021, arXiv:2010.02502, eqs. 12 and 16; with noise and ``steps = T``, Ho et al. 2020,
        arXiv:2006.11239, algorithm 2 and the two variances of section 3.2.
    """
    T = alpha_bars.shape[0]
    squared = alpha_bars[levels - 1]

    def step(x, level):
        key, t, a, a_next = level
        e = epsilon(x, t / T)
        x_0 = (x - jnp.sqrt(1 - a) * e) / jnp.sqrt(a)
        if added == "none":
            return jnp.sqrt(a_next) * x_0 + jnp.sqrt(1 - a_next) * e, None
        beta = 1 - a / a_next
        posterior = (1 - a_next) / (1 - a) * beta
        variance = posterior if added == "small" else jnp.where(a_next < 1, beta, 0.0)
        mean = jnp.sqrt(a_next) * x_0 + jnp.sqrt(jnp.maximum(1 - a_next - posterior, 0.0)) * e
        return mean + noise * jnp.sqrt(variance) * normal(key, x.shape), None

    squared_next = jnp.concatenate([jnp.ones(1), squared[:-1]])
    return jax.lax.scan(
        step, x, (jax.random.split(key, levels.shape[0]), levels[::-1], squared[::-1], squared_next[::-1])
    )[0]
