"""Predictions for the Gaussian family: its parameters, its collapse when fully synthetic, and the Fréchet distance."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from selfconsume.metrics.parameters import MAX_DIMENSION
from selfconsume.theory.closed_forms import gaussian
from selfconsume.theory.predictions.expected_moments import (
    MomentFit,
    expected_moments,
    mean_error_factor,
    moment_limit,
    moments_citation,
)
from selfconsume.theory.predictions.prediction import END, Basis, Prediction
from selfconsume.theory.predictions.sample_variance import SampleVariance
from selfconsume.theory.run_facts import SourceMoments
from selfconsume.theory.setting import Setting


class GaussianRun(NamedTuple):
    """A Gaussian retrained on data with known moments.

    Attributes:
        fit: The fit.
        setting: The use of the pool.
        moments: Moments of the real data.
        covariance: Which entries of the covariance are fitted.
        n_sampled: Samples of each generation that metrics see.
    """

    fit: MomentFit
    setting: Setting
    moments: SourceMoments
    covariance: Literal["full", "diagonal"]
    n_sampled: int

    @property
    def assumptions(self) -> str:
        """Estimator, sampling bias and generation 0 in words."""
        start = "the truth" if self.fit.initial == "truth" else "a fit to the real sample"
        bias = "" if self.fit.temperature == 1 else f", temperature {self.fit.temperature:g}"
        return (
            f"Gaussian, {self.fit.estimator} covariance{bias}; generation 0 is {start}; mean over real samples and runs"
        )

    @property
    def basis(self) -> Basis:
        """Assumptions and citation of its expected moments."""
        return Basis(self.assumptions, moments_citation(self.setting, self.fit.temperature))


def gaussian_predictions(run: GaussianRun, samples: SampleVariance, t: np.ndarray) -> Iterator[Prediction]:
    """Mean and covariance of the fit, coordinate by coordinate, and the variance of its samples."""
    curve, setting, basis = expected_moments(run.fit, run.setting, t), run.setting, run.basis
    d = len(run.moments.mean)
    for i in range(d if d <= MAX_DIMENSION else 0):
        variance, centre = run.moments.covariance[i, i], float(run.moments.mean[i])
        error = f"squared error of the mean, {setting.text}"
        values = variance * curve.variance
        yield basis.prediction(f"variance, {setting.text}", f"covariance.{i}.{i}", "mean", t, values)
        values = variance * curve.mean_square
        yield basis.prediction(error, f"mean.{i}", "mean_square", t, values, centre=centre)
        yield from _limits(run, i)
        if setting.closed and run.moments.distribution == "gaussian":
            yield from _collapse(run, t, variance, f"covariance.{i}.{i}")
    if run.covariance == "full":
        for i, j in itertools.combinations(range(d if d <= MAX_DIMENSION else 0), 2):
            values = run.moments.covariance[i, j] * curve.variance
            yield basis.prediction(f"covariance, {setting.text}", f"covariance.{i}.{j}", "mean", t, values)
    label = f"variance of samples, {setting.text}"
    yield from samples.predictions(label, t, run.fit.temperature * curve.variance, basis)


def _limits(run: GaussianRun, i: int) -> Iterator[Prediction]:
    """Limits of variance and squared error of one coordinate, and the constant of large samples."""
    variance, centre = run.moments.covariance[i, i], float(run.moments.mean[i])
    setting, basis = run.setting, run.basis
    error = f"squared error of the mean, {setting.text}"
    limit = moment_limit(run.fit, setting)
    if limit is not None:
        end = np.array([variance * limit.variance])
        yield basis.prediction(f"variance, {setting.text}", f"covariance.{i}.{i}", "mean", END, end, "limit")
        end = np.array([variance * limit.mean_square])
        yield basis.prediction(error, f"mean.{i}", "mean_square", END, end, "limit", centre)
    factor = mean_error_factor(run.fit, setting) if run.fit.temperature == 1 else None
    if factor is not None:
        first_order = basis._replace(assumptions=f"{basis.assumptions}; to first order in 1/n")
        end = np.array([variance * factor / run.fit.n])
        label = f"{error}, large n"
        yield first_order.prediction(label, f"mean.{i}", "mean_square", END, end, "asymptotic", centre)


def _collapse(run: GaussianRun, t: np.ndarray, variance: float, metric: str) -> Iterator[Prediction]:
    """Expected standard deviation and log variance: each coordinate of a Gaussian is a one-dimensional chain."""
    fit, rows = run.fit, run.setting.synthetic
    std = gaussian.mean_std(t, rows, estimator=fit.estimator, initial="truth", temperature=fit.temperature)
    log = gaussian.mean_log_std(t, rows, estimator=fit.estimator, initial="truth", temperature=fit.temperature)
    if fit.initial == "fit":
        std = std * gaussian.std_factor(fit.n, estimator=fit.estimator)
        log = log + gaussian.mean_log_std(1, fit.n, estimator=fit.estimator)
    assumptions = f"{run.assumptions}; Gaussian data"
    basis = Basis(assumptions, "Bertrand et al. 2024, arXiv:2310.00429, Proposition 1")
    label = "standard deviation, fully synthetic"
    yield basis.prediction(label, metric, "mean_sqrt", t, np.sqrt(variance) * std)
    basis = Basis(
        assumptions,
        "expected logarithm of a chi-square variable; setting of Shumailov et al. 2024, arXiv:2305.17493",
    )
    yield basis.prediction("log variance, fully synthetic", metric, "mean_log", t, np.log(variance) + 2 * log)


def frechet_predictions(run: GaussianRun, t: np.ndarray) -> Iterator[Prediction]:
    """The Fréchet distance and its floor to first order in 1/n, for Gaussian data of equal variances.

    Errors of the fit, of the samples and of the test set add up, each a Fréchet floor of its own sample size.
    """
    moments, n_test = run.moments, run.moments.n_test
    d, variance = len(moments.mean), moments.covariance[0, 0]
    is_isotropic = moments.distribution == "gaussian" and np.array_equal(moments.covariance, variance * np.eye(d))
    if not is_isotropic or run.fit.temperature != 1 or run.n_sampled < 2 or n_test < 2:
        return
    floor = gaussian.frechet_floor(run.n_sampled, d) + gaussian.frechet_floor(n_test, d)
    basis = Basis(
        f"Gaussian data of equal variances; first order in 1/n; {run.n_sampled} samples against {n_test}",
        "Dowson and Landau 1982 to second order",
    )
    start, value = np.zeros(1, int), np.array([variance * floor])
    yield basis.prediction("noise floor", "frechet.floor", "mean", start, value, "asymptotic")
    error = np.asarray(expected_moments(run.fit, run.setting, t).mean_square)
    per_row = gaussian.frechet_floor(1, d) if run.covariance == "full" else 1.5 * d
    # First order needs small errors: a tenth of a standard deviation squared, and more examples than dimensions.
    is_small = (error <= 0.1) & (per_row * error <= 0.5 * d)
    if is_small.any():
        values = variance * (per_row * error[is_small] + floor)
        label = f"Fréchet distance, {run.setting.text}"
        yield basis.prediction(label, "frechet", "mean", t[is_small], values, "asymptotic")
