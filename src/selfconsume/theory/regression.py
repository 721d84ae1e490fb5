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

from selfconsume.theory.moments import Curve, Values, generations

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
