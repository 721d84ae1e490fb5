"""Predictions for a run: every curve and limit of the literature whose assumptions it meets.

>>> from selfconsume.families.gaussian import Gaussian
>>> from selfconsume.loop.run import Run
>>> from selfconsume.regimes.replace import Replace
>>> from selfconsume.sources.gaussian import Gaussian as Normal
>>> run = Run(Normal(n=10), Gaussian(estimator="ml"), Replace(), initial="truth")
>>> curve = predict(run, 6)[0]
>>> curve.label, curve.metric, round(float(curve.values[5]), 5)
('variance, fully synthetic', 'covariance.0.0', 0.59049)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from selfconsume.loop.run import Run
from selfconsume.metrics.moments import Moments
from selfconsume.metrics.parameters import MAX_DIMENSION
from selfconsume.theory.closed_forms.moments import Estimator, Initial
from selfconsume.theory.predictions.expected_moments import MomentFit, expected_moments, moment_limit, moments_citation
from selfconsume.theory.predictions.gaussian import GaussianRun, frechet_predictions, gaussian_predictions
from selfconsume.theory.predictions.prediction import END, Basis, Prediction
from selfconsume.theory.predictions.regression import regression_predictions
from selfconsume.theory.predictions.sample_variance import SampleVariance
from selfconsume.theory.predictions.vocabulary import vocabulary_predictions
from selfconsume.theory.run_facts import RunFacts, SourceMoments, run_facts
from selfconsume.types import Metric


def predict(run: Run, generations: int, metrics: Sequence[Metric] = ()) -> list[Prediction]:
    """The predictions whose assumptions a run meets.

    They cover families that match moments (Gaussian, categorical at temperature 1, kernel densities of fixed bandwidth) on
    data from a distribution with known moments, in regimes with a constant plan: real data only, mix, replace, fresh,
    accumulate, subsample and window; and least squares on the linear source with labels replaced,
    accumulated, or mixed with the real ones; and the vocabulary of unsmoothed unigram models of independent words. These
    families have closed-form fits, so cold, warm and first starts agree.

    Args:
        run: The run.
        generations: Number of generations, generation 0 included.
        metrics: The study's metrics; the estimator of `moments` changes its prediction.

    Returns:
        The predictions; none where no closed form applies. Values are means over real samples and runs, not statements
        about a single run: a mean over few seeds of a collapsing run is far from its expectation.
    """
    if run.source.vocabulary is not None:
        return list(vocabulary_predictions(run, generations))
    facts = run_facts(run, generations)
    if facts is None:
        return []
    if facts.family.kind == "linear_regression":
        return [] if facts.linear is None else list(regression_predictions(facts, facts.linear, generations))
    if facts.moments is None or facts.initial is None or facts.n < 2:
        return []
    estimators: list[Estimator] = [metric.estimator for metric in metrics if isinstance(metric, Moments)]
    estimator = estimators[0] if estimators else Moments().estimator
    samples = SampleVariance(facts.n_sampled, facts.moments, estimator)
    predictions = _moment_predictions(facts, facts.moments, facts.initial, samples, np.arange(generations))
    return [prediction for prediction in predictions if np.isfinite(prediction.values).all()]


def _moment_predictions(
    facts: RunFacts, moments: SourceMoments, initial: Initial, samples: SampleVariance, t: np.ndarray
) -> Iterator[Prediction]:
    """Predictions for the families that match moments."""
    family = facts.family
    if family.kind == "gaussian":
        fit = MomentFit(facts.n, initial, family.estimator, family.temperature)
        gaussian_run = GaussianRun(fit, facts.setting, moments, family.covariance, facts.n_sampled)
        yield from gaussian_predictions(gaussian_run, samples, t)
        yield from frechet_predictions(gaussian_run, t)
    elif family.kind == "categorical" and moments.distribution == "categorical" and family.temperature == 1:
        yield from _categorical(facts, moments, initial, samples, t)
    elif family.kind == "kernel_density" and family.bandwidth is not None and initial == "fit":
        yield from _kernel_density(facts, moments, family.bandwidth, samples, t)


def _categorical(
    facts: RunFacts, moments: SourceMoments, initial: Initial, samples: SampleVariance, t: np.ndarray
) -> Iterator[Prediction]:
    fit, setting = MomentFit(facts.n, initial), facts.setting
    curve, limit = expected_moments(fit, setting, t), moment_limit(fit, setting)
    citation = moments_citation(setting, 1.0)
    if setting.closed:
        citation = "Seddik et al. 2024, arXiv:2404.05090; Suresh et al. 2024, arXiv:2412.17646"
    start = "the truth" if initial == "truth" else "a fit"
    basis = Basis(f"categorical, temperature 1; generation 0 is {start}", citation)
    k, label = len(moments.mean), f"p (1 - p), {setting.text}"
    for i in range(k if k <= MAX_DIMENSION else 0):
        variance, metric = moments.covariance[i, i], f"p.{i}"
        yield basis.prediction(label, metric, "mean_spread", t, variance * curve.variance)
        if limit is not None:
            end = np.array([variance * limit.variance])
            yield basis.prediction(label, metric, "mean_spread", END, end, "limit")
    yield from samples.predictions(f"diversity over k, {setting.text}", t, curve.variance, basis)


def _kernel_density(
    facts: RunFacts, moments: SourceMoments, bandwidth: float, samples: SampleVariance, t: np.ndarray
) -> Iterator[Prediction]:
    setting, scale = facts.setting, np.trace(moments.covariance) / len(moments.mean)
    if not scale > 0:
        return
    kernel = float(bandwidth**2 * facts.family.temperature / scale)
    fit = MomentFit(facts.n, "fit", kernel=kernel)
    basis = Basis(
        f"kernel density of bandwidth {bandwidth:g}; mean over real samples and runs",
        "Khelifa et al. 2026, arXiv:2602.16601 (fresh fraction); Kazdan et al. 2024, arXiv:2410.16713",
    )
    label = f"variance of samples, {setting.text}"
    yield from samples.predictions(label, t, expected_moments(fit, setting, t).variance + kernel, basis)
    limit = moment_limit(fit, setting)
    if limit is not None and np.isfinite(limit.variance):
        yield from samples.predictions(label, END, np.array([limit.variance + kernel]), basis, "limit")
