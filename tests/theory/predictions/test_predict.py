"""Every prediction against the real loop, and silence where its assumptions fail."""

import dataclasses
import doctest

import numpy as np
import pytest

from selfconsume.analysis.against_theory import statistic_of
from selfconsume.families.categorical import Categorical
from selfconsume.families.gaussian import Gaussian
from selfconsume.families.kde import Kde
from selfconsume.families.mixture import Mixture
from selfconsume.lanes.cohorts import cohort_of
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.loop.run import Run
from selfconsume.metrics.frechet import Frechet
from selfconsume.metrics.metric_key import metric_key
from selfconsume.metrics.moments import Moments
from selfconsume.metrics.parameters import Parameters
from selfconsume.regimes.accumulate import Accumulate
from selfconsume.regimes.fresh import Fresh
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.real_only import RealOnly
from selfconsume.regimes.replace import Replace
from selfconsume.regimes.subsample import Subsample
from selfconsume.regimes.window import Window
from selfconsume.sources.arrays import Arrays
from selfconsume.sources.categorical import Categorical as Categories
from selfconsume.sources.gaussian import Gaussian as Normal
from selfconsume.sources.gaussian_mixture import GaussianMixture
from selfconsume.sources.two_moons import TwoMoons
from selfconsume.theory.closed_forms.mixing import mixed_moments
from selfconsume.theory.closed_forms.moments import accumulate_moments, kernel_second_moment
from selfconsume.theory.predictions import predict as module
from selfconsume.theory.predictions.predict import predict
from selfconsume.theory.predictions.prediction import END, Prediction
from selfconsume.types import Plan, Regime

COUNT = 4
METRICS = (Parameters(), Moments())
SOURCE = Normal(dim=2, n=10, mean=3.0, std=2.0)
REGIMES = {
    "real only": RealOnly(),
    "mix": Mix(0.5),
    "mix, weighted": Mix(1.0, weight=0.5),
    "replace": Replace(),
    "replace, part": Replace(real=0.3),
    "accumulate": Accumulate(),
    "subsample": Subsample(),
    "window": Window(size=2),
    "window, closed": Window(size=2, real=False),
    "fresh": Fresh(),
    "golden": Fresh(weight="golden"),
}


def values_of(runs, lanes, count=COUNT, metrics=METRICS):
    """Metric values of all runs, ``[run][name]`` of shape (generations, lanes), cohort by cohort."""
    cohorts = {}
    for run in runs:
        cohorts.setdefault(cohort_of(run), []).append(run)
    found = {}
    for members in cohorts.values():
        each = [run for run in members for _ in range(lanes)]
        seeds = list(range(lanes)) * len(members)
        records = [r.values for r in LaneBatch(each, seeds, DeviceLayout.default()).generations(metrics, count - 1)]
        for i, run in enumerate(members):
            cut = slice(i * lanes, (i + 1) * lanes)
            kept = {name for name in records[1][metric_key(metrics[-1])]} | {n for r in records[0].values() for n in r}
            found[run] = {
                name: np.stack([v[name][cut] for r in records for v in r.values() if name in v]) for name in kept
            }
    return found


def agrees(prediction, values, *, errors=4.5, rounding=1e-5):
    lanes = statistic_of(values[prediction.metric].astype(np.float64), prediction.statistic, prediction.centre)
    lanes = lanes[prediction.generations]
    error = lanes.std(axis=-1) / np.sqrt(lanes.shape[-1])
    off = np.abs(lanes.mean(axis=-1) - prediction.values)
    np.testing.assert_array_less(off, errors * error + rounding * (1 + np.abs(prediction.values)), prediction.label)


def judged(predictions, kind="exact"):
    return [each for each in predictions if each.kind == kind and np.isfinite(each.generations).all()]


@pytest.mark.parametrize(
    ("family", "initial"),
    [(Gaussian(), "fit"), (Gaussian(estimator="unbiased", temperature=0.8), "truth")],
    ids=["ml", "unbiased and biased"],
)
def test_gaussian_curves_in_every_regime(family, initial):
    runs = [Run(SOURCE, family, regime, initial=initial) for regime in REGIMES.values()]
    values = values_of(runs, 1000)
    for name, run in zip(REGIMES, runs, strict=True):
        found = judged(predict(run, COUNT, (Moments(),)))
        metrics = {(each.metric, each.statistic) for each in found}
        expected = {("covariance.0.0", "mean"), ("mean.1", "mean_square"), ("covariance.0.1", "mean")}
        expected |= {("moments.variance", "mean")}
        expected |= {("covariance.1.1", "mean_sqrt"), ("covariance.0.0", "mean_log")} if name == "replace" else set()
        assert expected <= metrics and (name == "replace") == ("mean_sqrt" in {s for _, s in metrics})
        for each in found:
            agrees(each, values[run])


