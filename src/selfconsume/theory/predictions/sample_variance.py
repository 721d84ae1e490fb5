"""Prediction of the metric `moments`: the mean variance of a coordinate of the samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from selfconsume.theory.closed_forms.moments import Curve, Estimator, shrinkage
from selfconsume.theory.predictions.prediction import Basis, Kind, Prediction
from selfconsume.theory.run_facts import SourceMoments


class SampleVariance(NamedTuple):
    """How the metric `moments` measures the variance of samples.

    Attributes:
        n: Samples of each generation.
        moments: Moments of the real data.
        estimator: The metric's divisor of the covariance.
    """

    n: int
    moments: SourceMoments
    estimator: Estimator

    def predictions(
        self, label: str, t: np.ndarray, variance: Curve, basis: Basis, kind: Kind = "exact"
    ) -> Iterator[Prediction]:
        """The expected metric value where samples have ``variance``, in units of the true one; none for a single sample."""
        if self.n < 2:
            return
        shrunk = shrinkage(self.n, self.estimator)
        values = np.trace(self.moments.covariance) / len(self.moments.mean) * shrunk * np.asarray(variance)
        yield basis.prediction(label, "moments.variance", "mean", t, values, kind)
