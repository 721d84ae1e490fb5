"""A 1-D Gaussian retrained on real data together with its own: fixed, accumulated, fresh and weighted. n = 10 unless said."""

import numpy as np
import pytest

from selfconsume.families.gaussian import Gaussian
from selfconsume.loop.run import Run
from selfconsume.regimes.accumulate import Accumulate
from selfconsume.regimes.fresh import Fresh
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.real_only import RealOnly
from selfconsume.regimes.replace import Replace
from selfconsume.sources.gaussian import Gaussian as Normal
from selfconsume.theory.closed_forms.mixing import mixed_moments
from selfconsume.theory.closed_forms.moments import accumulate_moments

N = 10


def run(regime, estimator="ml"):
    return Run(Normal(n=N), Gaussian(estimator=estimator), regime)


def test_accumulating_keeps_the_variance(curves, agrees):
    """Kazdan et al. 2024 (ml): after k fits E v = prod_{j<=k} (1 - 1/(n j^2)) -> sin(pi/sqrt n) / (pi/sqrt n) = 0.843436.

    Generation t is the fit number t + 1.
    """
    variance = curves([run(Accumulate())], 15)["covariance.0.0"][0]
    for k, expected in {1: 0.9, 2: 0.8775, 5: 0.85888}.items():
        agrees(variance[k - 1], expected)
    later = np.prod(1 - 1 / (N * np.arange(17, 10**6) ** 2.0))
    agrees(variance[15] * later, 0.843436)


def test_fixed_real_data_bounds_the_loss(curves, agrees):
    """n = m = 10, ml: E v -> 0.870968 and E (mu - sample mean)^2 -> 0.029032. Transients die as 1/4^t: 12 are enough."""
    values = curves([run(Mix(1.0))], 14)
    variance, mean = values["covariance.0.0"][0], values["mean.0"][0]
    for t in (12, 13, 14):
        agrees(variance[t], 0.870968)
        agrees((mean[t] - mean[0]) ** 2, 0.029032)


def test_errors_of_the_mean_build_up_as_the_asymptotic_factors_say(curves, agrees):
    """n MSE of the mean (unbiased): the exact value at n = 10, whose large-n limit is the factor of the literature.

    Real only 1; replace 1 + t; accumulate sum_{i<=t+1} 1/i^2; fixed real and latest (1 + 3 lambda) / (1 + 2 lambda).
    """
    until, t, big = 6, np.arange(7), 10**7
    regimes = [RealOnly(), Replace(), Mix(0.2), Mix(0.5), Mix(1.0)]
    square = curves([run(regime, "unbiased") for regime in regimes], until)["mean.0"] ** 2 * N
    agrees(square[0], 1.0)
    agrees(square[1], 1.0 + t)  # exact for every n where the variance is unbiased
    for i, ratio in ((2, 0.2), (3, 0.5), (4, 1.0)):
        exact = mixed_moments(t, N, round(ratio * N), estimator="unbiased").mean_square * N
        agrees(square[i], exact)
        limit = mixed_moments(300, big, round(ratio * big), estimator="unbiased").mean_square * big
        assert limit == pytest.approx((1 + 3 * ratio) / (1 + 2 * ratio), rel=1e-5)
    square = curves([run(Accumulate(), "unbiased")], until)["mean.0"][0] ** 2 * N
    agrees(square, accumulate_moments(t, N, N, estimator="unbiased").mean_square * N)
    partial = accumulate_moments(t, big, big, estimator="unbiased").mean_square * big
    assert partial == pytest.approx(np.cumsum(1 / (t + 1.0) ** 2), rel=1e-5)


def test_fresh_data_pooled_and_weighted(curves, agrees):
    """n MSE of the mean in the long run at n_r = n_s: pooled w = 1/2 gives 0.6667, the golden weight 0.618 gives 0.6180.

    He et al. 2025. Exact at n = 10 by the law of total variance; twelve generations leave (1 - w)^24 of the transient.
    """
    until, big = 12, 10**7
    regimes = [Fresh(), Fresh(weight=0.5), Fresh(weight="golden"), Fresh(n_synthetic=5)]
    weights, synthetic = [0.5, 0.5, 0.6180340, 2 / 3], [N, N, N, N // 2]
    limits = [0.6667, 0.6667, 0.6180, (N + 5) / (N + 2 * 5)]
    square = curves([run(regime, "unbiased") for regime in regimes], until)["mean.0"] ** 2 * N
    np.testing.assert_array_equal(square[0], square[1])
    for i, (w, m, limit) in enumerate(zip(weights, synthetic, limits, strict=True)):
        setting = {"fresh": True, "weight": w, "estimator": "unbiased", "n_initial": N}
        agrees(square[i], mixed_moments(np.arange(until + 1), N, m, **setting).mean_square * N)
        setting["n_initial"] = big
        assert mixed_moments(until, big, m * big // N, **setting).mean_square * big == pytest.approx(limit, abs=1e-4)
    agrees(square[2][until], mixed_moments(until, N, N, fresh=True, weight=0.618034, estimator="unbiased")[1] * N)
