r"""Samples of the latest few generations, with the real rows or without: exact expected moments.

Same setting, units and conventions as `moments`: families that match moments, everything in units of the true variance.
"""

from __future__ import annotations

import numpy as np

from selfconsume.theory.closed_forms.moments import Estimator, ExpectedMoments, Initial, Values, first, generations


def window_moments(
    t: Values,
    n_real: int,
    n_synthetic: int,
    size: int,
    *,
    n_initial: int | None = None,
    estimator: Estimator = "ml",
    initial: Initial = "fit",
    temperature: float = 1.0,
    kernel: float = 0.0,
) -> ExpectedMoments:
    r"""Each generation fitted to the real rows and to the samples of the latest K generations, all of equal weight.

    The training set consists of blocks b with shares :math:`w_b` of its N rows: the real one and at most K synthetic ones.
    With the means :math:`\bar x_b` of blocks, their second moments :math:`C = E[\bar x \bar x^T]`, the truth being 0, and
    :math:`V_b` the expected ml variance within block b,

    .. math::
        E \mu_t^2 = w^T C w, \qquad E v_t = \sum_b w_b (V_b + C_{bb}) - w^T C w

    (unbiased: times N / (N - 1)). The next block, m samples, has :math:`s = \tau E v_t + h^2`, :math:`V = (1 - 1/m) s`
    and second moments :math:`C w`, with itself :math:`w^T C w + s / m`. Exact at every t, over real samples and runs.

    Args:
        t: Generations, non-negative integers.
        n_real: Real rows in each fit after generation 0; 0 for none.
        n_synthetic: m, samples of each generation.
        size: K; 1 is `mixing.mixed_moments`, infinite `moments.accumulate_moments`.
        n_initial: Rows of the fit of generation 0, if not ``n_real``.
        estimator: Which variance is fitted.
        initial: What generation 0 is.
        temperature: Factor τ on the variance of all samples.
        kernel: h², variance that sampling adds to the fit's (a kernel density of ml rows), in units of σ².

    References:
        Regime of Alemohammad et al. 2024, arXiv:2307.01850; law of total variance.
    """
    times = generations(t)
    rows = n_real if n_initial is None else n_initial
    variance, mean_square = first(rows, estimator, initial)
    # Of a fit to more real rows than stay, the mean of those that stay has covariance 1 / rows with the mean of all.
    counts = np.array([n_real] if n_real else [], dtype=float)
    second, within = np.diag(1.0 / counts), 1.0 - 1.0 / counts
    with_mean = np.full(len(counts), 1.0 / rows if initial == "fit" else 0.0)
    path = [(variance, mean_square)]
    for _ in range(int(times.max(initial=0))):
        spread = temperature * variance + kernel
        counts, within = np.append(counts, n_synthetic), np.append(within, (1.0 - 1.0 / n_synthetic) * spread)
        second = np.block([[second, with_mean[:, None]], [with_mean[None, :], mean_square + spread / n_synthetic]])
        recent = np.r_[: min(n_real, 1), max(len(counts) - size, min(n_real, 1)) : len(counts)]
        counts, within, second = counts[recent], within[recent], second[np.ix_(recent, recent)]
        weights = counts / counts.sum()
        with_mean = second @ weights
        mean_square = float(weights @ with_mean)
        variance = float(weights @ (within + np.diagonal(second))) - mean_square
        variance *= 1.0 if estimator == "ml" else counts.sum() / (counts.sum() - 1.0)
        path.append((variance, mean_square))
    curve = np.array(path)
    return ExpectedMoments(curve[times, 0], curve[times, 1])