def test_counts_of_samples_and_other_laws():
    """Fewer samples than real rows, real data that is no Gaussian, covariances taken as diagonal."""
    source = GaussianMixture(k=2, n=8, separation=3.0)
    runs = [
        Run(source, Gaussian(covariance="diagonal"), Mix(0.5), n_synthetic=5),
        Run(source, Gaussian(covariance="diagonal"), Replace(), n_synthetic=5),
    ]
    values = values_of(runs, 1000, 4, (Parameters(), Moments(estimator="ml")))
    for run in runs:
        found = judged(predict(run, 4, (Moments(estimator="ml"),)))
        assert {each.statistic for each in found} == {"mean", "mean_square"}
        # The modes lie along the first coordinate.
        first, second = (next(e for e in found if e.metric == f"covariance.{i}.{i}").values for i in (0, 1))
        assert abs(first[0] - second[0]) > 0.1
        for each in found:
            agrees(each, values[run])


def test_categorical_diversity():
    source = Categories(p=(0.5, 0.3, 0.2), n=12)
    runs = [
        Run(source, Categorical(), regime, initial=initial)
        for regime in (Replace(), Mix(0.5))
        for initial in ("fit", "truth")
    ]
    values = values_of(runs, 1000)
    for run in runs:
        found = judged(predict(run, COUNT))
        assert {each.metric for each in found} == {"p.0", "p.1", "p.2", "moments.variance"}
        for each in found:
            agrees(each, values[run])


def test_kernel_densities():
    source, family = Normal(n=9, std=2.0), Kde(bandwidth=1.2, temperature=0.5)
    runs = [Run(source, family, regime) for regime in (Mix(1.0), Replace())]
    values = values_of(runs, 1000, COUNT, (Moments(),))
    for run in runs:
        (curve,) = judged(predict(run, COUNT))
        agrees(curve, values[run])
    # The second moment of the literature is that variance and the squared error of the mean.
    t = np.arange(5)
    parts = mixed_moments(t, 9, 3, fresh=True, kernel=0.36)
    np.testing.assert_allclose(parts.variance + parts.mean_square + 0.36, kernel_second_moment(t, 0.6, 0.75))
    # Accumulating, a pool's second moment is the average of those of its blocks, each that of the pool before and h^2.
    parts, blocks = accumulate_moments(t, 9, 5, kernel=0.36), [9.0]
    for k in t:
        pool = sum(blocks) / (9 + 5 * k)
        assert parts.variance[k] + parts.mean_square[k] == pytest.approx(pool)
        blocks.append(5 * (pool + 0.36))
    (limit,) = judged_limits(predict(Run(Normal(n=9), Kde(bandwidth=0.6), Fresh(n_synthetic=1)), 3))
    assert limit.metric == "moments.variance" and 1.2 < limit.values[0] < 1.4


def judged_limits(predictions):
    return [each for each in predictions if each.kind == "limit"]


def test_frechet_distance_to_first_order():
    run = Run(Normal(dim=8, n=200, n_test=400), Gaussian(), Mix(1.0))
    values = values_of([run], 24, 2, (Frechet(),))[run]
    floor, curve = (next(e for e in predict(run, 2) if e.metric == metric) for metric in ("frechet.floor", "frechet"))
    assert {floor.kind, curve.kind} == {"asymptotic"}
    # What is left out is of order (d/n)^2: a few per cent.
    agrees(floor, values, rounding=0.05 * floor.values[0])
    agrees(curve, values, rounding=0.05 * curve.values[0])


def test_limits_are_where_the_curves_go():
    for regime in (Mix(1.0), Mix(1.0, weight=0.5), Fresh(), Replace(), Replace(real=0.3), RealOnly()):
        for initial in ("fit", "truth"):
            found = predict(Run(SOURCE, Gaussian(), regime, initial=initial), 400)
            ends = {(e.metric, e.statistic): e.values[0] for e in judged_limits(found)}
            assert {("covariance.0.0", "mean"), ("mean.0", "mean_square")} <= set(ends)
            for each in judged(found):
                if (each.metric, each.statistic) in ends:
                    assert each.values[-1] == pytest.approx(ends[each.metric, each.statistic], abs=1e-8)
    slow = predict(Run(Normal(n=10), Gaussian(), Accumulate()), 2000)
    assert judged_limits(slow)[0].values[0] == pytest.approx(0.843436, abs=1e-6)
    assert slow[0].values[-1] == pytest.approx(0.843436, abs=1e-4)
    # Item 4: the limit at n = m = 10.
    variance, square = judged_limits(predict(Run(Normal(n=10), Gaussian(), Mix(1.0)), 2))[:2]
    assert variance.values[0] == pytest.approx(0.870968, abs=1e-6)
    assert square.values[0] - 0.1 == pytest.approx(0.029032, abs=1e-6)


