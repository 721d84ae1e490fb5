"""Fully synthetic training of a 1-D Gaussian, n = 10, from the truth: every generation is fitted to n own samples."""

import numpy as np
import pytest

from selfconsume.families.gaussian import Gaussian
from selfconsume.loop.run import Run
from selfconsume.regimes.replace import Replace
from selfconsume.sources.gaussian import Gaussian as Normal
from selfconsume.theory.closed_forms.gaussian import mean_log_std, mean_std


def chain(**family):
    return Run(Normal(n=10), Gaussian(**family), Replace(), initial="truth")


@pytest.fixture(scope="module")
def unbiased(curves):
    """Temperatures 1 and 0.8, lanes of one batch."""
    return curves([chain(estimator="unbiased"), chain(estimator="unbiased", temperature=0.8)], 20)


@pytest.fixture(scope="module")
def ml(curves):
    return curves([chain(estimator="ml")], 10)


def test_the_standard_deviation_shrinks_as_proposition_1_says(unbiased, agrees):
    """Bertrand et al. 2024, Proposition 1: E sigma_t = alpha(n)^t, alpha(10) = 0.972659."""
    sigma = np.sqrt(unbiased["covariance.0.0"][0])
    for t, expected in {0: 1.0, 1: 0.97266, 5: 0.87057, 20: 0.57440}.items():
        agrees(sigma[t], expected)
        assert mean_std(t, 10) == pytest.approx(expected, abs=1e-5)
    agrees(sigma, 0.972659 ** np.arange(21))


def test_a_typical_run_shrinks_exponentially(unbiased, agrees):
    """E log sigma_t = -0.0576032 t, and the mean takes a random walk, E mu_t^2 = t / n.

    Steps are independent, so the law of the walk's first generations is enough; later E mu_t^2 is carried by few lanes.
    """
    log_sigma = np.log(unbiased["covariance.0.0"][0]) / 2
    agrees(log_sigma, -0.0576032 * np.arange(21))
    assert mean_log_std(20, 10) == pytest.approx(-0.0576032 * 20, abs=1e-5)
    agrees(unbiased["mean.0"][0][:7] ** 2, np.arange(7) / 10)
    agrees(unbiased["mean.0"][0], 0.0)


def test_sampling_bias_shrinks_the_variance(unbiased, agrees):
    """Alemohammad et al. 2024: temperature 0.8 scales the variance of samples, E v_t = 0.8^t (unbiased)."""
    agrees(unbiased["covariance.0.0"][1][:8], 0.8 ** np.arange(8))


def test_maximum_likelihood_loses_a_share_of_the_variance_in_every_generation(ml, agrees):
    """E v_t = (1 - 1/n)^t, and E v_t + E mu_t^2 = 1 always (Shumailov et al. 2024)."""
    variance, mean = ml["covariance.0.0"][0], ml["mean.0"][0]
    agrees(variance, 0.9 ** np.arange(11))
    agrees(variance[5], 0.59049)
    agrees(variance[10], 0.34868)
    agrees(variance + mean**2, 1.0)
