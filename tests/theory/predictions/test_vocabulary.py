"""Predicted vocabulary against a simulation of the Wright-Fisher model in NumPy."""

import numpy as np
import pytest

from selfconsume.families.ngram import Ngram
from selfconsume.loop.run import Run
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.replace import Replace
from selfconsume.sources.text.zipf import Zipf
from selfconsume.theory.closed_forms import drift
from selfconsume.theory.predictions.predict import predict

SOURCE = Zipf(words=60, length=10, n=12, n_test=12)
UNIGRAM = Ngram(order=0, smoothing="none")


def test_it_is_that_of_simulated_drift():
    (prediction,) = predict(Run(SOURCE, UNIGRAM, Replace()), 6)
    assert prediction.metric == "vocabulary.size" and len(prediction.values) == 6
    rng, n, runs = np.random.default_rng(0), 120, 2000
    p = np.broadcast_to(np.arange(1, 61.0) ** -1 / (np.arange(1, 61.0) ** -1).sum(), (runs, 60))
    p = rng.multinomial(n, p) / n  # generation 0 is a fit to real words
    for expected in prediction.values:
        p = rng.multinomial(n, p) / n
        sizes = (p > 0).sum(axis=1)
        assert abs(sizes.mean() - expected) < 4.5 * sizes.std() / np.sqrt(runs)


@pytest.mark.parametrize(
    "run",
    [
        Run(SOURCE, Ngram(order=0), Replace()),
        Run(SOURCE, Ngram(order=1, smoothing="none"), Replace()),
        Run(SOURCE, UNIGRAM, Mix()),
        Run(SOURCE, UNIGRAM, Replace(), n_synthetic=5),
    ],
)
def test_nothing_is_predicted_beyond_its_assumptions(run):
    assert predict(run, 3) == []


def test_the_first_refit_has_an_elementary_form():
    p = np.array([0.5, 0.3, 0.2])
    first = float(drift.expected_vocabulary(1, p, 7))
    assert first == pytest.approx(sum(1 - (1 - x) ** 7 for x in p))
    assert float(drift.expected_vocabulary(0, p, 7, initial="fit")) == pytest.approx(first)
    later = drift.expected_vocabulary([1, 2, 50, 400], p, 7)
    assert (np.diff(later) < 0).all() and later[-1] == pytest.approx(1, abs=1e-9)
