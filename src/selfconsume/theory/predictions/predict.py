"""What is known about a run before it is made: every curve and limit of the literature that applies to it.

>>> from selfconsume.families.gaussian import Gaussian
>>> from selfconsume.loop.generation import Run
>>> from selfconsume.regimes.schedules import Replace
>>> from selfconsume.sources.gaussian import Gaussian as Normal
>>> run = Run(Normal(n=10), Gaussian(estimator="ml"), Replace(), initial="truth")
>>> curve = predict(run, 6)[0]
>>> curve.label, curve.metric, round(float(curve.values[5]), 5)
('variance, fully synthetic', 'covariance.0.0', 0.59049)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from selfconsume.families.categorical import Categorical
from selfconsume.families.gaussian import Gaussian
from selfconsume.families.kde import Kde
from selfconsume.families.linear_regression import LinearRegression
from selfconsume.loop.run import Run
from selfconsume.metrics.moments import Moments as MomentsMetric
from selfconsume.metrics.parameters import MAX_DIMENSION
from selfconsume.sources.categorical import Categorical as Categories
from selfconsume.sources.linear import Linear
from selfconsume.theory.closed_forms import gaussian, moments
from selfconsume.theory.predictions.expected_moments import expected, factor_of, limit_of, reference_of
from selfconsume.theory.predictions.prediction import END, Kind, Prediction
from selfconsume.theory.predictions.regression import regression
from selfconsume.theory.predictions.setting import Setting, TrueMoments, moments_of, setting_of
from selfconsume.types import Metric


def predict(run: Run, generations: int, metrics: Sequence[Metric] = ()) -> list[Prediction]:
    """Everything that is known about a run.

    Applies to families that match moments (Gaussian, categorical at temperature 1, kernel densities of given bandwidth) on
    data drawn from a law of known moments, in regimes whose plans are alike in all generations: real data only, mix,
    replace, fresh, accumulate, subsample, and windows where they are one of these; and to least squares on the linear
    source, with labels replaced, accumulated, or mixed with the real ones. Where the cold, warm or first start differ,
    nothing here applies; for these families they do not.

    Args:
        run: What is retrained.
        generations: How many, generation 0 included.
        metrics: The study's metrics, whose settings change what is predicted (the estimator of `moments`).

    Returns:
        The predictions; none where nothing is known. Values are those of a mean over real samples and runs: they say
        nothing about a single run, and a mean over few seeds of a collapsing run is not near its expectation.
    """
    law, setting = moments_of(run.source), setting_of(run, generations)
    if type(run.family) is LinearRegression and type(run.source) is Linear and setting is not None:
        return list(regression(run, setting, generations))
    if law is None or setting is None or run.initial not in ("fit", "truth") or run.source.size < 2:
        return []
    if type(run.family) is Gaussian:
        found = [*_gaussian(run, law, setting, generations, metrics), *_frechet(run, law, setting, generations)]
    elif type(run.family) is Categorical and type(run.source) is Categories and run.family.temperature == 1:
        found = _categorical(run, law, setting, generations, metrics)
    elif type(run.family) is Kde and not isinstance(run.family.bandwidth, str) and run.initial == "fit":
        found = _kernel(run, law, setting, generations, metrics)
    else:
        found = []
    return [each for each in found if np.isfinite(each.values).all()]


def _gaussian(run: Run, law: TrueMoments, setting: Setting, count: int, metrics) -> Iterator[Prediction]:
    t, estimator, temperature = np.arange(count), run.family.estimator, run.family.temperature
    options = {"estimator": estimator, "temperature": temperature}
    curve, limit = expected(run, setting, t, **options), limit_of(run, setting, **options)
    start = "the truth" if run.initial == "truth" else "a fit to the real sample"
    bias = "" if temperature == 1 else f", temperature {temperature:g}"
    said = f"Gaussian, {estimator} covariance{bias}; generation 0 is {start}; mean over real samples and runs"
    where, source = setting.text, reference_of(setting, temperature)
    d = len(law.mean)
    for i in range(d if d <= MAX_DIMENSION else 0):
        variance, place = law.covariance[i, i], (f"covariance.{i}.{i}", f"mean.{i}")
        centre = float(law.mean[i])
        yield Prediction(f"variance, {where}", place[0], "mean", t, variance * curve.variance, "exact", said, source)
        yield Prediction(
            f"squared error of the mean, {where}",
            place[1],
            "mean_square",
            t,
            variance * curve.mean_square,
            "exact",
            said,
            source,
            centre,
        )
        if limit is not None:
            for name, metric, statistic, value, about in (
                ("variance", place[0], "mean", limit.variance, 0.0),
                ("squared error of the mean", place[1], "mean_square", limit.mean_square, centre),
            ):
                yield Prediction(
                    f"{name}, {where}",
                    metric,
                    statistic,
                    END,
                    np.array([variance * value]),
                    "limit",
                    said,
                    source,
                    about,
                )
        factor = factor_of(run, setting) if temperature == 1 else None
        if factor is not None:
            yield Prediction(
                f"squared error of the mean, {where}, large n",
                place[1],
                "mean_square",
                END,
                np.array([variance * factor / run.source.size]),
                "asymptotic",
                f"{said}; to first order in 1/n",
                source,
                centre,
            )
        if setting.closed and law.gaussian:
            yield from _collapse(run, setting, t, variance, place[0], f"{said}; Gaussian data")
    if run.family.covariance == "full":
        for i, j in itertools.combinations(range(d if d <= MAX_DIMENSION else 0), 2):
            values = law.covariance[i, j] * curve.variance
            yield Prediction(f"covariance, {where}", f"covariance.{i}.{j}", "mean", t, values, "exact", said, source)
    yield from _spread(
        run, law, temperature * curve.variance, t, f"variance of samples, {where}", said, source, metrics
    )


def _collapse(run: Run, setting: Setting, t, variance: float, metric: str, said: str) -> Iterator[Prediction]:
    """Proposition 1 and the typical run: every coordinate of a Gaussian of any dimension is a 1-D chain of its own."""
    options = {"estimator": run.family.estimator}
    own = {"initial": "truth", "temperature": run.family.temperature}
    std = gaussian.mean_std(t, setting.synthetic, **options, **own)
    log = gaussian.mean_log_std(t, setting.synthetic, **options, **own)
    if run.initial == "fit":
        std = std * gaussian.std_factor(run.source.size, **options)
        log = log + gaussian.mean_log_std(1, run.source.size, **options)
    paper = "Bertrand et al. 2024, arXiv:2310.00429, Proposition 1"
    yield Prediction(
        "standard deviation, fully synthetic", metric, "mean_sqrt", t, np.sqrt(variance) * std, "exact", said, paper
    )
    chi = "expected logarithm of a chi-square variable; setting of Shumailov et al. 2024, arXiv:2305.17493"
    yield Prediction(
        "log variance, fully synthetic", metric, "mean_log", t, np.log(variance) + 2 * log, "exact", said, chi
    )


def _categorical(run: Run, law: TrueMoments, setting: Setting, count: int, metrics) -> Iterator[Prediction]:
    t = np.arange(count)
    curve, limit = expected(run, setting, t), limit_of(run, setting)
    said = f"categorical, temperature 1; generation 0 is {'the truth' if run.initial == 'truth' else 'a fit'}"
    source = reference_of(setting, 1.0)
    if setting.closed:
        source = "Seddik et al. 2024, arXiv:2404.05090; Suresh et al. 2024, arXiv:2412.17646"
    k = len(law.mean)
    for i in range(k if k <= MAX_DIMENSION else 0):
        spread, metric, label = law.covariance[i, i], f"p.{i}", f"p (1 - p), {setting.text}"
        yield Prediction(label, metric, "mean_spread", t, spread * curve.variance, "exact", said, source)
        if limit is not None:
            yield Prediction(
                label, metric, "mean_spread", END, np.array([spread * limit.variance]), "limit", said, source
            )
    yield from _spread(run, law, curve.variance, t, f"diversity over k, {setting.text}", said, source, metrics)


def _kernel(run: Run, law: TrueMoments, setting: Setting, count: int, metrics) -> Iterator[Prediction]:
    t, scale = np.arange(count), np.trace(law.covariance) / len(law.mean)
    if not scale > 0:
        return
    kernel = float(run.family.bandwidth**2 * run.family.temperature / scale)
    curve = expected(run, setting, t, kernel=kernel)
    said = f"kernel density of bandwidth {run.family.bandwidth:g}; mean over real samples and runs"
    source = "Khelifa et al. 2026 (fresh fraction); Kazdan et al. 2024, arXiv:2410.16713"
    label = f"variance of samples, {setting.text}"
    yield from _spread(run, law, curve.variance + kernel, t, label, said, source, metrics)
    limit = limit_of(run, setting, kernel=kernel)
    if limit is not None and np.isfinite(limit.variance):
        end = np.array([limit.variance + kernel])
        yield from _spread(run, law, end, END, label, said, source, metrics, "limit")


def _spread(
    run: Run, law: TrueMoments, variance, t, label: str, said: str, source: str, metrics, kind: Kind = "exact"
) -> Iterator[Prediction]:
    """What the metric `moments` sees: the mean variance of a coordinate of the samples."""
    estimators = [metric.estimator for metric in metrics if isinstance(metric, MomentsMetric)]
    if run.sampled < 2:
        return
    shrunk = moments.shrinkage(run.sampled, estimators[0] if estimators else MomentsMetric().estimator)
    values = np.trace(law.covariance) / len(law.mean) * shrunk * np.asarray(variance)
    yield Prediction(label, "moments.variance", "mean", t, values, kind, said, source)


def _frechet(run: Run, law: TrueMoments, setting: Setting, count: int) -> Iterator[Prediction]:
    """Errors of the fit, of the sample and of the test set add up, each a Fréchet floor of its own size."""
    d, variance = len(law.mean), law.covariance[0, 0]
    isotropic = law.gaussian and np.array_equal(law.covariance, variance * np.eye(d))
    if not isotropic or run.family.temperature != 1 or run.sampled < 2 or run.source.n_test < 2:
        return
    floor = gaussian.frechet_floor(run.sampled, d) + gaussian.frechet_floor(run.source.n_test, d)
    said = f"Gaussian data of equal variances; first order in 1/n; {run.sampled} samples against {run.source.n_test}"
    source = "Dowson and Landau 1982 to second order"
    yield Prediction(
        "noise floor",
        "frechet.floor",
        "mean",
        np.zeros(1, int),
        np.array([variance * floor]),
        "asymptotic",
        said,
        source,
    )
    t = np.arange(count)
    error = expected(run, setting, t, estimator=run.family.estimator).mean_square
    per_row = gaussian.frechet_floor(1, d) if run.family.covariance == "full" else 1.5 * d
    # First order means small errors: a tenth of a standard deviation squared, and more rows than dimensions.
    small = (error <= 0.1) & (per_row * error <= 0.5 * d)
    if small.any():
        values = variance * (per_row * error[small] + floor)
        yield Prediction(
            f"Fréchet distance, {setting.text}", "frechet", "mean", t[small], values, "asymptotic", said, source
        )
