"""Predictions for unigram models of independent words: the Wright-Fisher model of genetic drift."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from selfconsume.families.ngram import Ngram
from selfconsume.loop.run import Run
from selfconsume.models.distributions.independent_tokens import IndependentTokens
from selfconsume.regimes.replace import Replace
from selfconsume.theory.closed_forms import drift
from selfconsume.theory.predictions.prediction import Basis, Prediction

MAX_TOKENS = 2000
"""Tokens of a training set up to which the chain of counts is computed: its matrix has as many rows and columns."""


def vocabulary_predictions(run: Run, generations: int) -> Iterator[Prediction]:
    """Expected different words of each generation's samples, where an unsmoothed unigram model is refitted to its own words.

    The first generations' expectation needs no chain, and is predicted for any size of the training set.
    """
    truth, family = run.source.truth(), run.family
    is_drift = isinstance(family, Ngram) and (family.order, family.smoothing) == (0, "none")
    is_alone = run.regime == Replace() and run.curation is None and run.sample_size == run.source.size
    if not (isinstance(truth, IndependentTokens) and is_drift and is_alone and run.initial == "fit"):
        return
    tokens = run.source.size * truth.length
    if tokens > MAX_TOKENS:
        return
    t = np.arange(generations)
    basis = Basis(
        "unsmoothed unigram model of independent words; generation 0 is a fit",
        "Ewens 2004, Mathematical Population Genetics (Wright-Fisher model)",
    )
    p = np.asarray(truth.p, float)
    # The words of generation t's samples are those of the fit t + 1.
    values = drift.expected_vocabulary(t + 1, p / p.sum(), tokens, initial="fit")
    yield basis.prediction("different words, fully synthetic", "vocabulary.size", "mean", t, values)
