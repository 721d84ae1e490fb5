r"""How far a model is from its data, and how much that matters: the constants ε and L of the stability theorems.

ε = W1(model, data) is exact for the points that are given (for a sample of n points in D dimensions it is larger than the
distance of the distributions, by about :math:`n^{-1/\max(D, 2)}`). L is a supremum over all x: what can be computed from
points is a lower bound, so every theorem evaluated with it is an estimate and no certificate.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.spatial.distance
import scipy.stats

from selfconsume.theory.stability.curvature import Likelihood, Points, float64


def wasserstein1(first: Points, second: Points, *, limit: int = 1024) -> float:
    """W1 (Euclidean cost) between two sets of weighted points.

    In one dimension exact, by quantile functions. Otherwise by an exact assignment between equally many points of either
    set: at most ``limit`` of each, drawn at random (with a fixed seed) where there are more or where weights differ.
    """
    x, y = first.x.reshape(len(first.x), -1), second.x.reshape(len(second.x), -1)
    if x.shape[1] == 1:
        return float(scipy.stats.wasserstein_distance(x[:, 0], y[:, 0], first.weight, second.weight))
    rng = np.random.default_rng(0)
    n = min(len(x), len(y), limit)
    x, y = x[_subset(rng, first.weight, n)], y[_subset(rng, second.weight, n)]
    cost = scipy.spatial.distance.cdist(x, y)
    return float(cost[scipy.optimize.linear_sum_assignment(cost)].mean())


@float64
def lipschitz(likelihood: Likelihood, x: np.ndarray, *, limit: int = 1024, iterations: int = 12) -> float:
    r"""A lower bound on the Lipschitz constant of :math:`x \mapsto \nabla^2_\theta \log p_\theta(x)`, in operator norm.

    The largest, over points, of two quotients, each maximised over directions by power iteration: the derivative of the
    Hessian along x, :math:`|\partial_u \nabla^2_\theta \log p_\theta(x)\, v|` for unit u and v; and
    :math:`|(H(x) - H(y)) v| / |x - y|` between random pairs, which also sees jumps and discrete x.

    Args:
        likelihood: The density and its parameters.
        x: Points, (n, *shape); the bound can only see where they are.
        limit: Points used at most, evenly taken.
        iterations: Power iterations.
    """
    # A whole number of batches: a remainder would be a second program to compile.
    count = min(limit, len(x))
    batch = min(64, count)
    x = np.asarray(x, np.float64)[np.linspace(0, len(x) - 1, count // batch * batch).astype(int)]
    rng = np.random.default_rng(0)
    partners = x[rng.permutation(len(x))]
    start = rng.normal(size=(len(x), likelihood.theta.size))

    def hessian_times(at_theta, point, v):
        gradient = jax.grad(lambda p: likelihood.log_prob(p, point[None])[0])
        return jax.jvp(gradient, (at_theta,), (v,))[1]

    def quotients(at_theta, point, partner, v):
        times = functools.partial(hessian_times, at_theta)
        distance = jnp.linalg.norm((point - partner).reshape(-1))

        def derivative(v):
            steepest = jax.grad(lambda at: v @ times(at, v))(point)
            return jax.jvp(lambda at: times(at, v), (point,), (_unit(steepest),))[1]

        def difference(v):
            return (times(point, v) - times(partner, v)) / jnp.where(distance > 0, distance, 1.0)

        def power(apply):
            def step(state, _):
                image = apply(state)
                return _unit(image), jnp.linalg.norm(image)

            return jax.lax.scan(step, _unit(v), length=iterations)[1].max()

        return jnp.maximum(power(derivative), power(difference))

    def all_quotients(at_theta, *cases):
        return jax.lax.map(lambda case: quotients(at_theta, *case), cases, batch_size=batch)

    values = jax.jit(all_quotients)(likelihood.theta, x, partners, start)
    return float(np.nanmax(np.asarray(values)))


def _unit(vector):
    length = jnp.linalg.norm(vector.reshape(-1))
    return jnp.where(length > 0, vector / jnp.where(length > 0, length, 1.0), vector)


def _subset(rng: np.random.Generator, weight: np.ndarray, n: int) -> np.ndarray:
    """``n`` row numbers: without replacement for equal weights, by weight for others."""
    if np.ptp(weight) < 1e-12:
        return rng.permutation(len(weight))[:n]
    # Systematic sampling: one uniform, evenly spaced quantiles.
    return np.searchsorted(np.cumsum(weight), (np.arange(n) + rng.uniform()) / n, side="right").clip(
        max=len(weight) - 1
    )
