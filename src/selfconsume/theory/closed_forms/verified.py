r"""Linear models retrained on labels that an imperfect verifier let pass.

Two settings, both with inputs x from N(0, I_d): labels of a half-space with wrong ones among them, which a verifier accepts by
chance (φ right, ψ wrong ones); and labels of a regression, which a verifier accepts near what it believes itself.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.integrate
import scipy.special
import scipy.stats

from selfconsume.theory.closed_forms.moments import Curve, Values

NODES = 80
"""Nodes of each quadrature: more change no result below by 1e-9."""


def label_breakdown(keep_right: float, keep_wrong: float) -> float:
    r"""Share of wrong labels above which verified data teaches the opposite: :math:`p^* = \varphi / (\varphi + \psi)`.

    There, of the labels that pass, half are wrong. Without a verifier, φ = ψ, it is 1/2.

    References:
        Feng et al. 2024, arXiv:2406.07515, Theorem 4.2: the breakdown point :math:`1 / (1 + \psi / \varphi)`.
    """
    return keep_right / (keep_right + keep_wrong)


def verified_accuracy(flip: float, d: int, rows: int, *, keep_right: float = 1.0, keep_wrong: float = 1.0) -> float:
    r"""Expected accuracy of least squares on a generator's labels with errors, filtered by a verifier.

    The generator is a fit to as many correct labels; of its labels it gets the share p = ``flip`` wrong. Kept rows, K = (1-p)φ
    + pψ of all, have, exactly,

    .. math:: E[x y] = \sqrt{2/\pi}\, \left(\tfrac{\varphi - \psi}{2} w^* + \tfrac{(1 - 2p)(\varphi + \psi)}{2} w\right) / K,

    w* the normal of the true half-space and w that of the generator, both of length 1. The fit is off this direction by the
    noise of its own rows, of variance (1 - a²) / rows in each coordinate, :math:`a = \sqrt{2/\pi}\,(1 - 2q)`, q the share of
    wrong labels among the kept, and the accuracy is 1 - angle / π. To first order in d / rows.

    Args:
        flip: p.
        d: Inputs.
        rows: Rows of each fit.
        keep_right: φ.
        keep_wrong: ψ.

    References:
        Feng et al. 2024, arXiv:2406.07515, Theorem 4.2: the limit rows / d to infinity, 1 below `label_breakdown` and 0 above.
    """
    acceptance = (1 - flip) * keep_right + flip * keep_wrong
    slope = math.sqrt(2 / math.pi)
    along = slope * ((1 - flip) * keep_right - flip * keep_wrong) / acceptance
    carried = slope * (1 - 2 * flip) * (keep_right + keep_wrong) / (2 * acceptance)
    of_generator = (1 - slope**2) / (slope**2 * rows)
    across = math.sqrt((1 - along**2) / rows + carried**2 * of_generator)
    if d == 1:
        return float(along > 0)
    chi, longest = scipy.stats.chi, scipy.stats.chi.ppf(1 - 1e-12, d - 1)
    angle = scipy.integrate.quad(lambda r: math.atan2(across * r, along) * chi.pdf(r, d - 1), 0, longest)[0]
    return 1 - angle / math.pi


def band_map(offset: Values, d: int, *, radius: float, width: float, noise: float = 1.0) -> Curve:
    r"""Where least squares on labels in a band goes, in the limit of many rows: the new distance from the band's centre.

    Labels y = θ·x + σ ε pass where :math:`|y - \theta_c \cdot x| \le r \|x\| + b`. With δ = ‖θ - θ_c‖, the new coefficients
    lie on the line from θ_c to θ, at the distance

    .. math:: G(\delta) = E[u\, (u \delta + \sigma \varepsilon); \text{kept}] / E[u^2; \text{kept}],

    u the input along that line. G(0) = 0 and G contracts: the loop ends at the centre of the band, wherever the truth is.
    Moments of the truncated Gaussian are exact, those over u and ‖x‖ by Gauss quadrature.

    Args:
        offset: δ.
        d: Inputs.
        radius: r.
        width: b.
        noise: σ.

    References:
        Yi et al. 2025, arXiv:2510.16657, eq. 1 (the verifier) and Theorem 4.1 (convergence to the centre of its knowledge).
    """
    u, weight = scipy.special.roots_hermitenorm(NODES)
    rest, rest_weight = np.zeros(1), np.ones(1)
    if d > 1:
        half_square, rest_weight = scipy.special.roots_genlaguerre(NODES, (d - 3) / 2)
        rest = 2 * half_square
    weights = (weight / weight.sum())[:, None] * (rest_weight / rest_weight.sum())
    half_width = width + radius * np.sqrt(u[:, None] ** 2 + rest)
    shift = np.asarray(offset, dtype=float)[..., None, None] * u[:, None]
    low, high = (-half_width - shift) / noise, (half_width - shift) / noise
    passed = scipy.stats.norm.cdf(high) - scipy.stats.norm.cdf(low)
    residual = shift * passed + noise * (scipy.stats.norm.pdf(low) - scipy.stats.norm.pdf(high))
    moment = (weights * u[:, None] * residual).sum(axis=(-2, -1))
    return (moment / (weights * u[:, None] ** 2 * passed).sum(axis=(-2, -1)))[()]
