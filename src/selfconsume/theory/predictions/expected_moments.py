"""Expected moments of a run: the closed form of its setting, the limit, and the constant of large samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from selfconsume.theory.closed_forms import mean_error, mixing, moments, windowed
from selfconsume.theory.closed_forms.moments import Estimator, Initial
from selfconsume.theory.setting import Setting


class MomentFit(NamedTuple):
    """A fit that keeps the mean and covariance of its training set, and the variance of its samples.

    Attributes:
        n: Real examples of generation 0.
        initial: Generation 0.
        estimator: Divisor of the covariance.
        temperature: Variance factor of samples.
        kernel: Variance that sampling adds, in units of the true variance.
    """

    n: int
    initial: Initial
    estimator: Estimator = "ml"
    temperature: float = 1.0
    kernel: float = 0.0


def expected_moments(fit: MomentFit, setting: Setting, t: np.ndarray) -> moments.ExpectedMoments:
    """Expected variance and squared error of the mean in generations ``t``, in units of the true variance."""
    if setting.accumulates:
        return moments.accumulate_moments(
            t,
            setting.real,
            setting.synthetic,
            budget=setting.budget,
            estimator=fit.estimator,
            initial=fit.initial,
            temperature=fit.temperature,
            kernel=fit.kernel,
        )
    if setting.window is not None:
        return windowed.window_moments(
            t,
            setting.real,
            setting.synthetic,
            setting.window,
            n_initial=fit.n,
            estimator=fit.estimator,
            initial=fit.initial,
            temperature=fit.temperature,
            kernel=fit.kernel,
        )
    return mixing.mixed_moments(
        t,
        setting.real,
        setting.synthetic,
        fresh=setting.fresh,
        weight=setting.share,
        n_initial=fit.n,
        estimator=fit.estimator,
        initial=fit.initial,
        temperature=fit.temperature,
        kernel=fit.kernel,
    )


def moment_limit(fit: MomentFit, setting: Setting) -> moments.ExpectedMoments | None:
    """Limit of `expected_moments` for t to infinity, where it is known; nan in the place of an unknown component."""
    if not setting.lasting or setting.window is not None:
        return None
    if setting.accumulates:
        if setting.budget is not None or fit.initial != "fit" or fit.temperature != 1 or fit.kernel:
            return None
        variance = moments.accumulate_limit(setting.real, setting.synthetic, estimator=fit.estimator)
        return moments.ExpectedMoments(variance, np.nan)
    if not setting.closed:
        return mixing.mixed_limit(
            setting.real,
            setting.synthetic,
            fresh=setting.fresh,
            weight=setting.share,
            estimator=fit.estimator,
            temperature=fit.temperature,
            kernel=fit.kernel,
        )
    rate = fit.temperature * moments.shrinkage(setting.synthetic, fit.estimator)
    if fit.kernel or rate >= 1:
        return None
    variance, mean_square = moments.first(fit.n, fit.estimator, fit.initial)
    return moments.ExpectedMoments(0.0, mean_square + fit.temperature * variance / setting.synthetic / (1 - rate))


def mean_error_factor(fit: MomentFit, setting: Setting) -> float | None:
    """Limit of n MSE / σ² of the mean for t and then n to infinity: the universal constants of the literature."""
    n, ratio = fit.n, setting.synthetic / fit.n
    if fit.initial != "fit" or not setting.lasting or setting.closed or setting.window or not setting.synthetic:
        return None
    if setting.accumulates:
        if setting.budget is None:
            return float(mean_error.accumulate_factor(np.inf, ratio=ratio))
        return float(mean_error.subsample_factor(np.inf)) if setting.budget == n == setting.synthetic else None
    if setting.fresh and setting.real == n:
        return float(mean_error.fresh_factor(np.inf, k=1 / ratio, weight=setting.share))
    is_pooled = abs(setting.ratio - ratio) < 1e-9 and setting.real == n
    return float(mean_error.mixed_factor(np.inf, ratio=ratio)) if setting.fixed and is_pooled else None


def moments_citation(setting: Setting, temperature: float) -> str:
    """The papers that the expected moments of a setting are from."""
    if setting.accumulates:
        return "Gerstgrasser et al. 2024, arXiv:2404.01413; Kazdan et al. 2024, arXiv:2410.16713"
    if temperature != 1 or setting.window is not None:
        return "Alemohammad et al. 2024, arXiv:2307.01850"
    if setting.fresh:
        return "He et al. 2025, arXiv:2502.18049; Alemohammad et al. 2024, arXiv:2307.01850"
    if setting.closed:
        return "Shumailov et al. 2024, arXiv:2305.17493; Alemohammad et al. 2024, arXiv:2307.01850"
    return "regime of Bertrand et al. 2024, arXiv:2310.00429; law of total variance"
