"""Linear regression retrained on labels that its own predecessor made: expected squared error of the coefficients.

Rows x are N(0, I_d), labels y = x w + noise of standard deviation σ; ordinary least squares on T rows; each generation
labels T rows with its coefficients and noise of the same σ. The error is E |w_g - w|², which is also the excess test
error. Generation 0 is the fit to real labels.

References:
    Gerstgrasser et al. 2024, arXiv:2404.01413, Theorems 1 and 2; Mobahi et al. 2020 and Dohmatob et al. 2024,
    arXiv:2402.07712, for replace.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from selfconsume.theory.closed_forms.moments import Curve, Values, generations

Design = Literal["same", "fresh"]
"""Whether all generations label the same rows x, or each its own."""


def least_squares_error(d: int, rows: int, *, noise: float = 1.0) -> float:
    r"""Error of one fit, :math:`\sigma^2 d / (T - d - 1)`.

    Raises:
        ValueError: T <= d + 1, where the expectation is infinite.
    """
    if rows <= d + 1:
        raise ValueError(f"the expected error is infinite unless rows > d + 1, got rows = {rows}, d = {d}")
    return noise**2 * d / (rows - d - 1)


def replace_error(g: Values, d: int, rows: int, *, noise: float = 1.0) -> Curve:
    r"""Each generation fitted to the latest labels only: :math:`(g + 1)\, \sigma^2 d / (T - d - 1)`, any design."""
    return ((generations(g) + 1) * least_squares_error(d, rows, noise=noise))[()]


def accumulate_error(g: Values, d: int, rows: int, *, noise: float = 1.0, design: Design = "same") -> Curve:
    r"""Each generation fitted to real labels and to the labels of all generations before it.

    With the same rows throughout, :math:`\frac{\sigma^2 d}{T - d - 1} \sum_{i=1}^{g+1} 1/i^2`; with fresh rows each time a
    little less, :math:`\sigma^2 \sum_{i=1}^{g+1} \frac{d}{i (iT - d - 1)}`, because the Gram matrices average out (the
    blocks of rows are exchangeable, so each carries an equal part of the trace). The first bounds the second.
    """
    times = generations(g)
    i = np.arange(1, times.max(initial=0) + 2)
    base = least_squares_error(d, rows, noise=noise)
    terms = base / i**2 if design == "same" else noise**2 * d / (i * (i * rows - d - 1.0))
    return np.cumsum(terms)[times]


def mixed_error(g: Values, d: int, rows: int, *, ratio: float, weight: float = 1.0, noise: float = 1.0) -> Curve:
    r"""Each generation fitted to the T real labels and to λT labels of the latest generation, on the same rows.

    .. math:: \frac{\sigma^2 d}{T - d - 1} \left[1 + \frac{w \lambda}{1 + 2\lambda}
              \left(1 - \left(\frac{\lambda}{1+\lambda}\right)^{2g}\right)\right]

    The fit moves from the one to real labels towards the last one by λ/(1+λ), and labels on k = λ/w copies of the design bring
    noise of w λ/(1+λ)² of one fit. Exact if k is a whole number; else, and where own labels have fresh rows, to first order
    in d/T.

    Args:
        g: Generations after the fit to real labels; may be `math.inf`.
        d: Coefficients.
        rows: T, real rows.
        ratio: λ, the weight of own labels over that of the real ones.
        weight: w, weight of each own label.
        noise: σ.
    """
    rate = ratio / (1.0 + ratio)
    grown = 1.0 - np.asarray(rate, np.float64) ** (2.0 * np.asarray(g, np.float64))
    return (least_squares_error(d, rows, noise=noise) * (1.0 + weight * ratio / (1.0 + 2.0 * ratio) * grown))[()]
