"""Samplers on Gaussians, whose denoiser, noise prediction and velocity are known: no training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.families.diffusion import (
    ddim_sampler,
    divergence,
    karras_sampler,
    karras_sigmas,
    linear_alpha_bars,
    solve,
)

MEAN, DEVIATION = 0.7, 0.4


def denoiser(x, sigma):
    """E[y | y + sigma n = x] for y of N(MEAN, DEVIATION^2)."""
    return (DEVIATION**2 * x + sigma**2 * MEAN) / (DEVIATION**2 + sigma**2)


def noise_prediction(alpha_bars):
    T = len(alpha_bars)

    def epsilon(x, share):
        a = alpha_bars[jnp.round(share * T).astype(int) - 1]
        return jnp.sqrt(1 - a) * (x - jnp.sqrt(a) * MEAN) / (a * DEVIATION**2 + 1 - a)

    return epsilon


def velocity(tau, x):
    """E[x1 - x0 | x_tau = x] on straight, independently paired paths from N(0, 1) to N(MEAN, DEVIATION^2)."""
    variance = (1 - tau) ** 2 + tau**2 * DEVIATION**2
    return MEAN + (tau * DEVIATION**2 - (1 - tau)) / variance * (x - tau * MEAN)


def orders(errors):
    """Orders of convergence between successive doublings of the steps."""
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


def fixed(steps, solver, x, start=0.0, end=1.0):
    return solve(velocity, x, start, end, solver=solver, steps=steps, rtol=0.0, atol=0.0)


# Ordinary differential equations


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2)])
def test_equal_steps_converge_with_their_order(solver, order):
    x = jnp.linspace(-2, 2, 5)[:, None]
    errors = [float(jnp.abs(fixed(n, solver, x) - (MEAN + DEVIATION * x)).max()) for n in (16, 32, 64)]
    np.testing.assert_allclose(orders(errors), order, atol=0.15)


def test_adaptive_steps_reach_their_tolerance_and_the_way_back_is_the_inverse():
    x = jnp.linspace(-2, 2, 5)[:, None]
    options = {"solver": "dopri5", "steps": 1, "rtol": 1e-5, "atol": 1e-5}
    there = solve(velocity, x, 0.0, 1.0, **options)
    np.testing.assert_allclose(there, MEAN + DEVIATION * x, atol=1e-4)
    np.testing.assert_allclose(solve(velocity, there, 1.0, 0.0, **options), x, atol=3e-4)
    np.testing.assert_allclose(fixed(64, "heun", fixed(64, "heun", x), 1.0, 0.0), x, atol=2e-3)


def test_a_solution_that_is_not_reached_is_nan():
    explodes = jax.jit(
        lambda x: solve(lambda _, y: y**2, x, 0.0, 1.0, solver="dopri5", steps=1, rtol=1e-5, atol=1e-5)
    )
    np.testing.assert_allclose(explodes(jnp.array([[0.5]])), 1.0, rtol=1e-4)
    assert jnp.isnan(explodes(jnp.array([[0.5], [2.0]]))).all()


def test_divergence_is_the_trace_of_the_jacobian():
    matrix = jax.random.normal(jax.random.key(0), (3, 3))

    def field(x):
        return jnp.tanh(x @ matrix) * x[:, :1]

    x = jax.random.normal(jax.random.key(1), (4, 3))
    value, trace = divergence(field, x)
    expected = [jnp.trace(jax.jacfwd(lambda row: field(row[None])[0])(row)) for row in x]
    np.testing.assert_array_equal(value, field(x))
    np.testing.assert_allclose(trace, jnp.stack(expected), rtol=1e-5)


# Karras et al.


def test_noise_levels_of_the_paper():
    levels = karras_sigmas(18, 0.002, 80.0, 7.0)
    i = np.arange(18)
    expected = (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    np.testing.assert_allclose(levels, expected, rtol=1e-4)
    np.testing.assert_allclose(levels[jnp.array([0, -1])], [80.0, 0.002], rtol=1e-5)


def test_heun_converges_with_order_two():
    x = jnp.linspace(-40.0, 40.0, 5)[:, None]
    # The exact solution from level 20 to level 0.
    exact = MEAN + (x - MEAN) * DEVIATION / np.sqrt(DEVIATION**2 + 20.0**2)
    errors = []
    for n in (16, 32, 64):
        levels = karras_sigmas(n, 0.001, 20.0, 7.0)
        errors.append(float(jnp.abs(karras_sampler(jax.random.key(0), denoiser, x, levels) - exact).max()))
    np.testing.assert_allclose(orders(errors), 2, atol=0.3)


@pytest.mark.parametrize("churn", [0.0, 10.0])
def test_samples_have_the_moments_of_the_gaussian(churn):
    n = 200_000
    levels = karras_sigmas(40, 0.002, 80.0, 7.0)
    start, between = jax.random.split(jax.random.key(1))
    x = MEAN + jnp.sqrt(DEVIATION**2 + 80.0**2) * jax.random.normal(start, (n, 1))
    y = np.asarray(karras_sampler(between, denoiser, x, levels, S_churn=churn, S_tmin=0.01, S_tmax=50.0))
    # Four standard errors, and the bias of 40 steps.
    assert abs(y.mean() - MEAN) < 4 * DEVIATION / n**0.5 + 1e-3
    assert abs(y.std() / DEVIATION - 1) < 4 * (0.5 / n) ** 0.5 + 5e-3


def test_churn_adds_noise_between_its_levels_only():
    x = jnp.full((1000, 1), 30.0)
    levels = karras_sigmas(10, 0.002, 80.0, 7.0)

    def spread(**options):
        return float(karras_sampler(jax.random.key(0), denoiser, x, levels, S_churn=20.0, **options).std())

    assert spread() > 0.1
    assert spread(S_tmin=100.0) < 1e-6
    assert spread(S_tmax=0.001) < 1e-6


# Ho et al., Song et al.


def test_the_schedule_of_the_paper():
    np.testing.assert_allclose(linear_alpha_bars(1000), np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)), rtol=1e-4)
    for T in (21, 100):
        last = linear_alpha_bars(T)[-1]
        assert 0 <= last < 1e-4


def test_ddim_converges_with_order_one():
    a = linear_alpha_bars(1024)
    x = jnp.linspace(-2, 2, 5)[:, None]
    # The flow between the marginals of the first and the last level, and then the exact denoiser.
    exact = MEAN + (x - jnp.sqrt(a[-1]) * MEAN) * DEVIATION / jnp.sqrt(a[-1] * DEVIATION**2 + 1 - a[-1])
    errors = []
    for steps in (16, 32, 64):
        y = ddim_sampler(jax.random.key(0), noise_prediction(a), x, a, steps, eta=0.0)
        errors.append(float(jnp.abs(y - exact).max()))
    np.testing.assert_allclose(orders(errors), 1, atol=0.2)


def test_ancestral_sampling_has_the_moments_of_its_chain():
    T, n = 50, 200_000
    a = np.asarray(linear_alpha_bars(T), np.float64)
    # Algorithm 2 of Ho et al. on Gaussians, moment by moment, with the posterior variance beta tilde.
    mean, variance = 0.0, 1.0
    for t in range(T - 1, -1, -1):
        before = a[t - 1] if t else 1.0
        alpha, beta = a[t] / before, 1 - a[t] / before
        gain = np.sqrt(1 - a[t]) / (a[t] * DEVIATION**2 + 1 - a[t])
        shrink = 1 - beta / np.sqrt(1 - a[t]) * gain
        mean = (mean * shrink + beta / np.sqrt(1 - a[t]) * gain * np.sqrt(a[t]) * MEAN) / np.sqrt(alpha)
        variance = variance * shrink**2 / alpha + beta * (1 - before) / (1 - a[t])
    start, between = jax.random.split(jax.random.key(2))
    alpha_bars = jnp.asarray(a, jnp.float32)
    x = jax.random.normal(start, (n, 1))
    y = np.asarray(ddim_sampler(between, noise_prediction(alpha_bars), x, alpha_bars, T, eta=1.0))
    assert abs(y.mean() - mean) < 4 * np.sqrt(variance / n) + 1e-4
    assert abs(y.std() / np.sqrt(variance) - 1) < 4 * (0.5 / n) ** 0.5 + 1e-3
    # And the chain is near the Gaussian that it samples.
    assert abs(mean - MEAN) < 0.02 and abs(np.sqrt(variance) / DEVIATION - 1) < 0.1


def test_fewer_levels_are_spread_evenly_and_start_at_the_noisiest():
    a = linear_alpha_bars(100)
    seen = []

    def epsilon(x, share):
        jax.debug.callback(lambda share: seen.append(round(float(share) * 100)), share)
        return x

    ddim_sampler(jax.random.key(0), epsilon, jnp.ones((1, 1)), a, 4, eta=0.0).block_until_ready()
    jax.effects_barrier()
    assert seen == [100, 75, 50, 25]


def test_noise_on_the_way_scales():
    a = linear_alpha_bars(30)
    x = jnp.zeros((100_000, 1))

    def spread(noise):
        y = ddim_sampler(jax.random.key(0), noise_prediction(a), x, a, 30, eta=1.0, noise=noise)
        return float(y.std())

    np.testing.assert_allclose(spread(0.5) / spread(1.0), 0.5, rtol=1e-3)
