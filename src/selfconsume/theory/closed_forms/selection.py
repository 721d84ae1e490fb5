r"""What curation does to a distribution over finitely many states, in the limit of many samples.

Each function maps probabilities to probabilities: one curated generation, or the fixed point of many.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from selfconsume.theory.closed_forms.moments import Curve, Values

Probabilities = NDArray[np.float64]


def bradley_terry(p: Values, reward: Values, choices: int | float) -> Probabilities:
    r"""Distribution of the winner among K independent candidates, candidate k winning with odds :math:`e^{r(x_k)}`.

    .. math:: p'(x) = p(x)\, E\left[\frac{K e^{r(x)}}{e^{r(x)} + \sum_{k=2}^{K} e^{r(X_k)}}\right], \qquad X_k \sim p

    The expectation over the other K - 1 candidates is exact to rounding: :math:`1/a = \int_0^\infty e^{-as} ds` turns it into
    a one-dimensional integral of :math:`(E e^{-s e^{r(X)}})^{K-1}`, which the trapezoidal rule in log s integrates with an
    error below 1e-14. K = 1 leaves p as it is; K = inf gives :math:`p e^r / E_p e^r`.

    Args:
        p: Probabilities, shape (states,).
        reward: r of each state, shape (states,).
        choices: K, a whole number from 1, or `math.inf`.

    References:
        Ferbach et al. 2024, arXiv:2407.09499, section 2.1.
    """
    # Normalised here, because iterating the map would raise a rounding error of the sum to the power K each time.
    weights, rewards = np.asarray(p, dtype=float) / np.sum(p), np.asarray(reward, dtype=float)
    odds = np.exp(rewards - rewards.max())
    if choices == math.inf:
        return weights * odds / (weights @ odds)
    if choices < 1 or choices != int(choices):
        raise ValueError(f"choices must be a whole number from 1, or infinity, got {choices}")
    # In u = log s the integrand rises like e^u and falls like exp(-e^u): the ends hold less than 1e-17 of it.
    u = np.arange(-40.0 - math.log(choices), 4.0 - np.log(odds.min()), 0.1)
    decay = np.exp(-np.exp(u)[:, None] * odds)
    integrand = np.exp(u) * (decay @ weights) ** (choices - 1)
    return weights * choices * odds * (0.1 * integrand @ decay)


def curated_limit(p: Values, reward: Values) -> Probabilities:
    """Where fully synthetic curated training ends: ``p`` restricted to the states of highest reward in its support.

    References:
        Ferbach et al. 2024, arXiv:2407.09499, section 2.2 (for K >= 2; with many samples, before drift acts).
    """
    p, reward = np.asarray(p, dtype=float), np.asarray(reward, dtype=float)
    best = np.where((p > 0) & (reward == reward[p > 0].max()), p, 0.0)
    return best / best.sum()


def curated_fixed_point(
    real: Values, reward: Values, choices: int | float, ratio: float, *, tolerance: float = 1e-13
) -> Probabilities:
    r"""Fixed point of training on real data with λ times as many curated samples of the latest generation.

    Solves :math:`p = (p_{real} + \lambda\, C(p)) / (1 + \lambda)`, C the map of `bradley_terry`, by iterating it from
    ``real`` until no probability moves by more than ``tolerance``.

    Raises:
        ArithmeticError: Not there after 100,000 generations (very large λ: the limit is then `curated_limit`).

    References:
        Ferbach et al. 2024, arXiv:2407.09499, section 2.3.
    """
    real = np.asarray(real, dtype=float)
    p = real
    for _ in range(100_000):
        new = (real + ratio * bradley_terry(p, reward, choices)) / (1.0 + ratio)
        if np.abs(new - p).max() <= tolerance:
            return new
        p = new
    raise ArithmeticError(f"no fixed point to {tolerance} after 100000 generations at ratio = {ratio}")


def verified(right: Values, keep_right: float, keep_wrong: float) -> Curve:
    r"""Share of right samples after a verifier kept right ones with probability φ and wrong ones with ψ.

    .. math:: q' = \frac{\varphi q}{\varphi q + \psi (1 - q)}

    Each pass multiplies the odds by φ/ψ; t passes are ``verified(q, φ**t, ψ**t)``.

    References:
        Feng et al. 2024, arXiv:2406.07515; Yi et al. 2025, arXiv:2510.16657.
    """
    right = np.asarray(right, dtype=float)
    return keep_right * right / (keep_right * right + keep_wrong * (1.0 - right))


def corrected(p: Values, truth: Values, strength: float) -> Probabilities:
    r"""Samples pulled toward the truth: :math:`(p + \gamma p^*) / (1 + \gamma)`, γ = ``strength``.

    γ = 0 does nothing, γ = 1 goes half the way, γ → ∞ replaces samples by the truth. What it does to finite samples,
    generation after generation, is in `mixing` (``correction``).

    References:
        Gillman et al. 2024, arXiv:2402.07087, the idealised correction function.
    """
    return (np.asarray(p, dtype=float) + strength * np.asarray(truth, dtype=float)) / (1.0 + strength)
