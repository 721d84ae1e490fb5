"""Categorical drift, kernel densities with fresh data, and the noise floor of the Fréchet distance."""

import numpy as np
import pytest

from selfconsume.families.categorical import Categorical
from selfconsume.families.gaussian import Gaussian
from selfconsume.families.kde import Kde
from selfconsume.loop.run import Run
from selfconsume.metrics.metric_key import metric_key
from selfconsume.metrics.parameters import Parameters
from selfconsume.regimes.fresh import Fresh
from selfconsume.regimes.real_only import RealOnly
from selfconsume.regimes.replace import Replace
from selfconsume.sources.categorical import Categorical as Categories
from selfconsume.sources.gaussian import Gaussian as Normal
from selfconsume.theory.closed_forms.gaussian import frechet_floor


def test_categories_drift_as_in_a_neutral_population(curves, agrees):
    """Wright-Fisher: E[1 - sum p^2] = (1 - 1/n)^t H_0. p = 0.2, n = 100, t = 100: E p (1 - p) = 0.05857."""
    run = Run(Categories(p=(0.2, 0.8), n=100), Categorical(), Replace(), initial="truth")
    p = curves([run], 100, 2000)["p.0"][0]
    spread = p * (1 - p)
    assert np.all(spread[0] == pytest.approx(0.16))
    agrees(spread[1:], 0.16 * 0.99 ** np.arange(1, 101))
    agrees(spread[100], 0.05857)
    agrees(p[1:], 0.2)  # neutral: no category is favoured
    lost = p[50] == 0
    assert lost.any() and (p[51:, lost] == 0).all()


def test_a_cut_tail_eats_into_the_head(records):
    """The support after t cuts is the t-th nucleus of Zipf's law if n is large: 38, 25, 17, ... of 60 at top_p = 0.9."""
    source = Categories(k=60, zipf=1.0, n=20_000)
    run = Run(source, Categorical(top_p=0.9), Replace())
    support = np.stack([(record.samples[0].sum(axis=0) > 0).sum() for record in records([run], 5, 2)])
    p, expected = 1 / np.arange(1, 61), []
    for _ in range(6):
        p = p[: np.searchsorted(p.cumsum(), 0.9 * p.sum()) + 1]
        expected.append(len(p))
    assert expected[0] > 2 * expected[-1]
    np.testing.assert_allclose(support, expected, atol=1)  # a boundary between equals moves with the counts


def test_fresh_data_bounds_the_spread_of_kernel_densities(records, agrees):
    """E x^2 = 1 + h^2 (1 - (1 - alpha)^k) / alpha after k fits; h = 0.6, alpha = 0.9 -> 1.4000. Any number of rows."""
    n, lanes, alphas = 9, 3000, (0.9, 0.5)
    source, family = Normal(n=n), Kde(bandwidth=0.6)
    runs = [Run(source, family, Fresh(n_real=n, n_synthetic=own)) for own in (1, 9)]
    square = np.stack([(record.samples**2).mean(axis=(1, 2)) for record in records(runs, 9, 2 * lanes)])
    k = np.arange(1, 11)
    for i, alpha in enumerate(alphas):
        agrees(square[:, i * lanes : (i + 1) * lanes], 1 + 0.36 * (1 - (1 - alpha) ** k) / alpha)
    agrees(square[-1, :lanes], 1.4)


def test_the_noise_floor_of_the_frechet_distance(records, agrees):
    """A Gaussian fitted to n samples of N(0, I_d) is d/n + d(d+1)/(4n) away: 0.035 at d = 2, n = 100.

    To first order in 1/n: two million independent fits average 0.0351, a tenth of what is tolerated here.
    """
    run = Run(Normal(dim=2, n=100), Gaussian(estimator="unbiased"), RealOnly())
    (record,) = records([run], 0, metrics=[Parameters()])
    value = {name: each.astype(np.float64) for name, each in record.values[metric_key(Parameters())].items()}
    a, b, c = (value[f"covariance.{i}"] for i in ("0.0", "0.1", "1.1"))
    # tr sqrt(C) of a 2 x 2 matrix is sqrt(tr C + 2 sqrt(det C)).
    root = np.sqrt(a + c + 2 * np.sqrt(a * c - b**2))
    agrees(value["mean.0"] ** 2 + value["mean.1"] ** 2 + a + c + 2 - 2 * root, 0.035)
    assert frechet_floor(100, 2) == pytest.approx(0.035)
