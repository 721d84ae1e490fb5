"""Linear regression retrained on labels that its predecessor made: d = 10 inputs, T = 50 rows, d / (T - d - 1) = 0.25641."""

import numpy as np
import pytest

from selfconsume.families.linear_regression import LinearRegression
from selfconsume.loop.run import Run
from selfconsume.metrics.metric_key import metric_key
from selfconsume.metrics.regression.prediction_error import PredictionError
from selfconsume.regimes.accumulate import Accumulate
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.replace import Replace
from selfconsume.sources.linear import Linear
from selfconsume.theory.closed_forms.regression import accumulate_error
from selfconsume.theory.predictions.predict import predict

D, ROWS, LAST, LANES = 10, 50, 4, 3000
BASE = 0.25641
SOURCE = Linear(dim=D, n=ROWS, norm=2.0)


@pytest.fixture(scope="module")
def errors(records):
    """Squared errors of the coefficients and errors of prediction, each (generations, lanes)."""

    def run(regime, **family):
        run = Run(SOURCE, LinearRegression(**family), regime)
        found = list(records([run], LAST, LANES, [PredictionError()]))
        fitted = np.stack([record.fit.generator.coefficients.astype(np.float64) for record in found])
        measured = np.stack([record.values[metric_key(PredictionError())]["prediction_error"] for record in found])
        return run, ((fitted - 2.0 / np.sqrt(D)) ** 2).sum(axis=-1), measured

    return run


@pytest.mark.parametrize("design", ["same", "fresh"])
def test_replacing_labels_adds_up_their_noise(errors, agrees, design):
    """Mobahi et al. 2020; Dohmatob et al. 2024: (g + 1) sigma^2 d / (T - d - 1), whichever inputs are labelled."""
    run, excess, measured = errors(Replace(), design=design)
    agrees(excess, BASE * np.arange(1, LAST + 2))
    (prediction,) = (each for each in predict(run, LAST + 1) if each.metric == "prediction_error")
    np.testing.assert_allclose(prediction.values, 1 + BASE * np.arange(1, LAST + 2), rtol=1e-4)
    agrees(measured, prediction.values)


def test_accumulating_labels_of_the_same_design(errors, agrees):
    """Gerstgrasser et al. 2024, Theorem 2: sum_{i <= g+1} 1/i^2 times the error of one fit."""
    run, excess, measured = errors(Accumulate(), design="same")
    agrees(excess, 0.256410 * np.array([1, 1.25, 1.361111, 1.423611, 1.463611]))
    curve, limit = (each for each in predict(run, LAST + 1) if each.metric == "prediction_error")
    agrees(measured, curve.values)
    assert limit.kind == "limit" and limit.values == pytest.approx(1 + BASE * np.pi**2 / 6, rel=1e-4)


def test_accumulating_labels_of_fresh_designs(errors, agrees):
    """A little less than with the same design, because the Gram matrices average out."""
    _, excess, _ = errors(Accumulate(), design="fresh")
    agrees(excess, accumulate_error(np.arange(LAST + 1), D, ROWS, design="fresh"))


def test_real_labels_hold_own_ones_back(errors, agrees):
    """Fixed real labels beside as many own ones on the same inputs: 1 + (1 - 4^-g)/3 times the error of one fit."""
    run, excess, measured = errors(Mix(1.0))
    agrees(excess, BASE * (1 + (1 - 0.25 ** np.arange(LAST + 1)) / 3))
    curve, limit = (each for each in predict(run, LAST + 1) if each.metric == "prediction_error")
    agrees(measured, curve.values)
    assert (curve.kind, limit.kind) == ("exact", "limit") and limit.values == pytest.approx(1 + BASE * 4 / 3, rel=1e-4)


def test_an_estimated_noise_that_is_unbiased_changes_no_expectation(errors, agrees):
    """E sigma^2 stays 1, so replace errs as with a known sigma."""
    run, excess, measured = errors(Replace(), sigma="unbiased")
    agrees(excess, BASE * np.arange(1, LAST + 2))
    (prediction,) = (each for each in predict(run, LAST + 1) if each.metric == "prediction_error")
    agrees(measured, prediction.values)
