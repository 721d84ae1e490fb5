"""The closed forms that a setting selects: expected moments, their limits, and what they become as n grows."""

from __future__ import annotations

import numpy as np

from selfconsume.loop.run import Run
from selfconsume.theory.closed_forms import mean_error, mixing, moments
from selfconsume.theory.predictions.setting import Setting


def expected(run: Run, setting: Setting, t: np.ndarray, **options) -> moments.ExpectedMoments:
    """Expected variance and squared error of the mean, in units of the law's variance."""
    options["initial"] = run.initial
    if setting.accumulates:
        return moments.accumulate_moments(t, setting.real, setting.synthetic, budget=setting.budget, **options)
    return mixing.mixed_moments(
        t,
        setting.real,
        setting.synthetic,
        fresh=setting.fresh,
        weight=setting.share,
        n_initial=run.source.size,
        **options,
    )


def limit_of(run: Run, setting: Setting, *, kernel: float = 0.0, **options) -> moments.ExpectedMoments | None:
    """Where `expected` goes, if that is known; nan in the place of what is not."""
    estimator, temperature = options.get("estimator", "ml"), options.get("temperature", 1.0)
    if not setting.lasting:
        return None
    if setting.accumulates:
        if setting.budget is not None or run.initial != "fit" or temperature != 1 or kernel:
            return None
        return moments.ExpectedMoments(
            moments.accumulate_limit(setting.real, setting.synthetic, estimator=estimator), np.nan
        )
    if not setting.closed:
        mix = {"fresh": setting.fresh, "weight": setting.share, "kernel": kernel}
        return mixing.mixed_limit(setting.real, setting.synthetic, **mix, **options)
    rate = temperature * moments.shrinkage(setting.synthetic, estimator)
    if kernel or rate >= 1:
        return None
    variance, mean_square = moments.first(run.source.size, estimator, run.initial)
    return moments.ExpectedMoments(0.0, mean_square + temperature * variance / setting.synthetic / (1 - rate))


def factor_of(run: Run, setting: Setting) -> float | None:
    """n MSE / σ² of the mean in the end, as n grows: the universal numbers of the literature."""
    n, ratio = run.source.size, setting.synthetic / run.source.size
    if run.initial != "fit" or not setting.lasting or setting.closed or not setting.synthetic:
        return None
    if setting.accumulates:
        if setting.budget is None:
            return float(mean_error.accumulate_factor(np.inf, ratio=ratio))
        return float(mean_error.subsample_factor(np.inf)) if setting.budget == n == setting.synthetic else None
    if setting.fresh and setting.real == n:
        return float(mean_error.fresh_factor(np.inf, k=1 / ratio, weight=setting.share))
    pooled = abs(setting.ratio - ratio) < 1e-9 and setting.real == n
    return float(mean_error.mixed_factor(np.inf, ratio=ratio)) if setting.fixed and pooled else None


def reference_of(setting: Setting, temperature: float) -> str:
    """Where the curves of a setting are from."""
    if setting.accumulates:
        return "Gerstgrasser et al. 2024, arXiv:2404.01413; Kazdan et al. 2024, arXiv:2410.16713"
    if temperature != 1:
        return "Alemohammad et al. 2024, arXiv:2307.01850"
    if setting.fresh:
        return "He et al. 2025, arXiv:2502.18049; Alemohammad et al. 2024, arXiv:2307.01850"
    if setting.closed:
        return "Shumailov et al. 2024, arXiv:2305.17493; Alemohammad et al. 2024, arXiv:2307.01850"
    return "regime of Bertrand et al. 2024, arXiv:2310.00429; law of total variance"
