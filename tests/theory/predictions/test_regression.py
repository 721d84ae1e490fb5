"""Which linear regressions are predicted, and by what; that the loop agrees is in tests/papers."""

import numpy as np
import pytest

from selfconsume.families.gaussian import Gaussian
from selfconsume.families.linear_regression import LinearRegression
from selfconsume.loop.run import Run
from selfconsume.regimes.accumulate import Accumulate
from selfconsume.regimes.fresh import Fresh
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.real_only import RealOnly
from selfconsume.regimes.replace import Replace
from selfconsume.regimes.subsample import Subsample
from selfconsume.sources.linear import Linear
from selfconsume.theory.predictions.predict import predict

SOURCE = Linear(dim=4, n=25, sigma=0.5, norm=2.0)
BASE = 0.25 * 4 / 20


def curve(regime, source=SOURCE, n_synthetic=None, initial="fit", **family):
    """The excess error of the predicted curve; None where there is none."""
    family = LinearRegression(**{"sigma": 0.5, **family})
    found = predict(Run(source, family, regime, n_synthetic=n_synthetic, initial=initial), 4)
    curves = [
        each.values - source.sigma**2 for each in found if each.metric == "prediction_error" and len(each.values) > 1
    ]
    return curves[0] if curves else None


@pytest.mark.parametrize(
    ("expected", "regime", "options"),
    [
        ([1, 1, 1, 1], RealOnly(), {"sigma": "ml"}),
        ([1, 2, 3, 4], Replace(), {}),
        ([1, 2, 3, 4], Replace(), {"design": "fresh", "sigma": "unbiased"}),
        # 15 rows of 25: one fit to them errs by 0.25 * 4 / 10.
        ([1, 3, 5, 7], Replace(), {"n_synthetic": 15}),
        ([1, 1.25, 1.361111, 1.423611], Accumulate(), {}),
        ([1, 1.25, 1.3125, 1.328125], Mix(1.0), {}),
        # Two copies of weight 1/2: as much pull, half the noise.
        ([1, 1.125, 1.15625, 1.1640625], Mix(2.0, weight=0.5), {"n_synthetic": 50}),
        # To first order in d/n.
        ([1, 1.20408163, 1.22074136, 1.22210134], Mix(0.4), {}),
        ([1, 1.25, 1.3125, 1.328125], Mix(1.0), {"design": "fresh"}),
    ],
)
def test_what_is_known(expected, regime, options):
    np.testing.assert_allclose(curve(regime, **options), BASE * np.array(expected), rtol=1e-6)


@pytest.mark.parametrize(
    ("regime", "options"),
    [
        (Replace(), {"sigma": 0.4}),
        (Replace(), {"sigma": "ml"}),
        (Replace(), {"ridge": 0.1}),
        (Replace(), {"n_synthetic": 50}),  # inputs that are labelled twice
        (Replace(), {"n_synthetic": 5}),  # as many rows as inputs and one: no finite expectation
        (Replace(), {"initial": "truth", "design": "fresh"}),
        (Accumulate(), {"sigma": "unbiased"}),
        (Accumulate(), {"n_synthetic": 15}),
        (Mix(1.0), {"sigma": "unbiased"}),
        (Mix((0.5, 1.0)), {}),
        (Fresh(), {}),
        (Subsample(), {}),
    ],
)
def test_silence_elsewhere(regime, options):
    assert curve(regime, **options) is None


def test_coefficients_have_equal_shares_and_the_limit_is_said():
    found = predict(Run(SOURCE, LinearRegression(sigma=0.5), Accumulate()), 3)
    each = [one for one in found if one.metric.startswith("coefficients.")]
    assert (
        len(each) == 8 and {one.statistic for one in each} == {"mean_square"} and {one.centre for one in each} == {1.0}
    )
    assert each[0].values[0] == pytest.approx(BASE / 4)
    (end,) = {float(one.values[0]) for one in each if one.kind == "limit"}
    assert end == pytest.approx(BASE * np.pi**2 / 24)
    assert predict(Run(SOURCE, Gaussian(), Accumulate()), 3) == []


def test_what_is_exact_and_what_is_not():
    def kinds(regime, **family):
        found = predict(Run(SOURCE, LinearRegression(sigma=0.5, **family), regime), 3)
        return [each.kind for each in found if each.metric == "prediction_error"]

    assert kinds(Mix(1.0)) == kinds(Accumulate()) == ["exact", "limit"]
    assert kinds(Mix(0.4)) == kinds(Mix(1.0), design="fresh") == ["asymptotic", "asymptotic"]
