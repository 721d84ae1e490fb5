"""Samplers on Gaussians, whose denoiser, noise prediction and velocity are known: no training."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.models.training.samplers import (
    ddim_sampler,
    divergence,
    karras_sampler,
    karras_sigmas,
    linear_alpha_bars,
    solve,
    visited_levels,
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


@functools.partial(jax.jit, static_argnames=("steps", "solver", "start", "end"))
def solved(x, solver, steps=1, start=0.0, end=1.0):
    return solve(velocity, x, start, end, solver=solver, steps=steps, rtol=1e-5, atol=1e-5)


@functools.partial(jax.jit, static_argnames=("n", "low", "high", "options"))
def karras(key, x, n, low=0.002, high=80.0, options=()):
    return karras_sampler(key, denoiser, x, karras_sigmas(n, low, high, 7.0), **dict(options))


@functools.partial(jax.jit, static_argnames=("T", "steps", "added"))
def levels(key, x, T, steps, added, noise=1.0):
    a = linear_alpha_bars(T)
    levels = visited_levels(len(a), steps, "even")
    return ddim_sampler(key, noise_prediction(a), x, a, levels, added=added, noise=noise)


KEY = jax.random.key(0)
X = jnp.linspace(-2, 2, 5)[:, None]


# Ordinary differential equations


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2)])
def test_equal_steps_converge_with_their_order(solver, order):
    # dx/dtau = tau x^2; on the Gaussian below the midpoint rule does better than its order.
    x = jnp.array([[0.8], [0.5], [-1.0]])
    errors = []
    for steps in (16, 32, 64):
        y = solve(lambda tau, y: tau * y**2, x, 0.0, 1.0, solver=solver, steps=steps, rtol=0.0, atol=0.0)
        errors.append(float(jnp.abs(y - x / (1 - x / 2)).max()))
    np.testing.assert_allclose(orders(errors), order, atol=0.25)


@pytest.mark.parametrize(
    ("solver", "tolerance"), [("euler", 0.2), ("midpoint", 1e-3), ("heun", 1e-2), ("dopri5", 1e-4)]
)
def test_the_velocity_of_a_gaussian_carries_noise_to_it(solver, tolerance):
    exact = MEAN + DEVIATION * X
    np.testing.assert_allclose(solved(X, solver, 25), exact, atol=tolerance)
    assert jnp.abs(solved(X, solver, 25) - exact).max() > tolerance / 1000


def test_the_way_back_is_the_inverse():
    there = MEAN + DEVIATION * X
    np.testing.assert_allclose(solved(there, "dopri5", start=1.0, end=0.0), X, atol=3e-4)
    np.testing.assert_allclose(solved(there, "midpoint", 25, start=1.0, end=0.0), X, atol=3e-3)


def test_a_solution_that_is_not_reached_is_nan():
    explodes = jax.jit(lambda x: solve(lambda _, y: y**2, x, 0.0, 1.0, solver="dopri5", steps=1, rtol=1e-5, atol=1e-5))
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
    errors = [float(jnp.abs(karras(KEY, x, n, 0.001, 20.0) - exact).max()) for n in (16, 32, 64)]
    np.testing.assert_allclose(orders(errors), 2, atol=0.3)


@pytest.mark.parametrize("churn", [0.0, 10.0])
def test_samples_have_the_moments_of_the_gaussian(churn):
    n = 200_000
    start, between = jax.random.split(jax.random.key(1))
    x = MEAN + jnp.sqrt(DEVIATION**2 + 80.0**2) * jax.random.normal(start, (n, 1))
    y = np.asarray(karras(between, x, 80, options=(("S_churn", churn), ("S_tmin", 0.01), ("S_tmax", 50.0))))
    # Four standard errors, and the error of 80 steps of order two (7 % at 18 steps).
    assert abs(y.mean() - MEAN) < 4 * DEVIATION / n**0.5 + 1e-3
    assert abs(y.std() / DEVIATION - 1) < 4 * (0.5 / n) ** 0.5 + 0.07 * (18 / 80) ** 2 * 1.5


def test_churn_adds_noise_between_its_levels_only():
    x = jnp.full((1000, 1), 30.0)

    def spread(**options):
        return float(karras(KEY, x, 10, options=(("S_churn", 20.0), *options.items())).std())

    assert spread() > 0.1
    assert spread(S_tmin=100.0) < 1e-6
    assert spread(S_tmax=0.001) < 1e-6
    np.testing.assert_allclose(spread(S_noise=1.1) / spread(), 1.1, rtol=1e-3)


def test_churn_raises_a_level_by_at_most_the_root_of_two():
    """Algorithm 2: gamma is at most sqrt(2) - 1 in any one step."""
    x = jnp.full((5, 1), 30.0)
    most, more = (karras(KEY, x, 4, options=(("S_churn", 4 * gamma),)) for gamma in (2**0.5 - 1, 9.0))
    np.testing.assert_array_equal(most, more)


def test_the_last_level_is_raised_as_well():
    """Algorithm 2 adds noise before the step to 0, too."""
    x = jnp.full((5, 1), 30.0)
    options = (("S_churn", 20.0), ("S_tmax", 1.5))
    assert float(karras(KEY, x, 2, 1.0, 80.0, options).std()) > 0.01


# Ho et al., Song et al.


def test_the_schedule_of_the_paper():
    np.testing.assert_allclose(linear_alpha_bars(1000), np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)), rtol=1e-4)
    for T in (21, 100):
        last = linear_alpha_bars(T)[-1]
        assert 0 <= last < 1e-4


def test_ddim_converges_with_order_one():
    a = linear_alpha_bars(1024)[-1]
    # The flow from the marginal of the last level to the data.
    exact = MEAN + (X - jnp.sqrt(a) * MEAN) * DEVIATION / jnp.sqrt(a * DEVIATION**2 + 1 - a)
    errors = [float(jnp.abs(levels(KEY, X, 1024, n, "none") - exact).max()) for n in (16, 32, 64)]
    np.testing.assert_allclose(orders(errors), 1, atol=0.2)


@pytest.mark.parametrize("added", ["small", "large"])
def test_ancestral_sampling_has_the_moments_of_its_chain(added):
    T, n = 50, 200_000
    a = np.asarray(linear_alpha_bars(T), np.float64)
    # Algorithm 2 of Ho et al. on Gaussians, moment by moment.
    mean, variance = 0.0, 1.0
    for t in range(T - 1, -1, -1):
        before = a[t - 1] if t else 1.0
        alpha, beta = a[t] / before, 1 - a[t] / before
        gain = beta / (a[t] * DEVIATION**2 + 1 - a[t])
        mean = (mean * (1 - gain) + gain * np.sqrt(a[t]) * MEAN) / np.sqrt(alpha)
        noise = {"small": beta * (1 - before) / (1 - a[t]), "large": beta if t else 0.0}[added]
        variance = variance * (1 - gain) ** 2 / alpha + noise
    start, between = jax.random.split(jax.random.key(2))
    y = np.asarray(levels(between, jax.random.normal(start, (n, 1)), T, T, added))
    assert abs(y.mean() - mean) < 4 * np.sqrt(variance / n) + 1e-4
    assert abs(y.std() / np.sqrt(variance) - 1) < 4 * (0.5 / n) ** 0.5 + 1e-3
    # And the chain is near the Gaussian that it samples.
    assert abs(mean - MEAN) < 1e-3 and abs(np.sqrt(variance) / DEVIATION - 1) < {"small": 0.15, "large": 0.05}[added]


def test_fewer_levels_are_spread_evenly_and_start_at_the_noisiest():
    a = linear_alpha_bars(100)
    seen = []

    def epsilon(x, share):
        jax.debug.callback(lambda share: seen.append(round(float(share) * 100)), share)
        return x

    ddim_sampler(KEY, epsilon, jnp.ones((1, 1)), a, visited_levels(len(a), 4, "even"), added="none").block_until_ready()
    jax.effects_barrier()
    assert seen == [100, 67, 34, 1]


def test_quadratic_levels_are_those_of_the_paper():
    """Song et al. 2021, appendix D.2: the integer part of c i^2, up to the noisiest level; none below 1."""
    expected = np.floor(np.arange(1, 101) ** 2 * 0.1)
    got = np.asarray(visited_levels(1000, 100, "quadratic"))
    np.testing.assert_array_equal(got, np.maximum(expected, 1))
    assert got[-1] == 1000 and (np.diff(got) >= 0).all() and np.median(got) == pytest.approx(255, abs=5)


def test_levels_that_repeat_change_nothing():
    a, x = linear_alpha_bars(100), X
    once, twice = (
        ddim_sampler(KEY, noise_prediction(a), x, a, jnp.array(levels), added="none")
        for levels in ([1, 10, 40, 100], [1, 1, 1, 10, 40, 40, 100])
    )
    np.testing.assert_allclose(once, twice, atol=1e-5)


def test_few_levels_keep_fine_detail():
    """100 of 1,000 levels, from noise to a Gaussian far narrower than the data's range: levels 1, 11, ... 991 give 0.792."""
    a = linear_alpha_bars(1000)
    narrow, x = 0.05, jnp.array([[1.0]])

    def epsilon(x, share):
        signal = a[jnp.round(share * 1000).astype(int) - 1]
        return jnp.sqrt(1 - signal) * x / (signal * narrow**2 + 1 - signal)

    out = jax.jit(lambda x: ddim_sampler(KEY, epsilon, x, a, visited_levels(len(a), 100, "even"), added="none"))(x)
    assert float(out[0, 0]) / narrow > 0.79


def test_noise_on_the_way_scales():
    x = jnp.zeros((100_000, 1))
    half, whole = (levels(KEY, x, 30, 30, "small", noise).std() for noise in (0.5, 1.0))
    np.testing.assert_allclose(half / whole, 0.5, rtol=1e-3)