def test_universal_factors_of_large_samples():
    """n MSE of the mean in the end: what the exact curves tend to as n grows."""
    factors = {Mix(0.5): 2.5 / 2, Accumulate(): np.pi**2 / 6, Subsample(): np.pi**2 / 2 - 2, Fresh(): 2 / 3}
    factors[Fresh(weight="golden")] = 0.618034
    for regime, factor in factors.items():
        found = predict(Run(Normal(n=1000), Gaussian(), regime), 3)
        (end,) = [each for each in found if each.kind == "asymptotic" and each.metric == "mean.0"]
        assert end.values[0] * 1000 == pytest.approx(factor, rel=1e-5)


def test_numbers_of_the_paper():
    run = Run(Normal(n=10), Gaussian(estimator="unbiased"), Replace(), initial="truth")
    std, log = (next(e for e in predict(run, 21) if e.statistic == s) for s in ("mean_sqrt", "mean_log"))
    np.testing.assert_allclose(std.values[[1, 5, 20]], [0.97266, 0.87057, 0.57440], atol=1e-5)
    assert log.values[20] / 2 == pytest.approx(-0.0576032 * 20, abs=1e-5)
    # One generation later from a fit: the index starts at another place.
    later = next(e for e in predict(dataclasses.replace(run, initial="fit"), 21) if e.statistic == "mean_sqrt")
    np.testing.assert_allclose(later.values[:20], std.values[1:], rtol=1e-12)


@dataclasses.dataclass(frozen=True)
class Alternating(Regime):
    """Real data in even generations, synthetic in odd ones."""

    def plan(self, t, n_real, n_synthetic):
        return Plan((n_real, n_synthetic), (float(t % 2 == 0), float(t % 2 == 1)))


@dataclasses.dataclass(frozen=True)
class Own(Normal):
    """Data that is not drawn from the law it claims."""

    def train(self, key):
        return super().train(key) * 0


NEAR = Run(Normal(n=10), Gaussian(), Mix(0.5))


@pytest.mark.parametrize(
    "change",
    [
        {"regime": Mix((0.5, 1.0))},
        {"regime": Fresh(n_real=(5, 10))},
        {"regime": Accumulate(real=False)},
        {"regime": Alternating()},
        {"regime": Replace(), "n_synthetic": 1},
        {"regime": Subsample(budget=1)},
        {"family": Mixture(k=1)},
        {"family": Kde()},
        {"source": TwoMoons(n=10)},
        {"source": Own(n=10)},
        {"source": Categories(k=3, n=10), "family": Categorical(temperature=0.9)},
        {"initial": "a checkpoint"},
    ],
    ids=str,
)
def test_nothing_is_said_where_it_is_not_known(change):
    assert predict(NEAR, 8)
    assert predict(dataclasses.replace(NEAR, **change), 8) == []


def test_fixed_files_have_no_law(tmp_path):
    path = tmp_path / "data.npy"
    np.save(path, np.random.default_rng(0).normal(size=(40, 1)).astype(np.float32))
    assert predict(Run(Arrays(path=str(path)), Gaussian(), Mix(0.5)), 8) == []


def test_what_applies_to_gaussian_data_alone():
    found = predict(Run(GaussianMixture(n=10), Gaussian(), Replace()), 5)
    assert found and not {"mean_sqrt", "mean_log"} & {each.statistic for each in found}
    assert not any(each.metric.startswith("frechet") for each in found)


def test_a_schedule_that_starts_later_has_no_limit():
    def limits(run, count):
        return judged_limits(predict(run, count))

    early = dataclasses.replace(NEAR, regime=Mix((0.5, 0.5, 0.5, 1.0)))
    assert judged(predict(early, 4)) and not limits(early, 4) and predict(early, 5) == []
    equal = dataclasses.replace(NEAR, regime=Mix((0.5, 0.5)))
    assert limits(equal, 4)
    # One generation of accumulation looks like a mix, but does not go where a mix goes.
    ends = limits(dataclasses.replace(NEAR, regime=Accumulate()), 2)
    assert ends[0].values[0] == pytest.approx(0.843436, abs=1e-6)


def test_the_example():
    assert doctest.testmod(module) == (0, 7)


@pytest.mark.parametrize(
    ("statistic", "centre", "expression"),
    [
        ("mean", 0.0, "mean.0"),
        ("mean_square", 3.0, "(mean.0 - 3)^2"),
        ("mean_square", 0.0, "mean.0^2"),
        ("mean_sqrt", 0.0, "sqrt mean.0"),
        ("mean_log", 0.0, "log mean.0"),
        ("mean_spread", 0.0, "mean.0 (1 - mean.0)"),
    ],
)
def test_a_statistic_in_symbols(statistic, centre, expression):
    prediction = Prediction("error", "mean.0", statistic, END, END, "limit", "nothing", "nowhere", centre)
    assert prediction.expression == expression
