r"""What refitting does to a Gaussian's standard deviation, and how far a fitted Gaussian is from the truth.

The chi-square distribution of a Gaussian sample's variance gives more than the expectations of `moments`: the standard
deviation, and the logarithm that governs a typical run.
"""

from __future__ import annotations

import numpy as np
import scipy.special

from selfconsume.theory.closed_forms.moments import Curve, Estimator, Initial, Values, generations, shrinkage


def std_factor(n: int, *, estimator: Estimator = "unbiased") -> float:
    r"""Expected standard deviation of a fit to ``n`` Gaussian rows, over the true one: :math:`\alpha(n)` of Proposition 1.

    .. math:: \alpha(n) = \sqrt{\frac{2}{n-1}} \frac{\Gamma(n/2)}{\Gamma((n-1)/2)} < 1

    for the square root of the unbiased variance; times :math:`\sqrt{1 - 1/n}` for ml.

    Raises:
        ValueError: Fewer than two rows.

    References:
        Bertrand et al. 2024, arXiv:2310.00429, Proposition 1.
    """
    scale = shrinkage(n, estimator)
    log_ratio = scipy.special.gammaln(n / 2) - scipy.special.gammaln((n - 1) / 2)
    return float(np.sqrt(scale * 2.0 / (n - 1)) * np.exp(log_ratio))


def mean_std(
    t: Values, n: int, *, estimator: Estimator = "unbiased", initial: Initial = "truth", temperature: float = 1.0
) -> Curve:
    r"""Expected standard deviation in fully synthetic training of a 1-D Gaussian, in units of σ.

    :math:`E \sigma_t = \tau^{t/2} \alpha(n)^k` after k fits: k = t from the truth, t + 1 from a fit to n real rows. In d
    dimensions the same bounds :math:`E \Sigma_t^{1/2}` from above, in the order of positive semi-definite matrices.

    Args:
        t: Generations, non-negative integers.
        n: Rows of each fit.
        estimator: Which variance is fitted.
        initial: What generation 0 is.
        temperature: Factor τ on the variance of all samples.

    References:
        Bertrand et al. 2024, arXiv:2310.00429, Proposition 1.
    """
    times = generations(t)
    return (temperature ** (times / 2) * std_factor(n, estimator=estimator) ** (times + (initial == "fit")))[()]


def mean_log_std(
    t: Values, n: int, *, estimator: Estimator = "unbiased", initial: Initial = "truth", temperature: float = 1.0
) -> Curve:
    r"""Expected logarithm of the standard deviation in fully synthetic training of a 1-D Gaussian, σ = 1.

    .. math:: E \log \sigma_t = \frac{t}{2} \log \tau
              + \frac{k}{2} \left[\psi\left(\frac{n-1}{2}\right) + \log \frac{2}{c}\right]

    after k fits (see `mean_std`), c = n - 1 (unbiased) or n (ml). The steps are independent, so :math:`\log \sigma_t` obeys
    the law of large numbers: a typical run shrinks at this rate, even where the expected variance stays at 1.

    References:
        The expected logarithm of a chi-square variable; the setting is that of Shumailov et al. 2024, arXiv:2305.17493.
    """
    times = generations(t)
    divisor = (n - 1) / shrinkage(n, estimator)
    step = 0.5 * (scipy.special.digamma((n - 1) / 2) + np.log(2.0 / divisor))
    return (0.5 * times * np.log(temperature) + (times + (initial == "fit")) * step)[()]


def frechet_floor(n: int, d: int) -> float:
    r"""Expected squared Fréchet distance from a Gaussian fitted to ``n`` true rows to the truth :math:`N(0, I_d)`.

    .. math:: \frac{d}{n} + \frac{d (d+1)}{4 n}

    to first order in 1/n: the error of the mean, and a quarter of the squared error of the covariance. Good for n well
    above d; at n near d the true value is larger. To the same order the distance in any regime is this floor times that
    regime's factor in `mean_error`, because errors of mean and covariance build up alike.

    References:
        The distance of Dowson and Landau 1982 to second order, with the variance of Wishart entries.
    """
    return d / n + d * (d + 1) / (4 * n)
